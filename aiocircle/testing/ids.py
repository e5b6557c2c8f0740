"""Ids that contain the address of their resource. They need no table, so history can be generated lazily."""

from __future__ import annotations

import enum
import hashlib
import re
import uuid

import attrs

__all__ = ["Address", "IdFactory", "Kind", "base62", "digest", "is_project_slug", "is_uuid"]

_PAYLOAD_BITS = 122  # the free bits of a version 4 UUID
_MASK = (1 << _PAYLOAD_BITS) - 1
_HALF = _PAYLOAD_BITS // 2
_CHECK_BITS = 41
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FRAGMENT = re.compile(r"[0-9A-Za-z]{21,22}")


class Kind(enum.IntEnum):
    """The type of resource of an id."""

    USER = 1
    ORGANIZATION = 2
    PROJECT = 3
    PIPELINE = 4
    WORKFLOW = 5
    JOB = 6
    APPROVAL = 7
    SYSTEM = 8
    CONTEXT = 9
    RESTRICTION = 10
    COMPONENT = 11
    ENVIRONMENT = 12
    GROUP = 13
    ALLOW_LIST_ENTRY = 14
    EXPORTER = 15
    DEFINITION = 16
    TRIGGER = 17
    DECISION = 18
    SCHEDULE = 19
    USAGE_EXPORT = 20
    WEBHOOK = 21
    ROLLBACK = 22
    REQUEST = 23
    EVENT = 24


@attrs.frozen
class Address:
    """The address of a resource: its kind, its owner's key and up to three numbers inside that owner."""

    kind: Kind
    owner: int
    number: int
    sub: int
    index: int


def digest(*parts: object) -> bytes:
    """Return 32 bytes that depend only on the parts."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=32).digest()


def base62(number: int) -> str:
    """Return a number as in the slugs of standalone projects: 22 digits of base 62."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits.rjust(22, "0")


class IdFactory:
    """The UUIDs of one seed: a reversible scramble of an address, with a check value."""

    def __init__(self, seed: int) -> None:
        key = digest("ids", seed)
        self._first = int.from_bytes(key[:15]) | 1
        self._second = int.from_bytes(key[15:30]) | 1
        self._unfirst = pow(self._first, -1, 1 << _PAYLOAD_BITS)
        self._unsecond = pow(self._second, -1, 1 << _PAYLOAD_BITS)
        self._check = int.from_bytes(digest("check", seed)) & ((1 << _CHECK_BITS) - 1)

    def uuid(self, kind: Kind, owner: int, number: int = 0, sub: int = 0, index: int = 0) -> str:
        """Return the UUID of an address (owner: 32 bits, number: 24, sub and index: 10 each)."""
        plain = ((((kind << 32 | owner) << 24 | number) << 10 | sub) << 10 | index) << _CHECK_BITS | self._check
        mixed = plain * self._first & _MASK
        mixed ^= mixed >> _HALF
        mixed = mixed * self._second & _MASK
        mixed ^= mixed >> _HALF
        # 12 bits of it stand before the version digit's group, the variant comes next: 48, 4 (version), 12, 2, 62.
        text = (
            f"{(mixed >> 74) << 80 | 4 << 76 | ((mixed >> 62) & 0xFFF) << 64 | 2 << 62 | mixed & ((1 << 62) - 1):032x}"
        )
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def event_uuid(self, event: str, subject: str) -> str:
        """Return the UUID of an event: a name-based one (version 3), the same for the same type and subject."""
        return str(uuid.uuid3(uuid.NAMESPACE_URL, f"{event} {subject}"))

    def address(self, uuid: str) -> Address | None:
        """Return the address of `uuid`, or None if it is not of this seed."""
        try:
            bits = int(uuid.replace("-", ""), 16)
        except ValueError:
            return None
        mixed = (bits >> 80) << 74 | ((bits >> 64) & 0xFFF) << 62 | bits & ((1 << 62) - 1)
        mixed ^= mixed >> _HALF
        mixed = mixed * self._unsecond & _MASK
        mixed ^= mixed >> _HALF
        plain = mixed * self._unfirst & _MASK
        if plain & ((1 << _CHECK_BITS) - 1) != self._check:
            return None
        plain >>= _CHECK_BITS
        index, plain = plain & 0x3FF, plain >> 10
        sub, plain = plain & 0x3FF, plain >> 10
        number, plain = plain & 0xFFFFFF, plain >> 24
        owner, kind = plain & 0xFFFFFFFF, plain >> 32
        try:
            return Address(Kind(kind), owner, number, sub, index)
        except ValueError:
            return None


def is_uuid(text: str) -> bool:
    """Return True if a text is a UUID in its usual form."""
    if len(text) != 36:
        return False
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def is_project_slug(slug: str) -> bool:
    """Return True if a text has the form of a project slug. In a standalone one, both parts are opaque or UUIDs."""
    parts = slug.split("/")
    if len(parts) != 3 or not all(parts):
        return False
    if parts[0] in {"gh", "github", "bb", "bitbucket"}:
        return True
    return parts[0] == "circleci" and all(_FRAGMENT.fullmatch(part) or is_uuid(part) for part in parts[1:])
