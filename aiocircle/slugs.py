"""Names of projects and organizations, as CircleCI writes them."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit
from uuid import UUID

import attrs

from aiocircle.errors import InvalidArgument

__all__ = ["OrgSlug", "ProjectSlug", "check_segment"]

_PROVIDERS = {"gh": "gh", "github": "gh", "bb": "bb", "bitbucket": "bb", "circleci": "circleci"}
_GIT_HOSTS = {
    "github.com": "gh",
    "www.github.com": "gh",
    "ssh.github.com": "gh",
    "bitbucket.org": "bb",
    "altssh.bitbucket.org": "bb",
}
_APP_HOSTS = {"app.circleci.com", "circleci.com", "www.circleci.com"}
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# C0 and C1 controls, DEL, and what cannot be encoded as UTF-8 at all (lone surrogates).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_AT = re.compile("@|%40")
_PORT = re.compile(r"(//[^/:]*):[^/]*")
# git's scp-like form: [user@]host:path
_SCP = re.compile(r"(?:[^@/\s]+@)?([A-Za-z0-9.-]+):(?!//)(.+)")


def check_segment(value: str, what: str) -> str:
    """One path segment, unchanged, when it can stand in a path; InvalidArgument otherwise.

    Empty values, `.`, `..` and control characters are refused: servers and proxies resolve dot segments, so
    that deleting a variable named `..` would delete what contains it.
    """
    if not value:
        raise InvalidArgument(f"{what} is empty")
    if value in (".", ".."):
        raise InvalidArgument(f"{what} is {value!r}, which a server would resolve as a path, not as a name")
    if _CONTROL.search(value):
        raise InvalidArgument(f"{what} has a control character")
    return value


def _check_name(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise InvalidArgument(f"{what} is a string, not {type(value).__name__}")
    if "/" in check_segment(value, what):
        raise InvalidArgument(f"{what} has a slash")


def _is_uuid(value: str) -> bool:
    return _UUID.fullmatch(value) is not None


def _provider(name: str, text: str) -> str:
    provider = _PROVIDERS.get(name)
    if provider is None:
        raise InvalidArgument(
            f"{_shown(text)} names no provider that CircleCI has: gh, bb or circleci (GitLab and GitHub App projects "
            "are circleci/<org id>/<project id>, found in the project's settings)"
        )
    return provider


def _one_spelling(name: str) -> str:
    """The name; a UUID in lower case, in which the API writes it, so that one thing is one value."""
    return name.lower() if isinstance(name, str) and _is_uuid(name) else name


def _short_provider(name: str | None) -> str | None:
    if name is None:
        return None
    _check_name(name, "the provider")
    return _provider(name, name)


@attrs.frozen
class OrgSlug:
    """An organization: `gh/acme`, `bb/acme`, `circleci/<id>`, or a bare organization UUID.

    provider is None where the organization is named by its UUID alone; `github` becomes `gh`, `bitbucket` becomes `bb`,
    and a UUID's letters become small.
    """

    provider: str | None = attrs.field(converter=_short_provider)
    organization: str = attrs.field(converter=_one_spelling)

    def __attrs_post_init__(self) -> None:
        _check_name(self.organization, "the organization's name")
        if self.provider is None and not _is_uuid(self.organization):
            raise InvalidArgument("an organization is named by its UUID alone, or together with its provider")

    @classmethod
    def parse(cls, value: OrgSlug | str | UUID) -> OrgSlug:
        """The organization that `value` names; `github` becomes `gh`, `bitbucket` becomes `bb`.

        Understands slugs, UUIDs and app.circleci.com URLs. Raises InvalidArgument for anything else.
        """
        if isinstance(value, OrgSlug):
            return value
        text = _text(value, "an organization")
        if _is_uuid(text):
            return cls(None, text)
        parts = _parts(text)
        if len(parts) < 2 or (len(parts) > 2 and not _is_url(text)):
            raise InvalidArgument(
                f"an organization is named gh/<org>, bb/<org>, circleci/<id> or by a UUID, not {_shown(text)}"
            )
        return cls(_provider(parts[0], text), parts[1])

    @property
    def segments(self) -> tuple[str, ...]:
        """The slug's path segments, not yet percent-encoded."""
        return (self.organization,) if self.provider is None else (self.provider, self.organization)

    def __str__(self) -> str:
        return "/".join(self.segments)


@attrs.frozen
class ProjectSlug:
    """A project: `gh/acme/web`, `bb/acme/web`, `circleci/<org id>/<project id>`, or a bare project UUID.

    provider and organization are None where the project is named by its UUID alone; `github` becomes `gh`,
    `bitbucket` becomes `bb`, and a UUID's letters become small.
    """

    provider: str | None = attrs.field(converter=_short_provider)
    organization: str | None = attrs.field(converter=attrs.converters.optional(_one_spelling))
    project: str = attrs.field(converter=_one_spelling)

    def __attrs_post_init__(self) -> None:
        _check_name(self.project, "the project's name")
        if self.provider is not None:
            _check_name(self.organization, "the organization's name")
        elif self.organization is not None or not _is_uuid(self.project):
            raise InvalidArgument(
                "a project is named by its UUID alone, or together with its provider and its organization"
            )

    @classmethod
    def parse(cls, value: ProjectSlug | str | UUID) -> ProjectSlug:
        """The project that `value` names; `github` becomes `gh`, `bitbucket` becomes `bb`.

        Understands slugs, UUIDs, app.circleci.com URLs and git remotes (https, ssh, scp-like). Credentials in a
        remote are dropped, and never repeated in an error. Raises InvalidArgument for anything else.
        """
        if isinstance(value, ProjectSlug):
            return value
        text = _text(value, "a project")
        if _is_uuid(text):
            return cls(None, None, text)
        parts = _parts(text)
        if len(parts) < 3 or (len(parts) > 3 and not _is_url(text)):
            raise InvalidArgument(
                "a project is named gh/<org>/<repo>, bb/<org>/<repo>, circleci/<org id>/<project id>, by a UUID, by "
                f"a URL of app.circleci.com or by a git remote, not {_shown(text)}"
            )
        return cls(_provider(parts[0], text), parts[1], parts[2])

    @property
    def org(self) -> OrgSlug | None:
        """The project's organization; None where the project is named by its UUID alone."""
        return None if self.organization is None else OrgSlug(self.provider, self.organization)

    @property
    def segments(self) -> tuple[str, ...]:
        """The slug's path segments, not yet percent-encoded."""
        if self.provider is None or self.organization is None:
            return (self.project,)
        return (self.provider, self.organization, self.project)

    def __str__(self) -> str:
        return "/".join(self.segments)


def _text(value: object, what: str) -> str:
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, str):
        raise InvalidArgument(f"{what} is named by a slug or a string, not by {type(value).__name__}")
    if not value:
        raise InvalidArgument(f"the slug of {what} is empty")
    if _CONTROL.search(value):
        raise InvalidArgument(f"the slug of {what} has a control character")
    return value


def _is_url(text: str) -> bool:
    return "://" in text or text.startswith("//")


def _parts(text: str) -> list[str]:
    """Provider, organization, project and whatever follows, from a slug, a URL or a git remote."""
    if _is_url(text):
        host, path = _host_and_path(text)
        return _from_host(host, path, text)
    if scp := _SCP.fullmatch(text):
        return _from_host(scp[1].lower(), scp[2], text)
    return text.removesuffix("/").split("/")


def _host_and_path(url: str) -> tuple[str, str]:
    """Those of a URL; empty where it cannot be read, such as `ssh://git@github.com:acme/web`."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "", ""
    return parts.hostname or "", parts.path


def _from_host(host: str, path: str, text: str) -> list[str]:
    segments = [unquote(segment) for segment in path.split("/") if segment]
    if host in _GIT_HOSTS:
        return [_GIT_HOSTS[host], *segments[:1], *[segment.removesuffix(".git") for segment in segments[1:]]]
    if host in _APP_HOSTS:
        # Pages name the provider somewhere after their own name: /pipelines/github/acme/web/12, /gh/acme/web.
        for index, segment in enumerate(segments):
            if segment in _PROVIDERS:
                return segments[index:]
        # A standalone project's vcs_url: //circleci.com/<organization UUID>/<project UUID>
        if len(segments) == 2 and all(map(_is_uuid, segments)):
            return ["circleci", *segments]
    raise InvalidArgument(
        f"{_shown(text)} is neither a page of app.circleci.com nor a remote on github.com or bitbucket.org; "
        "write the slug itself, such as gh/acme/web"
    )


def _shown(text: str) -> str:
    """What an error may repeat of the input: never what may be a credential, nor a query or a fragment."""
    shown, _, rest = text.partition("?")
    shown, _, fragment = shown.partition("#")
    if _AT.search(rest + fragment):
        return "what was given"  # A password may hold a question mark, or a number sign.
    # No port either: a password stands in its place where the @ was forgotten.
    shown = _PORT.sub(r"\1", _AT.split(shown)[-1])
    return repr(shown if len(shown) <= 100 else shown[:100] + "…")
