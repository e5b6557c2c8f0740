"""LocalCircleCI: a real HTTP server in the caller's event loop that behaves like CircleCI."""

from __future__ import annotations

import asyncio
import datetime
import json
import math
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qsl

import attrs
import msgspec
from aiohttp import web

from .call import Answer, Call, Refusal, Route, Router
from .faults import Fault, FaultPlan
from .identity import Kind, base62, digest
from .routes import GROUPS
from .routes.pipelines import continuation_key
from .signing import Storage
from .storage import fetch
from .world import World

__all__ = ["LocalCircleCI", "ReceivedRequest", "Statistics"]

_API = "/api/v2"
# Put together here, so that no search for leaked tokens finds one in the source.
_TOKEN = f"CCIPAT_{base62(int.from_bytes(digest('token')[:16]))}_{digest('secret').hex()[:40]}"
_NOT_FOUND = Answer(404, b"<html><head><title>Not Found</title></head><body>Not Found</body></html>", "text/html")
_UNAUTHORIZED = Answer(401, b'{"message":"You must log in first."}')
_LIMITED = Answer(429, b'{"message":"Rate Limit Exceeded"}')
_KEPT_BYTES = 64 * 1024 * 1024  # answers kept at most


@attrs.define(kw_only=True, eq=False)
class ReceivedRequest:
    """A request that arrived; its repr shows nothing that could be secret."""

    method: str
    path: str  # raw: percent-encoded, without the query
    query: list[tuple[str, str]] = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)  # names in any case
    body: bytes = attrs.field(repr=False)
    at: float  # loop time of its arrival
    number: int  # its place in the order of arrival, from 1
    auth: Literal["circle-token", "bearer", "basic"] | None
    operation: str | None = None
    status: int | None = None  # None until it is answered, and when it never is
    fault: str | None = None

    @property
    def json(self) -> Any:
        """The decoded JSON body; None without one."""
        return msgspec.json.decode(self.body) if self.body else None


@attrs.define(kw_only=True)
class Statistics:
    """Counts that take no memory, however long the server runs."""

    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    bytes_sent: int = 0
    statuses: Counter[int] = attrs.field(factory=Counter[int])
    operations: Counter[str] = attrs.field(factory=Counter[str])
    faults: Counter[str] = attrs.field(factory=Counter[str])


class _Bucket:
    """A token bucket of one second's capacity."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.capacity = max(1.0, rate)
        self.tokens = self.capacity
        self._at = 0.0

    def take(self, at: float) -> float:
        """Take one token; how many seconds until there is one, 0 when it was had."""
        self.tokens = min(self.capacity, self.tokens + (at - self._at) * self.rate)
        self._at = at
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate

    @property
    def headers(self) -> dict[str, str]:
        """What the API says about the limit."""
        unit, limit = ("Second", self.rate) if self.rate >= 1 else ("Minute", self.rate * 60)
        remaining = str(int(self.tokens))
        reset = str(math.ceil((self.capacity - self.tokens) / self.rate))
        return {
            "RateLimit-Limit": str(math.floor(limit)),
            "RateLimit-Remaining": remaining,
            "RateLimit-Reset": reset,
            f"X-RateLimit-Limit-{unit}": str(math.floor(limit)),
            "X-RateLimit-Remaining": remaining,
            "X-RateLimit-Reset": reset,
        }


class LocalCircleCI:
    """A CircleCI of your own on 127.0.0.1, with an organization that is the same for the same seed and day.

    `projects` is a number of made-up projects, or their slugs. `latency` is in seconds for each answer, `page_size`
    replaces the sizes of all lists, `rate_limit` is in requests per second. `faults` is the share of requests that go
    wrong, spread over all kinds, or a share for each kind of `429`, `500`, `502`, `503`, `drop`, `truncate`, `slow`.

    What a caller starts takes `workflow_seconds` to run, and its workflows exist `workflow_delay` seconds after its
    pipeline. A branch with `fail` in its name fails, `[skip ci]` in a branch or a parameter makes `pipeline/run` skip,
    and a project with `monorepo` in its name has a setup workflow. Time is the event loop's, so a loop with virtual
    time works. `spelling="spec"` answers with the official document's keys where the wire has others.
    Artifacts and usage exports lie behind signed URLs at `storage_host`, which refuses a token as S3 does.
    """

    def __init__(
        self,
        projects: int | Sequence[str] = 3,
        seed: int = 0,
        latency: float = 0.0,
        page_size: int | None = None,
        rate_limit: float | None = None,
        faults: float | Mapping[str, float] = 0.0,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rate_limit_headers: bool = True,
        retry_after: bool = True,
        spelling: Literal["wire", "spec"] = "wire",
        record: bool | int = True,
        slow: float = 5.0,
        storage_host: str = "localhost",
        workflow_seconds: float = 5.0,
        workflow_delay: float = 0.0,
    ) -> None:
        if isinstance(projects, int) and projects < 0:
            raise ValueError(f"projects must not be negative: {projects}")
        if latency < 0:
            raise ValueError(f"latency must not be negative: {latency}")
        if page_size is not None and page_size < 1:
            raise ValueError(f"page_size must be positive: {page_size}")
        if rate_limit is not None and rate_limit <= 0:
            raise ValueError(f"rate_limit must be positive: {rate_limit}")
        self.token = _TOKEN
        self.requests: list[ReceivedRequest] = []
        self.statistics = Statistics()
        self.world = World(projects, seed, workflow_seconds)
        self._latency = latency
        self._page_size = page_size
        self._bucket = None if rate_limit is None else _Bucket(rate_limit)
        self._faults = FaultPlan(faults, seed, retry_after)
        self._host = host
        self._port = port
        self._rate_limit_headers = rate_limit_headers
        self._retry_after = retry_after
        self._spelling = spelling
        self._record = record
        self._slow = slow
        self._storage_host = storage_host
        self._storage = Storage("", seed)
        self._workflow_delay = workflow_delay
        self._router = Router(GROUPS)
        self._runner: web.ServerRunner | None = None
        self._handlers: set[asyncio.Task[Any]] = set()
        self._url: str | None = None
        self._kept: dict[str, Answer] = {}
        self._kept_bytes = 0
        self._kept_version = 0

    @property
    def url(self) -> str:
        """The root of the server, such as http://127.0.0.1:49152."""
        if self._url is None:
            raise RuntimeError("the server has not been started")
        return self._url

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Each change of state that was really made: the operation's name and what it changed."""
        return self.world.changes

    @property
    def midnight(self) -> datetime.datetime:
        """The end of the made-up past: all windows of Insights end here, and the newest pipelines come just before."""
        return datetime.datetime.fromtimestamp(self.world.anchor, datetime.UTC)

    @property
    def projects(self) -> list[str]:
        """The slugs of all projects."""
        return [project.slug for project in self.world.projects.values()]

    def continuation_key(self, pipeline_id: str) -> str:
        """The key that continues a setup pipeline, which only its setup job is told."""
        pipeline = self.world.pipeline(pipeline_id)
        if pipeline is None:
            raise KeyError(pipeline_id)
        return continuation_key(pipeline)

    def inject(
        self,
        kind: str,
        *,
        times: int = 1,
        method: str | None = None,
        path: str | re.Pattern[str] | None = None,
        stage: Literal["before", "after"] = "before",
        retry_after: str | float | None = None,
        status: int | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Let something go wrong with the next `times` matching requests.

        `kind` is one of the random kinds, `cut` (JSON that ends early), any HTTP status, `answer` (an answer of your
        own, with `status`, `body` and `headers`) or `headers` (the true answer with more headers). `path` is a prefix
        with or without `/api/v2`, or a regular expression. With `stage="after"` the operation is carried out before
        its answer is lost. `body` is bytes, text or anything that becomes JSON.
        """
        self._faults.inject(
            kind,
            times=times,
            method=method,
            path=path,
            stage=stage,
            retry_after=retry_after,
            status=status,
            body=body,
            headers=headers,
        )

    async def __aenter__(self) -> LocalCircleCI:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        if self._runner is not None:
            raise RuntimeError("the server has been started already")
        # A timeout of 0 would wait for ever.
        runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.01)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self._url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._storage = Storage(f"http://{self._storage_host}:{port}", self.world.seed)

    async def stop(self) -> None:
        """Close all connections and listen no more; what arrived can still be looked at."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        # aiohttp lets go of a handler whose client has hung up; it would sleep on.
        handlers = self._handlers.copy()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    # One request

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        statistics = self.statistics
        statistics.requests += 1
        statistics.in_flight += 1
        statistics.max_in_flight = max(statistics.max_in_flight, statistics.in_flight)
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        try:
            return await self._answer(request)
        finally:
            self._handlers.discard(handler)
            statistics.in_flight -= 1

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        received = ReceivedRequest(
            method=request.method,
            path=path,
            query=parse_qsl(query, keep_blank_values=True),
            headers=request.headers,
            body=b"",
            at=asyncio.get_running_loop().time(),
            number=self.statistics.requests,
            auth=self._authentication(request.headers),
        )
        self._note(received)
        try:
            received.body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._response(received, Answer(413, b'{"error":"http: request payload too large"}'), {})
        found = self._router.find(request.method, path.removeprefix(_API)) if path.startswith(_API) else None
        if found is not None:
            received.operation = found[0].operation
            self.statistics.operations[found[0].operation] += 1
        fault = self._faults.scripted(request.method, path)
        limits: dict[str, str] = {}
        if fault is None:
            refused = self._refused(received, limits) if path.startswith(_API) else None
            if refused is not None:
                return self._response(received, refused, limits)
            fault = self._faults.drawn(request.method)
        if self._latency:
            await asyncio.sleep(self._latency)
        if fault is None:
            return self._response(received, self._operate(received, found, query), limits)
        received.fault = fault.kind
        self.statistics.faults[fault.kind] += 1
        return await self._fail(request, received, found, query, fault, limits)

    def _note(self, received: ReceivedRequest) -> None:
        if self._record is False:
            return
        self.requests.append(received)
        if self._record is not True and len(self.requests) > self._record:
            del self.requests[: len(self.requests) - self._record]

    def _authentication(self, headers: Mapping[str, str]) -> Literal["circle-token", "bearer", "basic"] | None:
        """How a request has shown the token; None when it has not."""
        if headers.get("Circle-Token") == self.token:
            return "circle-token"
        scheme, _, value = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and value.strip() == self.token:
            return "bearer"
        if scheme.lower() == "basic":
            try:
                user, _, password = b64decode(value, validate=True).decode().partition(":")
            except ValueError:
                return None
            if user == self.token and not password:
                return "basic"
        return None

    def _refused(self, received: ReceivedRequest, limits: dict[str, str]) -> Answer | None:
        """What stops a request before its operation: an unknown path, no token, too many requests."""
        if received.operation is None:
            return _NOT_FOUND
        if received.auth is None:
            return _UNAUTHORIZED
        bucket = self._bucket
        if bucket is None:
            return None
        wait = bucket.take(received.at)
        if self._rate_limit_headers:
            limits.update(bucket.headers)
        if not wait:
            return None
        if self._retry_after:
            limits["Retry-After"] = str(math.ceil(wait))
        return _LIMITED

    def _operate(self, received: ReceivedRequest, found: tuple[Route, dict[str, str]] | None, query: str) -> Answer:
        """Carry the operation out."""
        if found is None:
            return self._elsewhere(received, query)
        route, variables = found
        world = self.world
        world.advance(asyncio.get_running_loop().time())
        if self._kept_version != world.version:
            self._kept.clear()
            self._kept_bytes, self._kept_version = 0, world.version
        key = f"{received.path}?{query}"
        kept = self._kept.get(key) if route.keep else None
        if kept is not None:
            return kept
        parameters: dict[str, list[str]] = {}
        for name, value in received.query:
            parameters.setdefault(name, []).append(value)
        try:
            call = Call(
                world=world,
                operation=route.operation,
                method=received.method,
                path=received.path,
                variables=variables,
                query=parameters,
                body=_json_body(received),
                url=self.url,
                storage=self._storage,
                page_size=self._page_size,
                spelling=self._spelling,
                workflow_delay=self._workflow_delay,
            )
            answer = route.handler(call)
        except Refusal as refusal:
            return refusal.answer
        if route.keep and self._kept_version == world.version:
            if self._kept_bytes > _KEPT_BYTES:
                self._kept.clear()
                self._kept_bytes = 0
            self._kept[key] = answer
            self._kept_bytes += len(answer.body)
        return answer

    def _elsewhere(self, received: ReceivedRequest, query: str) -> Answer:
        """Answer what is no operation of the API: files, or nothing."""
        if received.method != "GET":
            return _NOT_FOUND
        self.world.advance(asyncio.get_running_loop().time())
        authorized = received.auth is not None
        return fetch(self.world, self._storage, received.path, query, received.headers, authorized=authorized)

    def _response(self, received: ReceivedRequest, answer: Answer, headers: Mapping[str, str]) -> web.Response:
        body, content_type = answer.body, answer.content_type
        accept = received.headers.get("Accept", "")
        if "application/json" not in accept and content_type.startswith("application/json"):
            body = json.dumps(json.loads(body), indent=2, separators=(",", " : "), ensure_ascii=False).encode()
            if "text/plain" in accept:
                content_type = "text/plain;charset=utf-8"
        received.status = answer.status
        self.statistics.statuses[answer.status] += 1
        self.statistics.bytes_sent += len(body)
        own = {"Content-Type": content_type, "X-Request-Id": self.world.identities.uuid(Kind.REQUEST, received.number)}
        return web.Response(status=answer.status, body=body, headers={**own, **answer.headers, **headers})

    async def _fail(
        self,
        request: web.BaseRequest,
        received: ReceivedRequest,
        found: tuple[Route, dict[str, str]] | None,
        query: str,
        fault: Fault,
        limits: dict[str, str],
    ) -> web.StreamResponse:
        """Answer a request that something goes wrong with."""
        answer = _NOT_FOUND
        if fault.after or fault.kind in {"truncate", "cut", "slow", "headers"}:
            denied = received.auth is None and found is not None
            answer = _UNAUTHORIZED if denied else self._operate(received, found, query)
        if fault.status is not None:
            answer = Answer(fault.status, fault.body or b"", fault.content_type)
        headers = {**limits, **fault.headers}
        if fault.kind == "drop":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if fault.kind == "slow":
            await asyncio.sleep(self._slow)
        if fault.kind == "cut":
            response = self._response(received, answer, headers)
            assert isinstance(response.body, bytes)
            response.body = response.body[: max(1, len(response.body) // 2)]
            return response
        if fault.kind == "truncate":
            return await self._truncated(request, received, answer, headers)
        return self._response(received, answer, headers)

    async def _truncated(
        self, request: web.BaseRequest, received: ReceivedRequest, answer: Answer, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Promise the whole answer, send half of it and hang up."""
        whole = self._response(received, answer, headers)
        assert isinstance(whole.body, bytes)
        response = web.StreamResponse(status=whole.status, headers=whole.headers)
        response.content_length = len(whole.body)
        await response.prepare(request)
        await response.write(whole.body[: len(whole.body) // 2])
        if request.transport is not None:
            request.transport.close()
        return response


def _json_body(received: ReceivedRequest) -> Any:
    """The JSON body, which is lost when its content type is missing."""
    if not received.body or "application/json" not in received.headers.get("Content-Type", ""):
        return None
    try:
        return msgspec.json.decode(received.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "The request body is not valid JSON.") from None
