"""LocalCircleCI: a real HTTP server in the caller's event loop that behaves like CircleCI."""

from __future__ import annotations

import asyncio
import datetime
import json
import math
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import attrs
import msgspec
from aiohttp import web
from multidict import CIMultiDict

from .faults import Fault, FaultPlan
from .ids import Kind, base62, digest
from .model import Project
from .rate_limit import TokenBucket
from .recorder import Authentication, ReceivedRequest, Recorder, Statistics
from .request import RequestContext
from .response import (
    NOT_FOUND,
    RATE_LIMITED,
    TOO_LARGE,
    UNAUTHORIZED,
    APIErrorResponse,
    FileResponse,
    Response,
)
from .response_cache import ResponseCache
from .router import Route, Router
from .routes import GROUPS
from .routes.pipelines import continuation_key
from .routes.v1 import GROUPS as V1_GROUPS
from .routes.v3 import GROUPS as V3_GROUPS
from .sending import send_file, to_edn
from .signed_urls import UrlSigner
from .state import State
from .storage import fetch_artifact, fetch_stored
from .stories import Story
from .times import ServerClock, http_date
from .usage_csv import UsageFormat
from .webhook_sender import WebhookSender

__all__ = ["LocalCircleCI"]

_ROUTERS: Final = {"/api/v2": Router(GROUPS), "/api/v1.1": Router(V1_GROUPS), "/api/v3": Router(V3_GROUPS)}
_API = re.compile(r"(/api/v(?:1\.1|2|3))(/.*)")
# Put together here, so that a search for leaked tokens finds none in the source.
_TOKEN = f"CCIPAT_{base62(int.from_bytes(digest('token')[:16]))}_{digest('secret').hex()[:40]}"


class LocalCircleCI:
    """A local CircleCI on 127.0.0.1, whose organization is the same for the same seed and day.

    `projects` is a number of generated projects, or their slugs. `latency` is in seconds for each response,
    `page_size` replaces the sizes of all lists, `rate_limit` is in requests per second. `faults` is the share of
    requests that meet a fault: one number for all kinds together, or one for each kind. The kinds are `429`, `500`,
    `502`, `503`, `drop`, `truncate` and `slow`.

    What a caller starts takes `workflow_seconds` to run. Its workflows exist `workflow_delay` seconds after its
    pipeline: until then their list is a 404, as at CircleCI. `script` replaces this by stories.
    A branch with `fail` in its name fails. `[skip ci]` in a branch or a parameter makes `pipeline/run` skip. A
    project with `monorepo` in its name has a setup workflow. `webhooks` sends events. `spelling="spec"` uses the
    official document's keys where those on the wire differ. Artifacts and usage exports are behind signed URLs at
    `storage_host`, which refuses a token as S3 does.

    The server's clock is that of the event loop, `speed` times as fast, so a loop with virtual time works. Workflows,
    stories, signed URLs and the header `Date` follow it. `latency`, `slow` and `rate_limit` are in seconds of the loop.
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
        workflow_delay: float = 1.0,
        speed: float = 1.0,
        v3: bool = True,
    ) -> None:
        if isinstance(projects, int) and projects < 0:
            raise ValueError(f"projects must be 0 or more, got {projects}")
        if latency < 0:
            raise ValueError(f"latency must be 0 or more, got {latency}")
        if page_size is not None and page_size < 1:
            raise ValueError(f"page_size must be 1 or more, got {page_size}")
        if rate_limit is not None and rate_limit <= 0:
            raise ValueError(f"rate_limit must be above 0, got {rate_limit}")
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be a positive number, got {speed}")
        self.token = _TOKEN
        self.clock = ServerClock(speed)
        self.state = State(projects, seed, workflow_seconds, self.clock)
        self._recorder = Recorder(record)
        self._latency = latency
        self._page_size = page_size
        self.webhooks = WebhookSender(self.state)
        self._bucket = None if rate_limit is None else TokenBucket(rate_limit)
        self._faults = FaultPlan(faults, seed, retry_after, self.clock)
        self._host = host
        self._port = port
        self._rate_limit_headers = rate_limit_headers
        self._retry_after = retry_after
        self._spelling = spelling
        self._slow = slow
        self._storage_host = storage_host
        self._urls = UrlSigner("", seed)
        self._workflow_delay = workflow_delay
        self._routers = _ROUTERS if v3 else {root: _ROUTERS[root] for root in ("/api/v2", "/api/v1.1")}
        self._runner: web.ServerRunner | None = None
        self._handlers: set[asyncio.Task[Any]] = set()
        self._url: str | None = None
        self._storage_port = 0
        self._cache = ResponseCache()

    @property
    def url(self) -> str:
        """The root of the server, such as http://127.0.0.1:49152."""
        if self._url is None:
            raise RuntimeError("The server must be started first. Use `async with`, or await `start()`.")
        return self._url

    @property
    def storage_url(self) -> str:
        """The root of the storage, which refuses a token: another host and port than the API's."""
        return self._urls.root

    @property
    def usage_format(self) -> UsageFormat:
        """The form of the usage exports that are requested from now on."""
        return self.state.usage_format

    @usage_format.setter
    def usage_format(self, value: UsageFormat) -> None:
        self.state.usage_format = value

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests that arrived, in order."""
        return self._recorder.requests

    @property
    def statistics(self) -> Statistics:
        """The counts of all requests."""
        return self._recorder.statistics

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The changes of state: the name of each operation and what it changed."""
        return self.state.changes

    @property
    def midnight(self) -> datetime.datetime:
        """The end of the generated history and of all windows of Insights. The newest pipelines come just before."""
        return datetime.datetime.fromtimestamp(self.state.midnight, datetime.UTC)

    @property
    def projects(self) -> list[str]:
        """The slugs of all projects."""
        return [project.slug for project in self.state.projects.values()]

    def continuation_key(self, pipeline_id: str) -> str:
        """Return the key that continues a setup pipeline. CircleCI gives it only to the setup job."""
        pipeline = self.state.pipeline(pipeline_id)
        if pipeline is None:
            raise KeyError(pipeline_id)
        return continuation_key(pipeline)

    def script(self, project: str, *stories: Story, times: int | None = 1) -> None:
        """Let the next pipelines of a project follow `stories`, one each, in this order.

        Each story is followed by `times` pipelines; None: by all that follow. Without a story left, pipelines do what
        they do by default.
        """
        if times is not None and times < 1:
            raise ValueError(f"times must be 1 or more, got {times}")
        for story in stories:
            if not isinstance(story, Story):
                raise TypeError(f"stories must be of type Story, got {type(story).__name__}")
            self.state.script(self._project(project), story, times)

    def start_pipeline(self, project: str, *, branch: str | None = None, tag: str | None = None) -> str:
        """Start a pipeline as a push does, without a request. Return its id."""
        pipeline = self.state.trigger(
            self._project(project),
            branch=branch,
            tag=tag,
            parameters={},
            delay=self._workflow_delay,
            trigger="webhook",
        )
        self.state.version += 1
        self.webhooks.wake()
        return pipeline.id

    def _project(self, slug: str) -> Project:
        project = self.state.project(slug)
        if project is None:
            raise ValueError(f"project must be one of the server's projects, got {slug!r}")
        return project

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
        """Give a fault to the next `times` matching requests.

        `kind` is one of the random kinds or any HTTP status. `cut` is JSON that ends early, `answer` a response made of
        `status`, `body` and `headers`, and `headers` the true response with more headers. `path` is a prefix with or
        without `/api/v2`, or a regular expression. With `stage="after"` the operation is carried out before its
        response is lost. `body` is bytes, text or a value that becomes JSON.
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
        """Start to listen."""
        if self._runner is not None:
            raise RuntimeError("The server must not be started twice. Stop it first.")
        # A timeout of 0 would wait without a limit.
        runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.01)
        await runner.setup()
        try:
            for port in (self._port, 0):  # the API and its artifacts; the storage
                await web.TCPSite(runner, self._host, port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self._url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._storage_port = runner.addresses[1][1]
        self._urls = UrlSigner(f"http://{self._storage_host}:{self._storage_port}", self.state.seed)
        self.clock.start()
        self.webhooks.start()

    async def stop(self) -> None:
        """Stop to listen and close all connections. The recorded requests stay."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        # aiohttp abandons a handler whose client has disconnected. It would continue to sleep.
        await self.webhooks.stop()
        handlers = self._handlers.copy()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        self.clock.stop()

    # One request

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        number = self._recorder.begin()
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        try:
            return await self._handle(request, number)
        finally:
            self._handlers.discard(handler)
            self._recorder.end()

    async def _handle(self, request: web.BaseRequest, number: int) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        received = ReceivedRequest(
            method=request.method,
            path=path,
            query=parse_qsl(query, keep_blank_values=True),
            headers=request.headers,
            body=b"",
            at=asyncio.get_running_loop().time(),
            number=number,
            auth=self._authentication(request.headers),
        )
        self._recorder.add(received)
        try:
            received.body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._respond(received, TOO_LARGE, {})
        is_storage = _port(request) == self._storage_port
        api = None if is_storage else _API.fullmatch(path)
        router = None if api is None else self._routers.get(api[1])
        match = None if api is None or router is None else router.find(request.method, api[2])
        if match is not None:
            self._recorder.record_operation(received, match[0].operation)
        fault = self._faults.scripted(request.method, path)
        limits: dict[str, str] = {}
        if fault is None:
            refusal = self._refusal(received, limits) if path.startswith("/api/") and not is_storage else None
            if refusal is not None:
                return self._respond(received, refusal, limits)
            fault = self._faults.random(request.method)
        if self._latency:
            await asyncio.sleep(self._latency)
        if fault is None:
            return await self._send(request, received, self._operate(received, match, query, is_storage), limits)
        self._recorder.record_fault(received, fault.kind)
        response: Response | FileResponse = NOT_FOUND
        if fault.after or fault.kind in {"truncate", "cut", "slow", "headers"}:
            denied = received.auth is None and match is not None
            response = UNAUTHORIZED if denied else self._operate(received, match, query, is_storage)
        return await self._fail(request, received, response, fault, limits)

    def _authentication(self, headers: Mapping[str, str]) -> Authentication | None:
        """Return the way in which a request has shown the token, or None if it has not."""
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

    def _refusal(self, received: ReceivedRequest, limits: dict[str, str]) -> Response | None:
        """Return the error of an unknown path, a missing token or too many requests; otherwise None."""
        if received.operation is None:
            return NOT_FOUND
        if received.auth is None:
            return UNAUTHORIZED
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
        return RATE_LIMITED

    def _operate(
        self, received: ReceivedRequest, match: tuple[Route, dict[str, str]] | None, query: str, is_storage: bool
    ) -> Response | FileResponse:
        """Carry the operation out, or fetch a file."""
        state = self.state
        state.advance()
        if match is None:
            if received.method != "GET":
                return NOT_FOUND
            if is_storage:
                return fetch_stored(state, self._urls, received.path, query, received.headers)
            authorized = received.auth is not None
            return fetch_artifact(state, self._urls, received.path, received.headers, is_authorized=authorized)
        route, path_values = match
        version, key = state.version, f"{received.path}?{query}"
        cached = self._cache.get(version, key) if route.cacheable else None
        if cached is not None:
            return cached
        response: Response | FileResponse
        try:
            response = route.handler(self._context(received, route, path_values))
        except APIErrorResponse as error:
            return error.response
        if received.method != "GET":
            self.webhooks.wake()
        if isinstance(response, Response) and route.cacheable and response.cacheable and version == state.version:
            self._cache.put(version, key, response)
        return response

    def _context(self, received: ReceivedRequest, route: Route, path_values: Mapping[str, str]) -> RequestContext:
        query: dict[str, list[str]] = {}
        for name, value in received.query:
            query.setdefault(name, []).append(value)
        return RequestContext(
            state=self.state,
            operation=route.operation,
            method=received.method,
            path=received.path,
            path_values=path_values,
            query=query,
            body=_json_body(received),
            url=self.url,
            urls=self._urls,
            page_size=self._page_size,
            spelling=self._spelling,
            workflow_delay=self._workflow_delay,
            headers=received.headers,
        )

    def _respond(self, received: ReceivedRequest, response: Response, headers: Mapping[str, str]) -> web.Response:
        body, content_type = response.body, response.content_type
        accept = received.headers.get("Accept", "")
        if "application/json" not in accept and content_type.startswith("application/json"):
            value = json.loads(body) if body else None
            if received.path.startswith("/api/v1.1/"):
                body, content_type = to_edn(value).encode(), "application/edn;charset=utf-8"
            elif body:
                body = json.dumps(value, indent=2, separators=(",", " : "), ensure_ascii=False).encode()
            if "text/plain" in accept:
                content_type = "text/plain;charset=utf-8"
        self._recorder.record_status(received, response.status, len(body))
        own = self._headers(received, content_type, response.headers, headers)
        return web.Response(status=response.status, body=body, headers=own)

    def _headers(self, received: ReceivedRequest, content_type: str, *others: Mapping[str, str]) -> CIMultiDict[str]:
        headers = CIMultiDict(
            {
                "Content-Type": content_type,
                "Date": http_date(self.clock.now()),
                "X-Request-Id": self.state.ids.uuid(Kind.REQUEST, received.number),
            }
        )
        for other in others:
            headers.update(other)
        return headers

    async def _send(
        self,
        request: web.BaseRequest,
        received: ReceivedRequest,
        response: Response | FileResponse,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        if isinstance(response, Response):
            return self._respond(received, response, headers)
        self._recorder.record_status(received, response.status, 0)
        own = self._headers(received, response.content_type, response.headers, headers)
        result, size = await send_file(request, response, own)
        self.statistics.bytes_sent += size
        return result

    async def _fail(
        self,
        request: web.BaseRequest,
        received: ReceivedRequest,
        response: Response | FileResponse,
        fault: Fault,
        limits: dict[str, str],
    ) -> web.StreamResponse:
        """Respond to a request that meets a fault."""
        if fault.status is not None:
            response = Response(fault.status, fault.body or b"", fault.content_type)
        headers = {**limits, **fault.headers}
        if fault.kind == "drop":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if fault.kind == "slow":
            await asyncio.sleep(self._slow)
        if fault.kind not in {"cut", "truncate"}:
            return await self._send(request, received, response, headers)
        if isinstance(response, FileResponse):
            cut_after = 64 * 1024 if response.size is None else response.size // 2
            return await self._send(request, received, attrs.evolve(response, cut_after=cut_after), headers)
        whole = self._respond(received, response, headers)
        assert isinstance(whole.body, bytes)
        body = whole.body
        if fault.kind == "cut":
            whole.body = body[: max(1, len(body) // 2)]
            return whole
        truncated = FileResponse(
            status=whole.status, chunks=lambda: iter((body,)), size=len(body), cut_after=len(body) // 2
        )
        return (await send_file(request, truncated, whole.headers))[0]


def _port(request: web.BaseRequest) -> int | None:
    """Return the port that a request has come to."""
    return None if request.transport is None else request.transport.get_extra_info("sockname")[1]


def _json_body(received: ReceivedRequest) -> Any:
    """Return the decoded JSON body, or None if its content type is missing: the API then ignores it."""
    if not received.body or "application/json" not in received.headers.get("Content-Type", ""):
        return None
    try:
        return msgspec.json.decode(received.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise APIErrorResponse(400, "The request body is not valid JSON.") from None
