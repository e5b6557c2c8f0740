"""Decisions about bodies, on random stories against an observer."""

from __future__ import annotations

import random

from multidict import CIMultiDict

from aiocircle._core.ranges import BodyPlan, FailureCount, Verdict, plan_body, range_headers
from aiocircle._core.retry import RetryPolicy
from tests.support.rows import each_row
from tests.support.thorough import scaled

STORIES = scaled(2_000, 100_000)


def plan(
    status: int, headers: dict[str, str], offset: int = 0, etag: str | None = None, total: int | None = None
) -> BodyPlan:
    return plan_body(status, CIMultiDict(headers), offset=offset, etag=etag, total=total, now=0.0)


@each_row(
    ("status", "headers", "verdict"),
    [
        (200, {"Content-Length": "5"}, Verdict.READ),
        (200, {"Transfer-Encoding": "gzip, Chunked"}, Verdict.READ),
        (200, {}, Verdict.FAIL),
        (200, {"Content-Length": "-5"}, Verdict.FAIL),
        (206, {"Content-Range": "bytes 0-4/5"}, Verdict.FAIL),
        (416, {}, Verdict.FAIL),
        (429, {"Retry-After": "7"}, Verdict.RETRY),
        (500, {}, Verdict.RETRY),
        (404, {}, Verdict.FAIL),
        (302, {}, Verdict.FAIL),
        (204, {}, Verdict.FAIL),
    ],
)
def test_first_response(status: int, headers: dict[str, str], verdict: Verdict) -> None:
    """To a request without a range."""
    assert plan(status, headers).verdict is verdict


@each_row(
    ("etag", "strong"),
    [('"a"', True), ('""', True), ('W/"a"', False), ("a", False), ('"a', False), ('"a"b"', False), ("", False)],
)
def test_etag_is_strong(etag: str, strong: bool) -> None:
    """By RFC 9110; without one the body cannot be continued."""
    assert (plan(200, {"Content-Length": "5", "ETag": etag}).etag is not None) is strong


def test_encoded_body_is_not_continued() -> None:
    """Its length and its offsets are those of the compressed body."""
    encoded = plan(200, {"Content-Length": "5", "ETag": '"a"', "Content-Encoding": "gzip"})
    assert (encoded.verdict, encoded.etag, encoded.total, encoded.end) == (Verdict.READ, None, None, None)
    assert plan(200, {"Content-Length": "5", "Content-Encoding": "identity"}).total == 5


@each_row(
    ("content_range", "etag", "verdict"),
    [
        ("bytes 5-9/10", '"a"', Verdict.READ),
        ("bytes 5-7/10", '"a"', Verdict.READ),
        ("bytes 5-9/*", '"a"', Verdict.READ),
        ("bytes 5-9/10", '"b"', Verdict.RESTART),
        ("bytes 5-9/10", 'W/"a"', Verdict.RESTART),
        ("bytes 5-9/10", "", Verdict.RESTART),
        ("bytes 4-9/10", '"a"', Verdict.RESTART),
        ("bytes 6-9/10", '"a"', Verdict.RESTART),
        ("bytes 5-4/10", '"a"', Verdict.RESTART),
        ("bytes 5-10/10", '"a"', Verdict.RESTART),
        ("bytes 5-9/11", '"a"', Verdict.RESTART),
        ("bytes */10", '"a"', Verdict.RESTART),
        ("", '"a"', Verdict.RESTART),
        ("pages 5-9/10", '"a"', Verdict.RESTART),
    ],
)
def test_range_is_that_of_the_request(content_range: str, etag: str, verdict: Verdict) -> None:
    """A part of the same file, from the same byte, of the same size."""
    found = plan(206, {"Content-Range": content_range, "ETag": etag}, offset=5, etag='"a"', total=10)
    assert found.verdict is verdict


def test_headers_name_the_range() -> None:
    """Only with a strong ETag, and never with a compression."""
    assert range_headers(0, '"a"') == range_headers(5, None) == {"Accept-Encoding": "identity"}
    assert range_headers(5, '"a"') == {"Accept-Encoding": "identity", "Range": "bytes=5-", "If-Range": '"a"'}


def test_stories_never_mix_two_files() -> None:
    """Random servers: what is read as one file is one version of it, from each byte to the next, and whole."""
    random_ = random.Random(5)
    finished = 0
    for _ in range(STORIES):
        size = random_.randrange(1, 50)
        version = 0
        received: list[tuple[int, int]] = []
        etag: str | None = None
        total: int | None = None
        for _ in range(30):
            if random_.random() < 0.1:
                version += 1
            body = [(version, at) for at in range(size)]
            offset = len(received) if etag else 0
            headers = {"ETag": random_.choice([f'"{version}"'] * 4 + [f'W/"{version}"', ""])}
            start = offset + random_.choice([0, 0, 0, 0, 1, -1])
            if offset and 0 <= start < size and random_.random() < 0.7:
                end = random_.randrange(start + 1, size + 1)
                status, part = 206, body[start:end]
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{random_.choice([size, size, '*', size + 1])}"
            else:
                status, part = random_.choice([(200, body), (200, body), (500, []), (416, [])])
                headers |= random_.choice([{"Content-Length": str(size)}, {"Transfer-Encoding": "chunked"}])
            found = plan(status, headers, offset=offset, etag=etag, total=total)
            if found.verdict is Verdict.RESTART:
                received, etag, total = [], None, None
            if found.verdict is not Verdict.READ:
                continue
            if found.offset == 0:
                received = []
            etag, total = found.etag, found.total
            assert found.offset == len(received)
            cut = random_.random() < 0.5
            received += part[: random_.randrange(len(part) + 1)] if cut else part
            if not cut and found.is_complete(len(received)):
                assert len({file_version for file_version, _ in received}) == 1
                assert [at for _, at in received] == list(range(len(received)))
                assert len(received) == size
                finished += 1
                break
    assert finished > STORIES // 2


def test_failures_are_bounded() -> None:
    """As many as the policy's attempts without a mebibyte of progress; a longer wait than max_wait ends it."""
    policy = RetryPolicy(attempts=3, base=1.0, cap=8.0, max_wait=20.0)
    failures = FailureCount(policy)
    assert [failures.next_delay(0, None, 0.5) for _ in range(3)] == [0.5, 1.0, None]
    failures = FailureCount(policy)
    mib = 1024 * 1024
    delays = [failures.next_delay(size, None, 0.5) for size in (10, mib + 10, mib + 20, mib + 30)]
    assert delays == [0.5, 0.5, 1.0, None]
    assert FailureCount(policy).next_delay(0, 20.0, 0.5) == 20.0
    assert FailureCount(policy).next_delay(0, 21.0, 0.5) is None


def test_trickle_and_changes_end() -> None:
    """A server of one byte a connection, and one that changes the file each time, are given up."""
    for sizes in (range(1, 100), [5_000_000 * (turn % 2) for turn in range(100)]):
        failures = FailureCount(RetryPolicy(attempts=5))
        assert any(failures.next_delay(size, None, 0.5) is None for size in sizes)
