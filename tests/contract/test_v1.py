"""API v1.1: each operation of the table is there, under its name, and sends the request that the table has."""

from __future__ import annotations

import csv
import inspect
import re
from typing import Any

import attrs
import pytest

from aiocircle import CircleCI, InvalidArgument, Pager
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._groups import LazyGroup, V1Groups
from aiocircle.v1 import builds, projects, users
from tests.contract.conftest import Wire
from tests.support.official_spec import FOLDER

_TABLE = FOLDER / "operations-v1-v3.tsv"
ABSENT = None if _TABLE.is_file() else f"the table of operations is not at ../shared/spec: there is no {_TABLE.name}"
needs_table = pytest.mark.skipif(ABSENT is not None, reason=ABSENT or "")

SLUG = "gh/acme/web"
VALUES: dict[str, Any] = {
    "project": SLUG,
    "build_num": 7,
    "branch": "feature/x y",
    "filter": "failed",
    "shallow": True,
    "hostname": "github.com",
    "private_key": "-----BEGIN",
    "fingerprint": "aa:bb",
}
# Sent with every request of the operation, as the table's notes want.
ALWAYS = {
    "v1.projects.list_followed": [("shallow", "true")],
    "v1.projects.get_settings": [("skip-branches", "true")],
}
# The fields that models require.
BODIES: dict[str, Any] = {"Build": {"build_num": 7}, "Following": {"following": True}}


@attrs.frozen
class Row:
    """An operation of the table."""

    verb: str
    path: str
    name: str
    positional: tuple[str, ...]
    keywords: tuple[str, ...]
    returns: str

    def method(self, circle: CircleCI) -> Any:
        """The client's method."""
        value: Any = circle
        for part in self.name.split("."):
            value = getattr(value, part)
        return value


def _read_rows() -> list[Row]:
    rows = []
    with _TABLE.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if row["api"] == "v1.1":
                name, _, parameters = row["call"].rstrip(")").partition("(")
                positional, _, keywords = parameters.partition("*")
                names = tuple(re.findall(r"\w+", positional)), tuple(re.findall(r"\w+", keywords))
                rows.append(Row(row["verb"], row["path"], name, *names, row["returns"]))
    return rows


ROWS = [] if ABSENT else _read_rows()
each_row = pytest.mark.parametrize(
    "row", ROWS or [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT or ""))], ids=lambda row: row and row.name
)
TABLES = {
    endpoint.operation: endpoint
    for module in (builds, projects, users)
    for table in vars(module).values()
    if isinstance(table, type) and issubclass(table, Table) and table is not Table
    for endpoint in vars(table).values()
    if isinstance(endpoint, Endpoint | ListEndpoint | Action)
}


@needs_table
def test_every_operation_is_there_and_no_other() -> None:
    """Fourteen methods, and one endpoint more: a branch has a path of its own."""
    circle = CircleCI("a-token")
    methods = {
        f"v1.{group}.{name}"
        for group, lazy in vars(V1Groups).items()
        if isinstance(lazy, LazyGroup)
        for name in dir(getattr(circle.v1, group))
        if not name.startswith("_")
    }
    assert len(ROWS) == 14
    assert methods == {row.name for row in ROWS}
    assert TABLES.keys() - methods == {"v1.builds.list_of_branch"}


@each_row
def test_an_operation_has_the_tables_signature(row: Row) -> None:
    """Positional parameters in the order of the table, all others by keyword, and the type of the result."""
    method, endpoint = row.method(CircleCI("a-token")), TABLES[row.name]
    parameters = inspect.signature(method).parameters.values()
    assert tuple(each.name for each in parameters if each.kind is not each.KEYWORD_ONLY) == row.positional
    keywords = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    annotation = inspect.signature(method, eval_str=True).return_annotation
    assert endpoint.method == row.verb
    if row.returns.startswith("Pager"):
        assert isinstance(endpoint, ListEndpoint)
        assert annotation == Pager[endpoint.model]
        assert keywords == {*row.keywords, "page_token"}
        assert endpoint.paging.is_paged is (row.returns != "Pager, one page")
    else:
        assert inspect.iscoroutinefunction(inspect.unwrap(method))
        assert keywords == {*row.keywords}
        assert annotation == (None if isinstance(endpoint, Action) else endpoint.model)
        assert getattr(annotation, "__name__", "None") == row.returns


@each_row
async def test_an_operation_sends_the_tables_request(row: Row, wire: Wire) -> None:
    """The long name of the provider in the path, values in the query or the body, and nothing else."""
    is_list = row.returns.startswith("Pager")
    wire.respond_with(200, [] if is_list else BODIES.get(row.returns, {}))
    keywords = {name: VALUES[name] for name in row.keywords}
    result = row.method(wire.circle)(*[VALUES[name] for name in row.positional], **keywords)
    await (result.page() if is_list else result)
    path = row.path.replace("{project}", "github/acme/web").replace("{build_num}", "7")
    if row.name == "v1.builds.list":
        path += "/tree/feature%2Fx%20y"
        keywords.pop("branch")
    assert wire.sent.method == row.verb
    assert wire.path == f"/api/v1.1{path}"
    paging = [("limit", "100")] if is_list and TABLES[row.name].paging.is_paged else []
    if row.verb == "GET":
        plain = [(name, str(value).lower() if value is True else value) for name, value in keywords.items()]
        assert sorted(wire.query) == sorted(plain + paging + ALWAYS.get(row.name, []))
        assert wire.json is None
    else:
        assert wire.query == []
        assert wire.json == (keywords or None)


@each_row
async def test_a_standalone_slug_stays_as_it_is(row: Row, wire: Wire) -> None:
    """`circleci/<org>/<project>` has no longer name, and an id alone names no organization here."""
    if "project" not in row.positional:
        return
    is_list = row.returns.startswith("Pager")
    wire.respond_with(200, [] if is_list else BODIES.get(row.returns, {}))
    keywords = {name: VALUES[name] for name in row.keywords if name in ("hostname", "private_key", "fingerprint")}
    rest = [VALUES[name] for name in row.positional[1:]]
    result = row.method(wire.circle)("circleci/Org1/Proj2", *rest, **keywords)
    await (result.page() if is_list else result)
    assert wire.path.startswith("/api/v1.1/project/circleci/Org1/Proj2")
    with pytest.raises(InvalidArgument, match="full slug"):
        result = row.method(wire.circle)("11111111-1111-4111-8111-111111111111", *rest, **keywords)
        await (result.page() if is_list else result)
