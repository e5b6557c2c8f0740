"""A client whose transport records and responds, and the figures at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from multidict import CIMultiDict

from aiocircle import CircleCI, Pager, RetryPolicy
from aiocircle._core.message import Request, Response
from tests.support.official_spec import OPERATIONS, Operation


class Wire:
    """The transport of a client that is connected to nothing: it keeps the last request."""

    def __init__(self) -> None:
        self.circle = CircleCI("a-token", retry=RetryPolicy(attempts=1))
        self.circle._executor.state.transport = self
        self.request: Request | None = None
        self._answer = Response(500, {}, b"")

    def respond_with(self, status: int, body: Any, kind: str = "application/json") -> None:
        """Respond with this from now on: bytes unchanged, any other body as JSON."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        self._answer = Response(status, CIMultiDict({"Content-Type": kind}), content)

    async def call(self, operation: Operation, *values: Any, **keywords: Any) -> Any:
        """Return the result of the operation's method; of a list, its first page."""
        self.request = None
        result = operation.method(self.circle)(*values, **keywords)
        return await (result.page() if isinstance(result, Pager) else result)

    @property
    def sent(self) -> Request:
        """The last request."""
        assert self.request is not None, "nothing was sent"
        return self.request

    @property
    def path(self) -> str:
        """The last request's path below the API's root, still encoded."""
        return urlsplit(self.sent.url).path.removeprefix("/api/v2")

    @property
    def query(self) -> list[tuple[str, str]]:
        """The last request's query, decoded."""
        return parse_qsl(urlsplit(self.sent.url).query, keep_blank_values=True, strict_parsing=True)

    @property
    def json(self) -> Any:
        """The last request's body; None if it has no body."""
        return None if self.sent.body is None else msgspec.json.decode(self.sent.body)

    # --- what the client sees of it

    def ensure_open(self) -> None:
        pass

    async def send(self, request: Request, timeout: Any) -> Response:
        self.request = request
        return self._answer

    async def close(self) -> None:
        pass


@pytest.fixture
def wire() -> Wire:
    return Wire()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of operations with a method, and of generated responses that were read."""
    if not OPERATIONS:
        return
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    reached = _total(reports, "reached")
    if reached is not None:
        terminalreporter.write_line(f"{reached} of {len(OPERATIONS)} operations reachable")
    answers, failures = _total(reports, "answers"), _total(reports, "failures")
    if answers is not None:
        terminalreporter.write_line(f"{answers} generated answers decoded, failures {failures}")


def _total(reports: Iterable[Any], figure: str) -> int | None:
    """The sum of what tests have recorded under a name (see record_property); None where none has."""
    found = [value for report in reports for name, value in report.user_properties if name == figure]
    return sum(found) if found else None
