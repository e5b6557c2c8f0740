"""CircleCI's own description of its API, from a folder next to this project, as the contract tests read it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from aiocircle import CircleCI
from tests.support.beyond_spec import BEYOND

__all__ = ["ABSENT", "FOLDER", "OPERATIONS", "Operation", "Parameter", "Schema", "each_operation", "needs_document"]

FOLDER: Final = Path(__file__).parents[3] / "shared" / "spec"
_DOCUMENT: Final = FOLDER / "circleci-v2-openapi.json"
_TABLE: Final = FOLDER / "operations.tsv"

ABSENT: Final = (
    None
    if _DOCUMENT.is_file() and _TABLE.is_file()
    else f"CircleCI's official document is not at ../shared/spec: there is no {_DOCUMENT.name} with an {_TABLE.name}"
)
"""Why there is nothing to hold the client to; None where there is."""

needs_document = pytest.mark.skipif(ABSENT is not None, reason=ABSENT or "")

# What the document leaves without a type, or calls a mere string, though it describes more.
_MENDED: Final[Mapping[str, Any]] = {
    "created-at": {"type": "string", "format": "date-time"},
    "org_id": {"type": "string", "format": "uuid"},
    "prefix": {"type": "string"},
    "project_id": {"type": "string", "format": "uuid"},
    "workflow-created-at": {"type": "string", "format": "date-time"},
    "workflow-id": {"type": "string", "format": "uuid"},
    "workflow_id": {"type": "string", "format": "uuid"},
}
# Query parameters that the document calls objects, and shows as repeated.
_REPEATED: Final = {"branches", "project-names", "workflow-names"}


@attrs.frozen(kw_only=True)
class Schema:
    """The shape of a JSON value.

    type: a JSON type; "map" for an object with any keys, "choice" for one of several, "anything".
    items: of an array, or the values of a map.
    """

    type: str
    format: str | None = None
    enum: tuple[str, ...] = ()
    nullable: bool = False
    least: int | None = None
    fields: Mapping[str, Schema] = {}
    required: frozenset[str] = frozenset()
    items: Schema | None = None
    choices: tuple[Schema, ...] = ()

    @property
    def known(self) -> Schema:
        """An object with the keys of all choices between objects; else this."""
        if not self.choices or any(choice.type != "object" for choice in self.choices):
            return self
        fields = {name: field for choice in self.choices for name, field in choice.fields.items()}
        required = frozenset.intersection(*(choice.required for choice in self.choices))
        return Schema(type="object", fields=fields, required=required, nullable=self.nullable)


@attrs.frozen
class Parameter:
    """A query parameter."""

    schema: Schema
    required: bool


@attrs.frozen(kw_only=True)
class Operation:
    """An operation, from the table and the document. `answers` and `errors` have schemas by status."""

    name: str
    positional: tuple[str, ...]
    verb: str
    path: str
    reference: str
    is_paged: bool
    is_beyond: bool
    query: Mapping[str, Parameter]
    body: Schema | None
    answers: Mapping[int, Schema]
    errors: Mapping[int, Schema]

    @property
    def group(self) -> str:
        """The group's name: an attribute of the client."""
        return self.name.partition(".")[0]

    @property
    def is_list(self) -> bool:
        """True if the method returns a Pager."""
        return self.name.partition(".")[2].split("_")[0] == "list"

    def method(self, circle: CircleCI) -> Any:
        """The client's method for it."""
        group, _, name = self.name.partition(".")
        return getattr(getattr(circle, group), name)


def _read_operations() -> list[Operation]:
    document = json.loads(_DOCUMENT.read_text("utf-8"))
    with _TABLE.open(encoding="utf-8") as lines:
        return [_operation(row, document) for row in csv.DictReader(lines, delimiter="\t")]


def _operation(row: Mapping[str, str], document: Any) -> Operation:
    verb = row["method"].lower()
    is_beyond = row["source"] != "spec"
    paths = BEYOND if is_beyond else document["paths"]
    said = _resolved(paths[row["path"]], document)
    parameters = said.get("parameters", []) + said[verb].get("parameters", [])
    body = said[verb].get("requestBody")
    responses = said[verb]["responses"].items()
    schemas = {
        500 if status == "default" else int(status): _schema(answer["content"]["application/json"]["schema"])
        for status, answer in responses
    }
    name, _, positional = row["client_call"].rstrip(")").partition("(")
    return Operation(
        name=name,
        positional=tuple(re.findall(r"\w+", positional)),
        verb=row["method"],
        path=row["path"],
        reference=row["operation_id"],
        is_paged=row["returns_token"] == "token",
        is_beyond=is_beyond,
        query={each["name"]: _parameter(each) for each in parameters if each["in"] == "query"},
        body=None if body is None else _schema(body["content"]["application/json"]["schema"]),
        answers={status: schema for status, schema in schemas.items() if status < 300},
        errors={status: schema for status, schema in schemas.items() if status >= 300},
    )


def _resolved(node: Any, document: Any) -> Any:
    if isinstance(node, list):
        return [_resolved(each, document) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = document
        for step in node["$ref"].split("/")[1:]:
            found = found[step]
        return _resolved(found, document)
    return {key: _resolved(each, document) for key, each in node.items()}


def _parameter(said: Mapping[str, Any]) -> Parameter:
    schema = _schema(said["schema"])
    if said["name"] in _REPEATED:
        schema = Schema(type="array", items=Schema(type="string"))
    return Parameter(schema, said.get("required", False))


def _schema(said: Any, name: str | None = None) -> Schema:
    if not isinstance(said, dict):
        return Schema(type="anything")
    nullable = bool(said.get("nullable") or said.get("x-nullable"))
    for part in said.get("allOf", ()):
        said = {**said, **part}
    if name in _MENDED and "format" not in said:
        said = {**said, **_MENDED[name]}
    if choices := said.get("anyOf") or said.get("oneOf"):
        return Schema(type="choice", nullable=nullable, choices=tuple(_schema(each) for each in choices))
    if fields := said.get("properties"):
        return Schema(
            type="object",
            nullable=nullable,
            fields={key: _schema(each, key) for key, each in fields.items()},
            required=frozenset(said.get("required", ())),
        )
    if "items" in said:
        return Schema(type="array", nullable=nullable, items=_schema(said["items"]))
    if said.get("type") == "object":
        return Schema(type="map", nullable=nullable, items=_schema(said.get("additionalProperties")))
    return Schema(
        type=said.get("type", "anything"),
        format=said.get("format"),
        enum=tuple(said.get("enum", ())),
        nullable=nullable,
        least=said.get("minimum"),
    )


OPERATIONS: Final = [] if ABSENT else _read_operations()


def each_operation(condition: Callable[[Operation], object] = bool) -> pytest.MarkDecorator:
    """Run a test for each operation with a condition, as its argument `operation`. There must be one."""
    chosen = [operation for operation in OPERATIONS if condition(operation)]
    absent = pytest.param(None, marks=pytest.mark.skip(reason=ABSENT or ""), id="absent")
    assert chosen or ABSENT
    return pytest.mark.parametrize("operation", chosen or [absent], ids=lambda each: getattr(each, "name", None))
