"""What goes wrong between a client and CircleCI: random faults by seed, and faults that a test asks for."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from email.utils import formatdate

import attrs
import msgspec

from .world import now

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
    """One thing that goes wrong with one request."""

    kind: str
    after: bool = False  # whether the operation is carried out all the same
    status: int | None = None
    body: bytes | None = None
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.define
class _Script:
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
    """Decides for each request, in their order, whether something goes wrong with it."""

    def __init__(self, faults: float | Mapping[str, float], seed: int, retry_after: bool) -> None:
        rates = dict(faults) if isinstance(faults, Mapping) else dict.fromkeys(KINDS, faults / len(KINDS))
        unknown = rates.keys() - set(KINDS)
        if unknown:
            raise ValueError(f"unknown faults {sorted(unknown)}; there are {', '.join(KINDS)}")
        if not all(0 <= rate <= 1 for rate in rates.values()) or sum(rates.values()) > 1 + 1e-9:
            raise ValueError(f"the rates of faults must be shares of all requests: {rates}")
        self._rates = rates
        self._rng = random.Random(f"faults {seed}")
        self._retry_after = retry_after
        self._scripts: list[_Script] = []

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
        """Let something go wrong with the next matching requests; see `LocalCircleCI.inject`."""
        if stage not in {"before", "after"}:
            raise ValueError(f"stage is before or after, not {stage!r}")
        number = int(kind) if re.fullmatch(r"[1-5][0-9][0-9]", kind) else None
        if kind not in _SCRIPTED and number is None:
            raise ValueError(f"unknown fault {kind!r}; there are {', '.join(_SCRIPTED)} and any HTTP status")
        if kind == "answer" and status is None:
            raise ValueError("an answer needs a status")
        content_type, own = _BODIES.get(kind, (("application/json;charset=utf-8", None),))[0]
        if number is not None and own is None:
            own = msgspec.json.encode({"message": f"Injected {kind}"})
        if isinstance(body, bytes | str):
            own, content_type = (body.encode() if isinstance(body, str) else body), "text/plain"
        elif body is not None:
            own, content_type = msgspec.json.encode(body), "application/json;charset=utf-8"
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
            body=own,
            content_type=content_type,
            headers=extra,
        )
        self._scripts.append(_Script(fault, times, method and method.upper(), path))

    def scripted(self, method: str, path: str) -> Fault | None:
        """The fault that a test has asked for with this request, the oldest first."""
        for script in self._scripts:
            if script.matches(method, path):
                script.times -= 1
                if script.times <= 0:
                    self._scripts.remove(script)
                return script.fault
        return None

    def drawn(self, method: str) -> Fault | None:
        """The fault that chance has for this request; every request draws as often as any other."""
        if not self._rates:
            return None
        roll, stage, flavour = self._rng.random(), self._rng.random(), self._rng.random()
        for kind, rate in self._rates.items():
            roll -= rate
            if roll < 0:
                return self._fault(kind, method in _CHANGES and stage < 0.5 and kind != "429", flavour)
        return None

    def _fault(self, kind: str, after: bool, flavour: float) -> Fault:
        if kind == "truncate":
            return Fault(kind="truncate" if flavour < 0.5 else "cut", after=True)
        if kind in {"drop", "slow"}:
            return Fault(kind=kind, after=after or kind == "slow")
        bodies = _BODIES[kind]
        content_type, body = bodies[int(flavour * len(bodies))]
        headers: dict[str, str] = {}
        if kind == "429" and self._retry_after:
            # Seconds or a date: the API may answer with either.
            date = formatdate(now(), usegmt=True)
            later = formatdate(now() + 1, usegmt=True)
            headers = {"Date": date, "Retry-After": later} if flavour > 0.75 else {"Retry-After": "1"}
        return Fault(kind=kind, after=after, status=int(kind), body=body, content_type=content_type, headers=headers)
