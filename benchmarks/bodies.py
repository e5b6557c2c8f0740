"""The bodies of the server's responses: realistic ones, generated once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

WORKFLOWS = ("build", "deploy", "nightly")
"""The workflows of every project."""

JOBS = 8
"""The jobs of every workflow."""

_STATUSES = ("success", "success", "success", "failed", "success", "canceled")


def token(page: int) -> str:
    """Return the token of a page: as long as the API's are."""
    return f"AARLwwVx{page:08d}" + "9KXo2fTqLmZr7sYbGd3uPc5hEwJnA1vRk8iUtQ" * 2 + "=="


def slug(number: int) -> str:
    """Return the slug of one of the projects of the bulk scenario."""
    return f"gh/acme/bulk-{number}"


def page_number(token: str | None) -> int:
    return 0 if token is None else int(token[8:16])


def run(number: int) -> dict[str, Any]:
    """Return a run of a workflow, as the insights show it."""
    return {
        "id": _id("run", number),
        "branch": ("main", "develop", f"feature/{number % 17}-search")[number % 3],
        "duration": 180 + number * 7 % 900,
        "created_at": _time(number),
        "stopped_at": _time(number + 5),
        "credits_used": number * 31 % 5000,
        "status": _STATUSES[number % len(_STATUSES)],
        "is_approval": False,
    }


def pipeline(number: int) -> dict[str, Any]:
    """Return a pipeline of a GitHub OAuth project, which is the richest kind."""
    revision = uuid.uuid5(uuid.NAMESPACE_OID, f"revision {number}").hex + "0badcafe"
    return {
        "id": _id("pipeline", number),
        "errors": [],
        "project_slug": "gh/acme/web",
        "updated_at": _time(number + 1),
        "number": 100_000 - number,
        "trigger_parameters": None,
        "state": "created",
        "created_at": _time(number),
        "trigger": {
            "type": "webhook",
            "received_at": _time(number),
            "actor": {"login": f"dev-{number % 23}", "avatar_url": f"https://avatars.example.com/u/{number % 23}?v=4"},
        },
        "vcs": {
            "provider_name": "GitHub",
            "origin_repository_url": "https://github.com/acme/web",
            "target_repository_url": "https://github.com/acme/web",
            "revision": revision,
            "branch": f"feature/{number % 17}-search",
            "commit": {"subject": f"Search: step {number}", "body": "So that what is searched for is found."},
        },
    }


def user() -> dict[str, Any]:
    """Return the owner of the token."""
    return {"id": _id("user", 1), "login": "dev-1", "name": "A Developer", "avatar_url": "https://example.com/1.png"}


def workflow_metrics(name: str) -> dict[str, Any]:
    metrics = {**_metrics(), "mttr": 5400, "total_recoveries": 0}
    return {"name": name, "metrics": metrics, **_window(), "project_id": _id("project", 1)}


def job_metrics(number: int) -> dict[str, Any]:
    return {"name": f"job-{number}", "metrics": _metrics(), **_window()}


def flaky_tests() -> dict[str, Any]:
    """Return the flaky tests of a project, in the wire's spelling."""
    tests = [
        {
            "time_wasted": 12,
            "workflow_created_at": _time(number),
            "workflow_id": _id("workflow", number),
            "classname": f"tests.test_search.Test{number}",
            "pipeline_number": 7_000 + number,
            "workflow_name": "build",
            "test_name": f"test_finds_{number}",
            "job_name": "unit",
            "job_number": 90_000 + number,
            "times_flaked": 3,
            "source": "junit",
            "file": f"tests/test_search_{number}.py",
        }
        for number in range(6)
    ]
    return {"flaky_tests": tests, "total_flaky_tests": len(tests)}


class Page:
    """A page of a list, encoded once; only the first item's id differs from page to page, as it must."""

    def __init__(self, item: Callable[[int], dict[str, Any]], size: int) -> None:
        items = [item(number) for number in range(size)]
        first = items[0].pop("id")
        self._id = first[:24]
        self._items = encode(items)[2:]  # what follows [{ of the first item

    def body(self, number: int, pages: int) -> bytes:
        following = encode(token(number + 1) if number + 1 < pages else None)
        head = b'{"next_page_token":%b,"items":[{"id":"%b%012d",' % (following, self._id.encode(), number)
        return b"".join((head, self._items, b"}"))


def items(*values: dict[str, Any]) -> bytes:
    """Return a list of one page."""
    return encode({"items": values, "next_page_token": None})


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _metrics() -> dict[str, Any]:
    return {
        "total_runs": 412,
        "successful_runs": 371,
        "failed_runs": 41,
        "success_rate": 0.9005,
        "throughput": 4.58,
        "total_credits_used": 81_204,
        "median_credits_used": 0,
        "duration_metrics": {
            "min": 61,
            "mean": 402,
            "median": 388,
            "p95": 811,
            "max": 1904,
            "standard_deviation": 143.2,
            "total_duration": 165_624,
        },
    }


def _window() -> dict[str, str]:
    return {"window_start": _time(0), "window_end": _time(5000)}


def _id(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind} {number}"))


def _time(minute: int) -> str:
    day, minute = divmod(minute, 1440)
    return f"2026-{1 + day // 28 % 12:02d}-{1 + day % 28:02d}T{minute // 60:02d}:{minute % 60:02d}:07.{day % 1000:03d}Z"
