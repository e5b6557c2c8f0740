"""Signed events sent to a URL, with the disorders of real deliveries on request."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import math
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Literal, cast

import attrs
import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from .generator import commit_subject
from .ids import Kind
from .model import Job, Pipeline, Workflow, job_id
from .serializers import trigger_parameters
from .state import State
from .times import iso_ms

__all__ = ["EVENTS", "Delivery", "WebhookSender", "WebhookTarget"]

EVENTS = ("workflow-completed", "job-completed")
_DISORDERS = ("duplicate", "delay", "unsigned", "wrong_signature", "lost")
_TIMEOUT = 10.0  # seconds that a receiver has for its response


Disorder = Literal["duplicate", "delay", "unsigned", "wrong_signature", "lost"]
Signature = Literal["valid", "wrong", "missing"]


@attrs.frozen(kw_only=True)
class WebhookTarget:
    """A URL that receives the events of all projects."""

    id: str
    name: str
    url: str = attrs.field(repr=False)
    secret: str | None = attrs.field(repr=False)
    events: tuple[str, ...]
    project: str | None  # slug; None: all projects


@attrs.define(kw_only=True, eq=False)
class Delivery:
    """One attempt to deliver an event."""

    event: str
    id: str | None
    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    at: float  # seconds since the epoch, of the server's clock
    disorder: str | None = None
    status: int | None = None  # None until the response arrives, and if it never does
    error: str | None = None  # the name of the exception; "lost" if nothing was sent


@attrs.define
class _Injection:
    disorder: Disorder
    times: int
    event: str | None
    seconds: float


class WebhookSender:
    """Sends `workflow-completed` and `job-completed` events, as `server.webhooks`.

    `add` names a URL that receives an event each time a workflow or a job ends. `inject` gives the next events a
    disorder. `send` sends any body. `deliveries` has all attempts. A delivery without a 2xx within ten seconds is
    repeated with the same `id`, `retries` times, `retry_delay` seconds apart. Seconds are those of the server's clock.
    """

    retries = 2
    retry_delay = 5.0

    def __init__(self, state: State) -> None:
        self.targets: list[WebhookTarget] = []
        self.deliveries: list[Delivery] = []
        self._state = state
        self._injections: list[_Injection] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        state.workflow_listeners.append(lambda run: self._on_ended(run.pipeline, self.workflow_completed(run.id)))
        state.job_listeners.append(lambda job: self._on_ended(job.workflow.pipeline, self._job_event(job)))

    # Set-up

    def add(
        self,
        url: str,
        *,
        secret: str | None = None,
        events: Sequence[str] = EVENTS,
        project: str | None = None,
        name: str = "local",
    ) -> WebhookTarget:
        """Send the events of a project, or of all, to a URL from now on. Without a secret they are unsigned."""
        unknown = set(events) - set(EVENTS)
        if unknown:
            raise ValueError(f"events must be of {', '.join(EVENTS)}, got {sorted(unknown)}")
        target = WebhookTarget(
            id=self._state.new_id(Kind.WEBHOOK),
            name=name,
            url=url,
            secret=secret,
            events=tuple(events),
            project=project,
        )
        self.targets.append(target)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._follow)
        return target

    def remove(self, target: WebhookTarget) -> None:
        """Send no more events to a URL."""
        self.targets.remove(target)

    def inject(self, disorder: Disorder, *, times: int = 1, event: str | None = None, seconds: float = 30.0) -> None:
        """Give the next `times` events, or those of one type, a disorder.

        `duplicate` sends an event twice, `delay` sends it `seconds` late, `unsigned` omits the signature,
        `wrong_signature` signs with another secret, `lost` never sends it.
        """
        if disorder not in _DISORDERS:
            raise ValueError(f"disorder must be one of {', '.join(_DISORDERS)}, got {disorder!r}")
        self._injections.append(_Injection(disorder, times, event, seconds))

    # Events

    def workflow_completed(self, workflow_id: str) -> dict[str, Any]:
        """Return the event of a workflow's end, also of one that has not ended."""
        run = self._state.workflow(workflow_id)
        if run is None:
            raise ValueError("workflow_id must be the id of a workflow of this server")
        event = self._event("workflow-completed", run, run.id, run.stopped)
        event["workflow"]["status"] = run.status
        return event

    def job_completed(self, job_id: str) -> dict[str, Any]:
        """Return the event of a job's end, also of one that has not ended."""
        job = self._state.job(job_id)
        if job is None:
            raise ValueError("job_id must be the id of a job of this server")
        return self._job_event(job)

    def ping(self) -> dict[str, Any]:
        """Return a new event `ping`."""
        return {
            "type": "ping",
            "id": self._state.new_id(Kind.EVENT),
            "happened_at": _microseconds(self._state.now()),
            "webhook": {"id": self._state.ids.uuid(Kind.WEBHOOK, 0), "name": "local"},
        }

    def _job_event(self, job: Job) -> dict[str, Any]:
        run = job.workflow
        ident = job_id(self._state.ids, job)
        event = self._event("job-completed", run, ident, job.stopped)
        event["job"] = {
            "id": ident,
            "name": job.plan.name,
            "number": job.number,
            "status": job.status,
            "started_at": None if job.started is None else iso_ms(job.started),
            "stopped_at": None if job.stopped is None else iso_ms(job.stopped),
        }
        return event

    def _event(self, kind: str, run: Workflow, subject: str, stopped: float | None) -> dict[str, Any]:
        """Return what the events have in common. Their `id` is the same for the same end."""
        pipeline = run.pipeline
        project = pipeline.project
        slug = f"{project.organization.provider}/{project.organization.fragment}/{project.fragment}"
        long_slug = slug.replace("gh/", "github/", 1).replace("bb/", "bitbucket/", 1)
        page = f"https://app.circleci.com/pipelines/{long_slug}/{pipeline.number}/workflows/{run.id}"
        about: dict[str, Any] = {"id": pipeline.id, "number": pipeline.number, "created_at": iso_ms(pipeline.created)}
        about["trigger"] = {"type": pipeline.trigger}
        if project.organization.standalone:
            about["trigger_parameters"] = trigger_parameters(pipeline, pipeline.created)
        else:
            about["vcs"] = _vcs(pipeline)
        return {
            "type": kind,
            "id": self._state.ids.event_uuid(kind, subject),
            "happened_at": _microseconds(self._state.now() if stopped is None else stopped),
            "webhook": {"id": self._state.ids.uuid(Kind.WEBHOOK, 0), "name": "local"},
            "workflow": {
                "id": run.id,
                "name": run.name,
                "created_at": iso_ms(run.created),
                "stopped_at": None if run.stopped is None else iso_ms(run.stopped),
                "url": page,
            },
            "pipeline": about,
            "project": {"id": project.id, "name": project.name, "slug": long_slug},
            "organization": {"id": project.organization.id, "name": project.organization.name},
        }

    # Sending

    async def send(
        self,
        body: bytes | str | Mapping[str, Any],
        url: str | None = None,
        *,
        secret: str | None = None,
        signature: Signature | str = "valid",
        event: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Delivery:
        """Send any body once, and return the delivery with the status of the response.

        `url` and `secret` None are those of the first target. `signature` is `valid`, `wrong`, `missing`, or the value
        of the header. `event` is the value of `circleci-event-type`; None: the `type` of the body.
        """
        if url is None:
            if not self.targets:
                raise ValueError("url must be given, because no target has been added")
            url, secret = self.targets[0].url, secret or self.targets[0].secret
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        fields: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
        delivery = Delivery(
            event=event or str(fields.get("type", "workflow-completed")),
            id=cast("str | None", fields.get("id")),
            body=raw,
            headers={},
            at=self._state.now(),
        )
        delivery.headers = {**_headers(delivery, secret, signature), **(headers or {})}
        await self._post(delivery, url)
        return delivery

    async def wait(self) -> None:
        """Wait until all events that are due have been delivered, with their retries and delays."""
        if self._loop is None:
            return
        if self._loop is asyncio.get_running_loop():
            await self._wait()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._wait(), self._loop))

    async def _wait(self) -> None:
        self._state.advance()
        while self._tasks:
            await asyncio.wait(self._tasks.copy())
            self._state.advance()

    def _on_ended(self, pipeline: Pipeline, event: dict[str, Any]) -> None:
        if self._loop is None:
            return
        for target in self.targets:
            wanted = target.project is None or self._state.project(target.project) is pipeline.project
            if wanted and event["type"] in target.events:
                webhook = {"id": target.id, "name": target.name}
                self._spawn(self._deliver({**event, "webhook": webhook}, target, self._next_injection(event["type"])))

    def _next_injection(self, event: str) -> _Injection | None:
        for injection in self._injections:
            if injection.event in {None, event}:
                injection.times -= 1
                if injection.times <= 0:
                    self._injections.remove(injection)
                return injection
        return None

    async def _deliver(self, event: dict[str, Any], target: WebhookTarget, injection: _Injection | None) -> None:
        disorder = None if injection is None else injection.disorder
        if injection is not None and disorder == "delay":
            await self._sleep(injection.seconds)
        signatures: dict[str | None, Signature] = {"unsigned": "missing", "wrong_signature": "wrong"}
        for _ in range(2 if disorder == "duplicate" else 1):
            for attempt in range(1 + self.retries):
                if attempt:
                    await self._sleep(self.retry_delay)
                delivery = Delivery(
                    event=event["type"],
                    id=event["id"],
                    body=msgspec.json.encode(event),
                    headers={},
                    at=self._state.now(),
                    disorder=disorder,
                )
                if disorder == "lost":
                    delivery.error = "lost"
                    self.deliveries.append(delivery)
                    return
                delivery.headers = _headers(delivery, target.secret, signatures.get(disorder, "valid"))
                await self._post(delivery, target.url)
                if delivery.status is not None and 200 <= delivery.status < 300:
                    break

    async def _post(self, delivery: Delivery, url: str) -> None:
        self.deliveries.append(delivery)
        timeout = ClientTimeout(total=self._state.clock.loop_seconds(_TIMEOUT))
        try:
            async with (
                ClientSession(timeout=timeout) as session,
                session.post(url, data=delivery.body, headers=delivery.headers) as response,
            ):
                await response.read()
                delivery.status = response.status
        except (ClientError, TimeoutError, OSError) as error:
            delivery.error = type(error).__name__

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(self._state.clock.loop_seconds(seconds))

    # In the server's loop

    def start(self) -> None:
        """Deliver events in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        if self.targets:
            self._follow()

    async def stop(self) -> None:
        """Cancel all deliveries."""
        self._loop = None
        tasks = [*self._tasks, *([self._follower] if self._follower is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._follower = None

    def wake(self) -> None:
        """Look for the next end again, because the state has changed."""
        if self._follower is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def _follow(self) -> None:
        if self._follower is None and self._loop is not None:
            self._follower = self._loop.create_task(self._follow_state())
        self.wake()

    async def _follow_state(self) -> None:
        """Bring the state to the present each time something ends, also without a request."""
        while True:
            self._wake.clear()
            self._state.advance()
            due = self._state.next_change()
            wait = None if due == math.inf else max(0.0, self._state.clock.loop_seconds(due - self._state.now()))
            with contextlib.suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def _spawn(self, delivery: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(delivery)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _headers(delivery: Delivery, secret: str | None, signature: str) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "user-agent": "CircleCI-Webhook/1.0",
        "circleci-event-type": delivery.event,
    }
    if signature == "missing" or (secret is None and signature in {"valid", "wrong"}):
        return headers
    if signature in {"valid", "wrong"}:
        key = f"{secret}{'' if signature == 'valid' else ' of another'}".encode()
        signature = f"v1={hmac.new(key, delivery.body, hashlib.sha256).hexdigest()}"
    headers["circleci-signature"] = signature
    return headers


def _microseconds(seconds: float) -> str:
    return iso_ms(seconds).replace("Z", f"{int(seconds * 1_000_000) % 1000:03}Z")


def _vcs(pipeline: Pipeline) -> dict[str, Any]:
    """Return the `vcs` of an event: a tag has neither a branch nor a key `tag`, and no details of the commit."""
    has_commit = pipeline.tag is None and pipeline.trigger != "api"
    person = {"name": pipeline.actor.name, "email": f"{pipeline.actor.login}@acme.example"} if has_commit else None
    at = iso_ms(pipeline.created) if has_commit else None
    url = pipeline.project.repository_url
    empty = {"name": None, "email": None}
    return {
        "provider_name": "bitbucket" if pipeline.project.organization.provider == "bb" else "github",
        "origin_repository_url": url,
        "target_repository_url": url,
        "revision": pipeline.revision,
        "branch": pipeline.branch,
        "commit": {
            "subject": commit_subject(pipeline) if has_commit else None,
            "body": "" if has_commit else None,
            "author": person or empty,
            "authored_at": at,
            "committer": None if pipeline.project.organization.provider == "bb" else person or empty,
            "committed_at": at,
        },
    }
