"""Files of usage exports: both ways of quoting, any division, bad rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle.composites._usage_csv import UsageFile, _members, read_usage_rows
from aiocircle.errors import DecodeError
from aiocircle.resources.usage import UsageRow
from tests.support.rows import each_row

COLUMNS = [field.name.upper() for field in attrs.fields(UsageRow)][:-1]
VALUES: dict[str, str] = {
    "ORGANIZATION_ID": "o-1",
    "ORGANIZATION_NAME": "acme",
    "ORGANIZATION_CREATED_DATE": "2020-01-02",
    "VCS_BRANCH": r"\N",
    "PIPELINE_CREATED_AT": "2026-11-20 09:14:05.123",
    "PIPELINE_NUMBER": "418",
    "IS_UNREGISTERED_USER": "N",
    "IS_WORKFLOW_SUCCESSFUL": "true",
    "JOB_ID": "j-1",
    "JOB_RUN_DATE": "2026-11-20",
    "JOB_RUN_SECONDS": "12.5",
    "TOTAL_CREDITS": "30",
    "USER_CREDITS": "",
}
ROW = UsageRow(
    organization_id="o-1",
    organization_name="acme",
    organization_created_date=datetime(2020, 1, 2, tzinfo=UTC),
    pipeline_created_at=datetime(2026, 11, 20, 9, 14, 5, 123000, UTC),
    pipeline_number=418,
    is_unregistered_user=False,
    is_workflow_successful=True,
    job_id="j-1",
    job_run_date=date(2026, 11, 20),
    job_run_seconds=12.5,
    total_credits=30.0,
)


def record(**values: str) -> list[str]:
    return [{**VALUES, **values}.get(column, r"\N") for column in COLUMNS]


def doubled(*records: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *records])
    return text.getvalue()


def escaped(*records: list[str]) -> str:
    def value(text: str) -> str:
        if text == r"\N":
            return text
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "".join(",".join(map(value, each)) + "\n" for each in [COLUMNS, *records])


def rows(body: bytes | str, size: int = 1 << 20) -> list[UsageRow]:
    data = body.encode() if isinstance(body, str) else body
    file = UsageFile()
    found = [row for at in range(0, len(data), size) for batch in file.feed(data[at : at + size]) for row in batch]
    found += [row for batch in file.finish() for row in batch]
    file.check()
    return found


def test_columns_are_the_documented_ones() -> None:
    """In their order, with their types."""
    table = Path(__file__).parents[5] / "shared" / "spec" / "usage-export-columns.tsv"
    if not table.is_file():
        pytest.skip("the list of columns is not at ../shared/spec")
    documented = list(csv.DictReader(table.read_text("utf-8").splitlines(), delimiter="\t"))
    assert [each["column"] for each in documented] == COLUMNS
    fields = attrs.fields_dict(attrs.resolve_types(UsageRow))
    assert [each["column"] for each in documented if each["nullable"] == "no"] == [
        name.upper() for name, field in fields.items() if field.default is attrs.NOTHING
    ]
    kinds = {"str": str, "int": int, "float": float, "bool": bool, "timestamp": datetime, "date": date}
    for each in documented:
        word = "timestamp" if "timestamp" in each["type"] else each["type"].split(",")[0]
        assert kinds[word] in _members(fields[each["column"].lower()].type), each


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("write", [doubled, escaped])
@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode(), mtime=0)])
def test_row_is_typed(write: Any, pack: Any, size: int) -> None:
    """Compressed or not, quoted one way or the other, divided anywhere."""
    assert rows(pack(write(record())), size) == [ROW]


@each_row(
    ("column", "text", "value"),
    [
        ("IS_UNREGISTERED_USER", "Y", True),
        ("IS_UNREGISTERED_USER", "false", False),
        ("IS_UNREGISTERED_USER", "TRUE", True),
        ("IS_UNREGISTERED_USER", r"\N", None),
        ("PARALLELISM", "4.0", 4),
        ("PARALLELISM", "", None),
        ("JOB_RUN_SECONDS", "7", 7.0),
        ("JOB_RUN_DATE", "2026-11-20 00:00:00.000", date(2026, 11, 20)),
        ("JOB_RUN_STARTED_AT", "2026-11-20 01:02:03", datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)),
        ("JOB_RUN_STARTED_AT", "2026-11-20T01:02:03.5Z", datetime(2026, 11, 20, 1, 2, 3, 500000, UTC)),
        ("JOB_RUN_STARTED_AT", "2026-11-20 01:02:03+00:00", datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)),
        ("JOB_RUN_STARTED_AT", "2026-11-20 01:02:03.123 UTC", datetime(2026, 11, 20, 1, 2, 3, 123000, UTC)),
        ("JOB_NAME", "", ""),
        ("JOB_NAME", "null", "null"),
        ("JOB_NAME", r"a\Nb", r"a\Nb"),
        ("JOB_NAME", "a,b", "a,b"),
    ],
)
def test_value_is_read(column: str, text: str, value: object) -> None:
    """As the API writes it, in each way that was seen."""
    (row,) = rows(doubled(record(**{column: text})))
    assert getattr(row, column.lower()) == value


NAMES = st.text(alphabet='ab,"\\N \nü', max_size=8).filter(lambda text: text != r"\N")


@given(st.lists(NAMES, min_size=1, max_size=6), st.integers(60, 3000))
def test_doubled_quotes_are_read(names: list[str], size: int) -> None:
    """Any text survives, if the file shows that quotes are doubled."""
    records = [record(JOB_NAME='say ""hi"" now'), *(record(JOB_NAME=name) for name in names)]
    assert [row.job_name for row in rows(doubled(*records), size)] == ['say ""hi"" now', *names]


@given(st.lists(NAMES, min_size=1, max_size=6), st.integers(60, 3000))
def test_escaped_quotes_are_read(names: list[str], size: int) -> None:
    """Any text survives, if the file shows that backslashes escape."""
    records = [record(JOB_NAME='say "hi", now'), *(record(JOB_NAME=name) for name in names)]
    assert [row.job_name for row in rows(escaped(*records), size)] == ['say "hi", now', *names]


def test_backslash_before_a_closing_quote() -> None:
    """A path in a file of doubled quotes: the way that gives all records one width is right."""
    records = [record(JOB_NAME="C:\\dir\\,x"), record(JOB_NAME="C:\\a\\, b\\")]
    assert [row.job_name for row in rows(doubled(*records))] == ["C:\\dir\\,x", "C:\\a\\, b\\"]


def test_unknown_columns_are_kept() -> None:
    """By their header; a known column may be missing, and the order is free."""
    text = "JOB_ID,New Column,ORGANIZATION_NAME,ORGANIZATION_ID,NULL_ONE\nj,x,n,o,\\N\n"
    (row,) = rows(text)
    assert row == UsageRow(
        organization_id="o", organization_name="n", job_id="j", extra={"New Column": "x", "NULL_ONE": None}
    )
    assert hash(row) == hash(attrs.evolve(row, extra={}))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",".join(record(JOB_RUN_SECONDS="fast")), "job_run_seconds"),
        (",".join(record(PIPELINE_CREATED_AT="yesterday")), "pipeline_created_at"),
        (",".join(record(PARALLELISM="1.5")), "parallelism"),
        (",".join(record(JOB_ID=r"\N")), "job_id"),
        ("a,b", "expected 48 values, got 2"),
        (",".join([*record(), "x"]), "expected 48 values, got 49"),
        ('"never closed,' + ",".join(record()), "quote"),
        ('a"b,' + ",".join(record()), "expected 48 values, got 49"),
    ],
)
@pytest.mark.parametrize("size", [50, 1 << 20])
def test_bad_row_costs_that_row(line: str, reason: str, size: int) -> None:
    """Those before and after it are yielded; the error at the end has its line and its reason."""
    good = [record(JOB_NAME=str(number)) for number in range(400)]
    header, *others = doubled(*good).splitlines()
    file = UsageFile()
    data = "\n".join([header, *others[:200], line, *others[200:]]).encode()
    found = [row for at in range(0, len(data), size) for batch in file.feed(data[at : at + size]) for row in batch]
    found += [row for batch in file.finish() for row in batch]
    assert [row.job_name for row in found] == [str(number) for number in range(400)]
    with pytest.raises(DecodeError, match=reason) as caught:
        file.check()
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("line 202: ")


def test_many_bad_rows_are_counted() -> None:
    """The first ten with their reasons."""
    with pytest.raises(DecodeError) as caught:
        rows(doubled(*[record(PARALLELISM="x")] * 25, record()))
    assert len(caught.value.problems) == 11
    assert caught.value.problems[-1] == "15 more rows"


@each_row(
    ("body", "reason"),
    [
        (gzip.compress(doubled(record()).encode())[:-9], "ends within"),
        (b"\x1f\x8bno gzip at all", "not valid gzip"),
        (b"<?xml version='1.0'?>\n<Error/>\n", "header has no column ORGANIZATION_ID"),
        (b"JOB_ID,ORGANIZATION_ID\n", "ORGANIZATION_NAME"),
        (b"x" * 3_000_000, "characters"),
    ],
)
def test_other_file_is_an_error(body: bytes, reason: str) -> None:
    """A cut file, an error of the storage, a line without an end."""
    with pytest.raises(DecodeError, match=reason):
        rows(body)


@pytest.mark.parametrize("body", [b"", b"\n", doubled().encode(), gzip.compress(b"", mtime=0)])
def test_empty_file_has_no_rows(body: bytes) -> None:
    """Nothing, or a header alone."""
    assert rows(body) == []


def test_members_are_one_file() -> None:
    """A gzip file may be several in a row, with padding after the last."""
    text = doubled(record(), record()).encode()
    assert rows(gzip.compress(text[:900]) + gzip.compress(text[900:]) + b"\0" * 20, 11) == [ROW, ROW]


def test_byte_order_mark_and_carriage_returns() -> None:
    """As some tools add them."""
    assert rows("\ufeff" + doubled(record()).replace("\n", "\r\n")) == [ROW]


async def test_rows_stream_in_bounded_memory() -> None:
    """Three megabytes from a file of some kilobytes: one block at a time."""
    compressed = gzip.compress((doubled() + "".join(doubled(record()).splitlines(keepends=True)[1:]) * 8_000).encode())

    async def body() -> AsyncIterator[bytes]:
        yield compressed

    count = 0
    tracemalloc.start()
    async for row in read_usage_rows(body()):
        count += row.pipeline_number == 418
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 12_000_000


def test_row_is_plain_json() -> None:
    """Nothing in a row needs a special encoder but times and dates."""
    assert json.loads(json.dumps(attrs.asdict(ROW), default=str))["total_credits"] == 30.0
