"""Operations as declarations: method, path, the type of the result, and how a response is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from email.message import Message
from functools import cache
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import parse_qsl

import attrs

from aiocircle._core.api import V2, Api, Spelling, family_of, snake, split_api
from aiocircle._core.decode import decode, decode_items, decode_json
from aiocircle._core.message import IDEMPOTENT, Response
from aiocircle._core.pagination import NONE, PAGE_TOKEN, BadItems, Page, Pagination, array_type
from aiocircle._core.path import expand_path, split_template
from aiocircle._core.structure import StructureProblems, structure
from aiocircle._redact import RedactedURL

__all__ = [
    "Action",
    "Endpoint",
    "ListEndpoint",
    "Operation",
    "RawEndpoint",
    "Route",
    "Table",
    "raw_endpoint",
    "raw_list_endpoint",
]

T = TypeVar("T")

_NO_CONTENT: Final = frozenset({204, 205})  # statuses of responses without a body


class Table:
    """The endpoints of one group: `class _Endpoints(Table, group="pipelines")`, with one endpoint a line.

    An endpoint is named like its attribute, and its operation is `<group>.<name>`.
    """

    def __init_subclass__(cls, *, group: str, api: Api = V2) -> None:
        for endpoint in vars(cls).values():
            if isinstance(endpoint, Route):
                endpoint.bind(api, f"{group}.{endpoint.name}")


class Route:
    """The request of an operation.

    path: below the API's prefix; split_template describes its placeholders. query, body: the spelling of the names of
    query parameters and body fields, if it is not the API's. operation: the name in messages and logs. family: the
    requests that the API limits together. expects_no_content: nothing of a successful response is needed.
    """

    expects_no_content = False

    def __init__(self, method: str, path: str, *, query: Spelling | None = None, body: Spelling = snake) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.body = body
        self.api = V2
        self.name = self.operation = self.family = ""
        self.is_idempotent = method in IDEMPOTENT

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    def bind(self, api: Api, operation: str) -> None:
        """Make this the route of an operation of an API."""
        self.api = api
        self.operation = operation
        self.query = self.query or api.query
        path = api.prefix + self.path
        self.family = family_of(path)
        self._template = split_template(path)

    def url(self, values: tuple[Any, ...], base_url: str) -> str:
        """Return the URL below the root of a host, each segment of its path percent-encoded by itself.

        Raise InvalidArgument for a value that cannot be a path segment, and for a link to another host.
        """
        return base_url + expand_path(self._template, values, base_url)


class Operation(Route, ABC, Generic[T]):
    """A route with one result."""

    @abstractmethod
    def parse(self, response: Response) -> T:
        """Return the result of a successful response. Raise StructureProblems if it does not match."""


class Endpoint(Operation[T]):
    """An operation that returns one model.

    wrap_in: the field of the model that the whole body goes into, if the body is a bare array or map.
    """

    def __init__(
        self,
        method: str,
        path: str,
        model: type[T],
        *,
        wrap_in: str | None = None,
        query: Spelling | None = None,
        body: Spelling = snake,
    ) -> None:
        super().__init__(method, path, query=query, body=body)
        self.model = model
        self.wrap_in = wrap_in

    def parse(self, response: Response) -> T:
        """Return the model of a successful response. Raise StructureProblems if it does not match."""
        body = response.body
        if not body or response.incomplete_reason is not None:
            _check_complete(response)
        if self.wrap_in is not None:
            model: Any = self.model
            return cast("T", model(**{self.wrap_in: decode(_field_type(model, self.wrap_in), body)}))
        if self.api.envelope is not None:
            wrapper: Any = _envelope(self.api.envelope, cast("Any", self.model))
            return cast("T", getattr(decode(wrapper, body), self.api.envelope))
        result: T = decode(self.model, body)
        return result


class Action(Operation[None]):
    """An operation that returns None: the status is the whole result."""

    expects_no_content = True

    def parse(self, response: Response) -> None:
        """Return None."""


class ListEndpoint(Route, Generic[T]):
    """An operation that returns items of one model, in pages.

    pagination: if it is not the API's own. items_optional: True if an empty page may omit its items. paging: the
    pagination that is used.
    """

    def __init__(
        self,
        method: str,
        path: str,
        model: type[T],
        *,
        pagination: Pagination | None = None,
        items_optional: bool = False,
        query: Spelling | None = None,
    ) -> None:
        super().__init__(method, path, query=query)
        self.model = model
        self.pagination = pagination
        self.items_optional = items_optional
        self.paging: Pagination = PAGE_TOKEN
        self._page_type: Any = None
        self._array_type: Any = array_type(model)

    def bind(self, api: Api, operation: str) -> None:
        """Make this the route of an operation of an API, and page as the API does."""
        Route.bind(self, api, operation)
        is_unpaged = self.pagination is NONE
        self.paging = api.pagination.unpaged() if is_unpaged else self.pagination or api.pagination
        self._page_type = self.paging.page_type(self.model, items_optional=self.items_optional)

    def parse(self, response: Response, page_token: str | None) -> Page[T]:
        """Return the page of a successful response.

        Raise BadItems if some items do not match, and StructureProblems if the body is not a page.
        """
        body = response.body
        if not body or response.incomplete_reason is not None:
            _check_complete(response)
        try:
            is_array = body[:1] != b"{" and body.lstrip()[:1] == b"["
            return self.paging.page(decode(self._array_type if is_array else self._page_type, body), page_token)
        except StructureProblems as problems:
            problems.next_page_token = self.paging.next_token(problems.plain, page_token)
            bad_items = self._find_bad_items(response, problems)
            if bad_items is None:
                raise
        raise bad_items

    def _find_bad_items(self, response: Response, page: StructureProblems) -> BadItems | None:
        """Return the items that keep a page from being decoded; None if it is not a page, or something else does."""
        found = self.paging.items(page.plain)
        if found is None or not self._is_page_around(page.plain, found[0]):
            return None
        path, values = found
        items, bad = decode_items(self.model, values, path)
        return BadItems(response, tuple(items), page.next_page_token, bad) if bad else None

    def _is_page_around(self, plain: Any, path: str) -> bool:
        """Return False if more than the items at `path` is wrong: without a valid token the list would end early."""
        if path == "$":
            return True
        try:
            structure({**plain, path.removeprefix("$."): []}, self._page_type)
        except StructureProblems:
            return False
        return True


class RawEndpoint(Operation[Any]):
    """A request that is not in a table.

    into: the type of the body, `str` or `bytes` for the body as it is, None for plain JSON.
    """

    def __init__(self, method: str, path: str, into: Any) -> None:
        super().__init__(method, path, query=snake)
        self.into = into
        self.expects_no_content = into is None

    def parse(self, response: Response) -> Any:
        """Return the body of a successful response. Raise StructureProblems if it does not match."""
        body, is_raw = response.body, self.into in (None, str, bytes)
        if response.incomplete_reason is not None or not (body or is_raw):
            _check_complete(response)
        if self.into is None:
            return decode_json(body) if body else None
        if self.into is bytes:
            return body
        return _text(body, response.headers) if self.into is str else decode(self.into, body)


def raw_endpoint(method: str, path: str, into: Any) -> RawEndpoint:
    """Return the endpoint of a path below the host, which may have a query."""
    api, rest = split_api(path)
    endpoint = RawEndpoint(method, RedactedURL(rest), into)
    endpoint.bind(api, f"{method} {path.partition('?')[0]}")
    return endpoint


def raw_list_endpoint(path: str, into: Any, query: Mapping[str, Any]) -> tuple[ListEndpoint[Any], dict[str, Any]]:
    """Return the endpoint of a list's path below the host, and the query without the page size, which it contains.

    Raise InvalidArgument if the path or the query selects a page.
    """
    api, rest = split_api(path)
    in_path = {name for name, _ in parse_qsl(path.partition("?")[2], keep_blank_values=True)}
    paging, query = api.pagination.requested_by(query, in_path)
    endpoint = ListEndpoint("GET", RedactedURL(rest), into, query=snake, pagination=paging)
    endpoint.bind(api, f"GET {path.partition('?')[0]}")
    return endpoint, query


def _check_complete(response: Response) -> None:
    """Raise StructureProblems if the body is incomplete, or if the status means that there is none."""
    if response.incomplete_reason is not None:
        raise StructureProblems((response.incomplete_reason,), malformed=not response.is_too_large)
    if not response.body and response.status in _NO_CONTENT:
        # Another attempt would get the same response.
        raise StructureProblems((f"$ is missing: the status is {response.status}, which has no body",))


def _text(body: bytes, headers: Mapping[str, str]) -> str:
    charset = Message()
    charset["Content-Type"] = headers.get("Content-Type", "")
    encoding = charset.get_content_charset("utf-8")
    try:
        return body.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        problem = f"the body is not {encoding} text. Use into=bytes"
    raise StructureProblems((problem,))


@cache
def _field_type(model: Any, field: str) -> Any:
    return attrs.fields_dict(attrs.resolve_types(model, include_extras=True))[field].type


@cache
def _envelope(key: str, model: Any) -> Any:
    """Return the type of an object whose one key holds a model."""
    return attrs.make_class("Envelope", {key: attrs.field(type=model)}, frozen=True)
