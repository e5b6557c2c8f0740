"""Names of projects and organizations, as CircleCI writes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Protocol, TypeVar
from urllib.parse import unquote
from uuid import UUID

import attrs

from aiocircle._redact import redact_slug
from aiocircle._urls import (
    GIT_HOSTS,
    PROVIDERS,
    Address,
    Root,
    clean_text,
    has_control,
    is_name,
    is_url,
    is_uuid,
    parse_address,
    parse_root,
)
from aiocircle.errors import InvalidArgument

__all__ = ["HasSlug", "OrgSlug", "ProjectSlug", "check_segment", "read_slug"]

_ENCODED_SLASH = re.compile("%2[Ff]")


class HasSlug(Protocol):
    """An object with the slug of a project or an organization, such as a model."""

    @property
    def slug(self) -> object:
        """The slug, as text or parsed."""


def check_segment(value: str, what: str) -> str:
    """Return the path segment unchanged. Raise InvalidArgument if it cannot stand in a path.

    Empty values, `.`, `..` and control characters are refused. Servers and proxies resolve dot segments: deleting a
    variable named `..` would delete what contains it.
    """
    if not value:
        raise InvalidArgument(f"{what} must be a name, got an empty text")
    if value in (".", ".."):
        raise InvalidArgument(f"{what} must be a name, got {value!r}. A server would resolve it as a path.")
    if has_control(value):
        raise InvalidArgument(f"{what} must be a name without control characters")
    return value


def _check_name(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise InvalidArgument(f"{what} must be a str, got {type(value).__name__}")
    check_segment(value, what)
    if not is_name(value):
        raise InvalidArgument(
            f"{what} must be a name of at most 255 characters, without a slash and without white space at its ends"
        )


def _one_spelling(name: str) -> str:
    """Return the name; a UUID in lower case, as the API writes it, so that one thing is one value."""
    return name.lower() if isinstance(name, str) and is_uuid(name) else name


def _short_provider(name: str | None) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str):
        raise InvalidArgument(f"provider must be a str or None, got {type(name).__name__}")
    provider = PROVIDERS.get(name)
    if provider is None:
        raise InvalidArgument(f"provider must be gh, bb or circleci, got {redact_slug(name)}. {_STANDALONE}")
    return provider


_STANDALONE = (
    "Projects of GitHub App and GitLab are named circleci/<org id>/<project id>, which the project's settings show."
)


@attrs.frozen
class OrgSlug:
    """An organization: `gh/acme`, `bb/acme`, `circleci/<id>`, or a bare organization UUID.

    provider is None if the organization is named by its UUID alone. `github` becomes `gh`, `bitbucket` becomes `bb`,
    and a UUID is written in lower case.
    """

    provider: str | None = attrs.field(converter=_short_provider)
    organization: str = attrs.field(converter=_one_spelling)

    def __attrs_post_init__(self) -> None:
        _check_name(self.organization, "organization")
        if self.provider is None and not is_uuid(self.organization):
            raise InvalidArgument("organization must be a UUID if provider is None. Otherwise name the provider.")

    @classmethod
    def parse(
        cls,
        value: OrgSlug | str | UUID | HasSlug,
        *,
        hosts: Mapping[str, str] | None = None,
        app_hosts: Collection[str] = (),
    ) -> OrgSlug:
        """Return the organization that `value` names.

        value: a slug, a UUID or an object with a `slug`. It may also be a page or a URL of the API, of the organization
            or of one of its projects. The URL of the organization or a repository at GitHub or Bitbucket works as
            well. White space at both ends is ignored.
        hosts: providers (`gh`, `bb`) by further hosts of git, such as `{"ghe.acme.com": "gh"}`.
        app_hosts: hosts of CircleCI Server whose pages are read as well.

        Raises InvalidArgument for anything else. Credentials in a URL are in no message and in no local variable.

        https://circleci.com/docs/api/v2/#tag/Organization
        """
        if isinstance(value, OrgSlug):
            return value
        if isinstance(value, str) and (slug := cls._from_text(value)) is not None:
            return slug  # Most callers write a slug: it takes a fraction of the time of the rest.
        result = _parse(cls, value, hosts, app_hosts)
        if isinstance(result, OrgSlug):
            return result
        # An exception keeps this frame: the text may hold a password.
        del value, hosts, app_hosts
        raise InvalidArgument(result)

    @classmethod
    def _trusted(cls, provider: str | None, organization: str) -> OrgSlug:
        """Make a slug of parts that are known to be right, without checking them again."""
        slug = object.__new__(cls)
        object.__setattr__(slug, "provider", provider)
        object.__setattr__(slug, "organization", organization)
        return slug

    @classmethod
    def _from_text(cls, text: str) -> OrgSlug | None:
        """Return the organization that a slug or a UUID names; None if the text is neither."""
        parts = text.removesuffix("/").split("/", 2)
        if len(parts) != 2:
            return cls._trusted(None, text.lower()) if is_uuid(text) else None
        provider = PROVIDERS.get(parts[0])
        if provider is None or not is_name(parts[1]):
            return None
        return cls._trusted(provider, _one_spelling(parts[1]))

    @classmethod
    def _from_address(cls, address: Address, text: str) -> OrgSlug | None:
        """Return the organization that a page or a remote names; None if it does not. `text` is what was read."""
        if address.organization is None or not is_name(address.organization):
            return None
        if address.provider is None and not is_uuid(address.organization):
            return None
        if address.root is None and address.project is not None and not is_url(text):
            return None  # A project's git@github.com:acme/web.git is a mistake here, as its slug is.
        return cls._trusted(PROVIDERS.get(address.provider or ""), _one_spelling(address.organization))

    @property
    def segments(self) -> tuple[str, ...]:
        """The slug's path segments, not yet percent-encoded."""
        return (self.organization,) if self.provider is None else (self.provider, self.organization)

    def __str__(self) -> str:
        return "/".join(self.segments)


@attrs.frozen
class ProjectSlug:
    """A project: `gh/acme/web`, `bb/acme/web`, `circleci/<org id>/<project id>`, or a bare project UUID.

    provider and organization are None if the project is named by its UUID alone. `github` becomes `gh`, `bitbucket`
    becomes `bb`, and a UUID is written in lower case.
    """

    provider: str | None = attrs.field(converter=_short_provider)
    organization: str | None = attrs.field(converter=attrs.converters.optional(_one_spelling))
    project: str = attrs.field(converter=_one_spelling)

    def __attrs_post_init__(self) -> None:
        _check_name(self.project, "project")
        if self.provider is not None:
            _check_name(self.organization, "organization")
        elif self.organization is not None or not is_uuid(self.project):
            raise InvalidArgument(
                "project must be a UUID, without an organization, if provider is None. Otherwise name the provider."
            )

    @classmethod
    def parse(
        cls,
        value: ProjectSlug | str | UUID | HasSlug,
        *,
        hosts: Mapping[str, str] | None = None,
        app_hosts: Collection[str] = (),
    ) -> ProjectSlug:
        """Return the project that `value` names.

        value: a slug, a UUID or an object with a `slug`. It may also be a page of the project or its URL of the API.
            Git remotes work as well: https, ssh, scp-like, an ssh alias such as `github.com-work`. White space at both
            ends is ignored.
        hosts: providers (`gh`, `bb`) by further hosts of git, such as `{"ghe.acme.com": "gh"}`.
        app_hosts: hosts of CircleCI Server whose pages are read as well.

        Raises InvalidArgument for anything else. Credentials in a remote are in no message and in no local variable.

        https://circleci.com/docs/api/v2/#tag/Project
        """
        if isinstance(value, ProjectSlug):
            return value
        if isinstance(value, str) and (slug := cls._from_text(value)) is not None:
            return slug  # Most callers write a slug: it takes a fraction of the time of the rest.
        result = _parse(cls, value, hosts, app_hosts)
        if isinstance(result, ProjectSlug):
            return result
        # An exception keeps this frame: the text may hold a password.
        del value, hosts, app_hosts
        raise InvalidArgument(result)

    @classmethod
    def _trusted(cls, provider: str | None, organization: str | None, project: str) -> ProjectSlug:
        """Make a slug of parts that are known to be right, without checking them again."""
        slug = object.__new__(cls)
        object.__setattr__(slug, "provider", provider)
        object.__setattr__(slug, "organization", organization)
        object.__setattr__(slug, "project", project)
        return slug

    @classmethod
    def _from_text(cls, text: str) -> ProjectSlug | None:
        """Return the project that a slug or a UUID names; None if the text is neither."""
        parts = text.removesuffix("/").split("/", 3)
        if len(parts) != 3:
            return cls._trusted(None, None, text.lower()) if is_uuid(text) else None
        provider = PROVIDERS.get(parts[0])
        if provider is None or not (is_name(parts[1]) and is_name(parts[2])):
            return None
        return cls._trusted(provider, _one_spelling(parts[1]), _one_spelling(parts[2]))

    @classmethod
    def _from_address(cls, address: Address, text: str) -> ProjectSlug | None:
        """Return the project that a page or a remote names; None if it does not. `text` is what was read."""
        if address.project is None or not is_name(address.project):
            return None
        if address.provider is None:
            return cls._trusted(None, None, address.project.lower()) if is_uuid(address.project) else None
        if address.organization is None or not is_name(address.organization):
            return None
        return cls._trusted(
            PROVIDERS[address.provider], _one_spelling(address.organization), _one_spelling(address.project)
        )

    @property
    def org(self) -> OrgSlug | None:
        """The project's organization; None if the project is named by its UUID alone."""
        if self.organization is None:
            return None
        return OrgSlug._trusted(self.provider, self.organization)  # pyright: ignore[reportPrivateUsage]

    @property
    def segments(self) -> tuple[str, ...]:
        """The slug's path segments, not yet percent-encoded."""
        if self.provider is None or self.organization is None:
            return (self.project,)
        return (self.provider, self.organization, self.project)

    def __str__(self) -> str:
        return "/".join(self.segments)


_Slug = TypeVar("_Slug", OrgSlug, ProjectSlug)

_EXPECTED: Mapping[type, str] = {
    OrgSlug: "org must be named by gh/<org>, bb/<org>, circleci/<org id>, a UUID or a page of CircleCI",
    ProjectSlug: "project must be named by gh/<org>/<repo>, bb/<org>/<repo>, circleci/<org id>/<project id>, a UUID, a "
    "page of CircleCI or a git remote",
}


def read_slug(
    kind: type[_Slug],
    value: object,
    *,
    git_hosts: Mapping[str, str] = GIT_HOSTS,
    roots: Collection[Root] = (),
    read_cloud: bool = True,
) -> _Slug | str:
    """Return what `value` names, or the message of an error.

    It raises nothing, so that no frame with a password of `value` stays in a traceback.
    read_cloud: False if pages of the cloud are those of another host.
    """
    if isinstance(value, kind):
        return value
    named = value if isinstance(value, (str, UUID)) else getattr(value, "slug", None)
    if isinstance(named, kind):
        return named
    expected = _EXPECTED[kind]
    if not isinstance(named, (str, UUID)):
        return f"{expected}, got {type(value).__name__}"
    slug = kind._from_text(str(named))  # pyright: ignore[reportPrivateUsage]
    if slug is not None:
        return slug
    text = clean_text(str(named))
    if text is None:
        return f"{expected}, got a text that is empty or too long, or has a control character"
    address = parse_address(text, git_hosts=git_hosts, roots=roots, read_cloud=read_cloud)
    if address is None:  # noqa: SIM108 - each line has a comment of its own
        slug = kind._from_text(_decoded(text))  # pyright: ignore[reportPrivateUsage]
    else:
        slug = kind._from_address(address, text)  # pyright: ignore[reportPrivateUsage]
    return f"{expected}, got {redact_slug(text)}. {_advice(roots, read_cloud=read_cloud)}" if slug is None else slug


def _parse(
    kind: type[_Slug], value: object, hosts: Mapping[str, str] | None, app_hosts: Collection[str]
) -> _Slug | str:
    git_hosts = dict(GIT_HOSTS)
    if hosts is not None:
        if not isinstance(hosts, Mapping):
            return f"hosts must be a mapping of hosts to gh or bb, got {type(hosts).__name__}"
        for host, name in hosts.items():
            if not isinstance(host, str) or not isinstance(name, str) or PROVIDERS.get(name) not in ("gh", "bb"):
                return "hosts must be a mapping of hosts to gh or bb, got another key or value"
            git_hosts[host.lower()] = PROVIDERS[name]
    if not isinstance(app_hosts, Collection):
        return f"app_hosts must be a collection of hosts, got {type(app_hosts).__name__}"
    roots: list[Root] = []
    for app_host in (app_hosts,) if isinstance(app_hosts, str) else app_hosts:
        root = parse_root(app_host) if isinstance(app_host, str) else None
        if root is None:
            return "app_hosts must be hosts of CircleCI Server, such as circleci.example.com"
        roots.append(root)
    return read_slug(kind, value, git_hosts=git_hosts, roots=roots)


def _decoded(text: str) -> str:
    """Return a slug whose slashes may be encoded, as in `gh%2Facme%2Fweb`."""
    if "/" in text or not _ENCODED_SLASH.search(text):
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return ""


def _advice(roots: Collection[Root], *, read_cloud: bool) -> str:
    """Return the second sentence of an error: the remedy."""
    if not read_cloud:
        return f"A page must be one of {' or '.join(root.authority for root in roots)}, the client's host."
    return (
        f"{_STANDALONE} ProjectSlug.parse() reads pages of CircleCI Server by app_hosts=, and remotes of other hosts "
        "by hosts=."
    )
