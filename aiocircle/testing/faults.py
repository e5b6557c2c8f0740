"""Faults between a client and CircleCI: random ones by seed, and scripted ones."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

import attrs
import msgspec

from .times import ServerClock, http_date

__all__ = ["KINDS", "Fault", "FaultPlan"]

KINDS = ("429", "500", "502", "503", "drop", "truncate", "slow")

_SCRIPTED = (*KINDS, "cut", "answer", "headers")
_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_BODIES: dict[str, tuple[tuple[str, bytes], ...]] = {
    "429": (
        ("application/json;charset=utf-8", b'{"message":"Rate Limit Exceeded"}'),
        ("text/plain", b"Rate limited."),
        ("application/json", b"{}"),
    ),
    "500": (("application/json;charset=utf-8", b'{"message":"Internal server error."}'),),
    "502": (
        (
            "text/html",
            b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>"
            b"</center>\r\n</body>\r\n</html>\r\n",
        ),
    ),
    "503": (
        ("application/json;charset=utf-8", b'{"message":"Service unavailable"}'),
        ("text/html", b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"),
    ),
}


@attrs.frozen(kw_only=True)
class Fault:
    """A fault of one request."""

    kind: str
    after: bool = False  # True if the operation is carried out before its response is lost
    status: int | None = None
    body: bytes | None = None
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.define
class _ScriptedFault:
    fault: Fault
    times: int
    method: str | None
    path: str | re.Pattern[str] | None

    def matches(self, method: str, path: str) -> bool:
        if self.method is not None and self.method != method:
            return False
        if self.path is None:
            return True
        below = re.sub(r"^/api/v[0-9.]+", "", path)
        if isinstance(self.path, str):
            return path.startswith(self.path) or below.startswith(self.path)
        return self.path.search(path) is not None


class FaultPlan:
    """Decides for each request, in their order, if it meets a fault."""

    def __init__(self, faults: float | Mapping[str, float], seed: int, retry_after: bool, clock: ServerClock) -> None:
        rates = dict(faults) if isinstance(faults, Mapping) else dict.fromkeys(KINDS, faults / len(KINDS))
        unknown = rates.keys() - set(KINDS)
        if unknown:
            raise ValueError(f"faults must be of {', '.join(KINDS)}, got unknown {sorted(unknown)}")
        if not all(0 <= rate <= 1 for rate in rates.values()) or sum(rates.values()) > 1 + 1e-9:
            raise ValueError(f"faults must be rates between 0 and 1 whose sum is at most 1, got {rates}")
        self._rates = rates
        self._rng = random.Random(f"faults {seed}")
        self._retry_after = retry_after
        self._clock = clock
        self._scripts: list[_ScriptedFault] = []

    def inject(
        self,
        kind: str,
        *,
        times: int = 1,
        method: str | None = None,
        path: str | re.Pattern[str] | None = None,
        stage: str = "before",
        retry_after: str | float | None = None,
        status: int | None = None,
        body: bytes | str | object = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Give a fault to the next matching requests, as `LocalCircleCI.inject` describes."""
        if stage not in {"before", "after"}:
            raise ValueError(f"stage must be before or after, got {stage!r}")
        number = int(kind) if re.fullmatch(r"[1-5][0-9][0-9]", kind) else None
        if kind not in _SCRIPTED and number is None:
            raise ValueError(f"kind must be an HTTP status or one of {', '.join(_SCRIPTED)}, got {kind!r}")
        if kind == "answer" and status is None:
            raise ValueError(f"status must be an HTTP status with kind={kind!r}, got None. Pass status=200")
        content_type, content = _BODIES.get(kind, (("application/json;charset=utf-8", None),))[0]
        if number is not None and content is None:
            content = msgspec.json.encode({"message": f"Injected {kind}"})
        if isinstance(body, bytes | str):
            content, content_type = (body.encode() if isinstance(body, str) else body), "text/plain"
        elif body is not None:
            content, content_type = msgspec.json.encode(body), "application/json;charset=utf-8"
        extra = dict(headers or {})
        if retry_after is not None:
            extra["Retry-After"] = str(retry_after)
        elif kind == "429" and self._retry_after:
            extra.setdefault("Retry-After", "1")
        for name in [name for name in extra if name.lower() == "content-type"]:
            content_type = extra.pop(name)
        fault = Fault(
            kind=kind,
            after=stage == "after",
            status=status if status is not None else number,
            body=content,
            content_type=content_type,
            headers=extra,
        )
        self._scripts.append(_ScriptedFault(fault, times, method and method.upper(), path))

    def scripted(self, method: str, path: str) -> Fault | None:
        """Return the oldest scripted fault that matches this request, or None."""
        for script in self._scripts:
            if script.matches(method, path):
                script.times -= 1
                if script.times <= 0:
                    self._scripts.remove(script)
                return script.fault
        return None

    def random(self, method: str) -> Fault | None:
        """Return the random fault of this request, or None. Each request takes as many random numbers as any other."""
        if not self._rates:
            return None
        roll, stage, variant = self._rng.random(), self._rng.random(), self._rng.random()
        for kind, rate in self._rates.items():
            roll -= rate
            if roll < 0:
                return self._fault(kind, method in _CHANGES and stage < 0.5 and kind != "429", variant)
        return None

    def _fault(self, kind: str, after: bool, variant: float) -> Fault:
        if kind == "truncate":
            return Fault(kind="truncate" if variant < 0.5 else "cut", after=True)
        if kind in {"drop", "slow"}:
            return Fault(kind=kind, after=after or kind == "slow")
        bodies = _BODIES[kind]
        content_type, body = bodies[int(variant * len(bodies))]
        headers: dict[str, str] = {}
        if kind == "429" and self._retry_after:
            # Seconds or a date: the API uses both.
            date = http_date(self._clock.now())
            later = http_date(self._clock.now() + 1)
            headers = {"Date": date, "Retry-After": later} if variant > 0.75 else {"Retry-After": "1"}
        return Fault(kind=kind, after=after, status=int(kind), body=body, content_type=content_type, headers=headers)
