"""Pages of CircleCI and git remotes, read into plain parts.

The functions that read a caller's text never raise. A frame of theirs, with that text and a password in it, would stay
in the exception's traceback.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from unicodedata import category
from urllib.parse import unquote, urlsplit

__all__ = [
    "CLOUD_ROOT",
    "GIT_HOSTS",
    "PROVIDERS",
    "Address",
    "Root",
    "clean_text",
    "has_control",
    "is_loopback",
    "is_name",
    "is_url",
    "is_uuid",
    "number_of",
    "parse_address",
    "parse_root",
]

PROVIDERS: Mapping[str, str] = {"gh": "gh", "github": "gh", "bb": "bb", "bitbucket": "bb", "circleci": "circleci"}
GIT_HOSTS: Mapping[str, str] = {
    "github.com": "gh",
    "www.github.com": "gh",
    "ssh.github.com": "gh",  # ssh over port 443
    "bitbucket.org": "bb",
    "www.bitbucket.org": "bb",
    "altssh.bitbucket.org": "bb",  # ssh over port 443
}
CLOUD_ROOT = "https://circleci.com"
# dl.circleci.com serves the status badges, which link to the project.
_CLOUD_HOSTS = {"app.circleci.com", "circleci.com", "www.circleci.com", "dl.circleci.com"}
# Hosts of code. A page of theirs is not a page of a Server, although the path may have the same shape.
_CODE_HOSTS = (".github.com", ".gitlab.com", ".bitbucket.org")
_GIT_SCHEMES = {"", "https", "http", "ssh", "git", "git+ssh", "git+https", "git+http", "ssh+git"}
_PAGE_SCHEMES = {"", "https", "http"}
_DEFAULT_PORTS = {"": 443, "https": 443, "http": 80}

# Longer than any page with its query, and than a slug of the longest names: 3 * 255 characters, each 12 when encoded.
_MAX_TEXT = 16_384
# Compiled when they are first used: a client needs none of them.
_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_NUMBER = "0*[1-9][0-9]{0,17}"
_MAX_NAME = 255  # characters: GitHub allows 100, Bitbucket 62
_HOST = r"[\w.:-]+"  # with colons: an IPv6 address, whose brackets urlsplit has removed
# git's scp-like form: [user@]host:path
_SCP = r"(?:[^@/\s]+@)?([\w.-]+):(?!//)(.+)"

# The words before the slug in pages that name an organization and then one of its own tabs.
_ORG_PAGES = {
    ("home",),
    ("inventory",),
    ("organization",),
    ("organizations",),
    ("plan",),
    ("runners",),
    ("self-hosted-runners",),
    ("team",),
    ("add-projects",),
    ("settings", "org"),
    ("settings", "organization"),
    ("settings", "plan"),
    ("projects", "project-dashboard"),
    ("projects", "connect-project"),
}
# The words before the slug in pages of a project. With an organization alone, they list its projects.
_PROJECT_PAGES = {
    ("pipelines",),
    ("jobs",),
    ("insights",),
    ("workflows",),
    ("project",),
    ("projects",),
    ("builds",),
    ("build-insights",),
    ("deploys",),
    ("releases",),
    ("setup-project",),
    ("project-setup",),
    ("settings", "project"),
    ("settings", "projects"),
    ("projects", "project-setup"),
    ("projects", "setup"),
    ("status-badge", "img"),
    ("status-badge", "redirect"),
}
_WORKFLOW_PAGES = {("workflow-run",), ("workflow-runs",), ("workflows",), ("pipelines", "workflows")}
# No page has its slug further right.
_MAX_WORDS = 2


class Address(NamedTuple):
    """The parts that a page or a git remote names; None for those that it does not name.

    root: the scheme and the host of a page, with the port if it is not the default; None for a git remote. Names are as
    they were written: `is_name` decides whether they can stand in a path.
    """

    root: str | None
    provider: str | None = None
    organization: str | None = None
    project: str | None = None
    pipeline_number: int | None = None
    workflow_id: str | None = None
    job_number: int | None = None


class Root(NamedTuple):
    """The root of an installation. port is None if it is the scheme's default; path has the segments of a gateway."""

    scheme: str
    host: str
    port: int | None
    path: tuple[str, ...] = ()

    @property
    def is_cloud(self) -> bool:
        """True if the host is CircleCI's own."""
        return self.host in _CLOUD_HOSTS and self.port is None

    @property
    def authority(self) -> str:
        """The host, with the port if it is not the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __str__(self) -> str:
        return CLOUD_ROOT if self.is_cloud else "/".join((f"{self.scheme}://{self.authority}", *self.path))


class _URL(NamedTuple):
    scheme: str
    root: Root
    segments: tuple[str, ...]  # percent-decoded, none empty


def is_uuid(text: str) -> bool:
    """Return True for the text of a UUID with hyphens."""
    return len(text) == 36 and re.fullmatch(_UUID, text) is not None


def is_name(text: str) -> bool:
    """Return True if the text can be one segment of a slug, and is still the same when read from the slug's text."""
    is_short = len(text) <= _MAX_NAME and text == text.strip()
    return is_short and text not in ("", ".", "..") and "/" not in text and not has_control(text)


# An address takes longer to read than all else of a path. Clients have few hosts.
@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Return True for localhost and for addresses of this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def clean_text(text: str) -> str | None:
    """Return the text without white space at both ends. None if it is empty or too long or has a control character."""
    text = text.strip() if len(text) <= _MAX_TEXT else ""
    return text if text and not has_control(text) else None


def has_control(text: str) -> bool:
    """Return True if the text has a control character, or a lone surrogate, which UTF-8 cannot encode."""
    return not text.isprintable() and any(category(character) in {"Cc", "Cs"} for character in text)


def parse_root(text: str) -> Root | None:
    """Return the root that `https://host:port/path`, or `host` alone, names. None if it is not a root."""
    clean = clean_text(text)
    url = None if clean is None else _split(clean if is_url(clean) else "//" + clean)
    if clean is None or url is None or url.scheme not in _PAGE_SCHEMES or any(mark in clean for mark in "@?#\\"):
        return None
    return url.root._replace(path=url.segments)


def parse_address(
    text: str,
    *,
    git_hosts: Mapping[str, str] = GIT_HOSTS,
    roots: Collection[Root] | None = (),
    read_cloud: bool = True,
) -> Address | None:
    """Return what a page or a git remote names; None if the text is neither.

    text: as `clean_text` returns it. git_hosts: providers by host.
    roots: installations of CircleCI Server whose pages are read; None for pages of every host but hosts of code.
    read_cloud: True if pages of the cloud are read.
    """
    if is_url(text):
        url = _split(text)
    elif (scp := re.fullmatch(_SCP, text)) and (provider := _provider(scp[1].lower(), git_hosts, ssh=True)):
        return _remote(provider, [segment for segment in scp[2].split("/") if segment], strict=True)
    else:
        url = _split("//" + text) if _begins_with_host(text) else None
    if url is None:
        return None
    if url.scheme in _GIT_SCHEMES and (provider := _provider(url.root.host, git_hosts, ssh="ssh" in url.scheme)):
        return _remote(provider, url.segments, strict="http" not in url.scheme and url.scheme != "")
    return _circleci(url, roots, read_cloud=read_cloud) if url.scheme in _PAGE_SCHEMES else None


def _begins_with_host(text: str) -> bool:
    """Return True if the text is a URL without its scheme. A provider, as slugs begin with, has no dot and no port."""
    host, slash, _ = text.partition("/")
    return bool(slash) and ("." in host or ":" in host or host.lower() == "localhost")


def _split(text: str) -> _URL | None:
    try:
        parts = urlsplit(text)
        port = parts.port
        segments = tuple([unquote(segment, errors="strict") for segment in parts.path.split("/") if segment])
    except ValueError:  # also a UnicodeDecodeError
        return None
    host = parts.hostname or ""
    # Browsers read a backslash as a slash, so the host would be another one for them.
    if "\\" in parts.netloc or not re.fullmatch(_HOST, host):
        return None
    if port == _DEFAULT_PORTS.get(parts.scheme):
        port = None
    return _URL(parts.scheme, Root(parts.scheme or ("http" if is_loopback(host) else "https"), host, port), segments)


def _provider(host: str, git_hosts: Mapping[str, str], *, ssh: bool) -> str | None:
    """Return the provider whose repositories the host has; with `ssh` also for an alias such as `github.com-work`."""
    if host in git_hosts or not ssh:
        return git_hosts.get(host)
    for known, provider in git_hosts.items():
        # An alias with a dot could be another host's name.
        if host.startswith(known + "-") and "." not in host[len(known) :]:
            return provider
    return None


def _remote(provider: str, segments: Sequence[str], *, strict: bool) -> Address | None:
    """Return the repository that the path names. `strict`: nothing may follow its name, as something does in pages."""
    if not segments or (strict and len(segments) > 2):
        return None
    if segments[0] == "orgs" and provider == "gh":  # github.com/orgs/acme/repositories
        return Address(None, provider, segments[1]) if len(segments) > 1 else None
    if len(segments) == 1:
        return Address(None, provider, segments[0])
    return Address(None, provider, segments[0], segments[1].removesuffix(".git"))


def _circleci(url: _URL, roots: Collection[Root] | None, *, read_cloud: bool) -> Address | None:
    root, segments = url.root, url.segments
    if root.is_cloud:
        # A standalone project's vcs_url, the same on every installation: //circleci.com/<organization id>/<project id>
        if len(segments) == 2 and all(map(is_uuid, segments)):
            return Address(None, "circleci", segments[0], segments[1])
        return _page(CLOUD_ROOT, segments) if read_cloud else None
    if roots is None:
        return None if f".{root.host}".endswith(_CODE_HOSTS) else _page(str(root), segments)
    for known in roots:
        depth = len(known.path)
        if (known.host, known.port, known.path) == (root.host, root.port, segments[:depth]):
            return _page(str(root._replace(path=known.path)), segments[depth:])
    return None


def _page(root: str, segments: tuple[str, ...]) -> Address | None:
    if segments[:1] == ("api",):
        return _api_url(root, segments[2:])
    for depth in (1, 2):
        if segments[:depth] in _WORKFLOW_PAGES and len(segments) > depth and is_uuid(segments[depth]):
            return Address(root, workflow_id=segments[depth].lower())
    for index, segment in enumerate(segments[: _MAX_WORDS + 1]):
        # A slug may be one segment, its slashes encoded: /pipelines/github%2Facme%2Fweb
        parts = segment.split("/")
        if parts[0] in PROVIDERS:
            return _slug_page(root, segments[:index], (*parts, *segments[index + 1 :]))
    return None


def _slug_page(root: str, words: tuple[str, ...], slug: tuple[str, ...]) -> Address | None:
    if len(slug) < 2:
        return None
    if not words:
        return _old_page(root, slug)
    if words in _ORG_PAGES or (words in _PROJECT_PAGES and len(slug) == 2):
        return _named(root, slug[:2])
    if words not in _PROJECT_PAGES:
        return None
    address, rest = _named(root, slug[:3]), slug[3:]
    if words == ("jobs",):
        return address._replace(job_number=number_of(rest[:1]))
    if words != ("pipelines",):
        return address
    if rest[:1] == ("jobs",):
        return address._replace(job_number=number_of(rest[1:2]))
    pipeline_number, workflow_id, job_number = number_of(rest[:1]), None, None
    if pipeline_number and rest[1:2] == ("workflows",) and is_uuid("".join(rest[2:3])):
        workflow_id = rest[2].lower()
        job_number = number_of(rest[4:5]) if rest[3:4] == ("jobs",) else None
    return address._replace(pipeline_number=pipeline_number, workflow_id=workflow_id, job_number=job_number)


def _old_page(root: str, slug: tuple[str, ...]) -> Address:
    """Return what a page of the older form names, such as /gh/acme/web/18408 or /gh/acme/web/tree/main."""
    provider, organization, *rest = slug
    number = number_of(rest[1:2])
    if organization == "organizations" and rest and not number:  # /gh/organizations/acme/settings
        return Address(root, provider, rest[0])
    if not rest:
        return Address(root, provider, organization)
    if rest[0] == "workflows" and len(rest) > 1 and rest[1] not in ("tree", "edit") and not number:
        return Address(root, provider, organization, rest[1])  # /gh/acme/workflows/web/tree/main
    # /gh/acme/web.svg is the project's badge.
    project = rest[0].removesuffix(".svg") if len(rest) == 1 else rest[0]
    return Address(root, provider, organization, project, job_number=number)


def _api_url(root: str, segments: tuple[str, ...]) -> Address | None:
    """Return what a URL of the API names, from the segment after its version on."""
    noun, rest = "".join(segments[:1]), segments[1:]
    if noun == "insights" and rest[:1] in (("pages",), ("time-series",)):
        rest = rest[1:]
    if noun in ("workflow", "workflows") and is_uuid("".join(rest[:1])):
        return Address(root, workflow_id=rest[0].lower())
    if noun in ("project", "projects") and is_uuid("".join(rest[:1])):
        return Address(root, project=rest[0])
    if noun in ("organization", "organizations") and is_uuid("".join(rest[:1])):
        return Address(root, organization=rest[0])
    parts = "".join(rest[:1]).split("/")
    slug = (*parts, *rest[1:])
    if parts[0] not in PROVIDERS or len(slug) < 2:
        return None
    if noun == "organization" or (noun in ("project", "insights") and len(slug) == 2):
        return _named(root, slug[:2])
    if noun == "insights":
        # The summary of an organization: /insights/gh/acme/summary
        return _named(root, slug[:2] if slug[2:] == ("summary",) else slug[:3])
    return _api_project(_named(root, slug[:3]), slug[3:]) if noun == "project" else None


def _api_project(project: Address, rest: tuple[str, ...]) -> Address:
    if rest[:1] == ("pipeline",):
        return project._replace(pipeline_number=number_of(rest[1:2]))
    # v2: /job/34 and /34/artifacts; v1.1: /34
    return project._replace(job_number=number_of(rest[1:2] if rest[:1] == ("job",) else rest[:1]))


def _named(root: str, slug: Sequence[str]) -> Address:
    return Address(root, slug[0], slug[1], slug[2] if len(slug) > 2 else None)


def number_of(segments: Sequence[str]) -> int | None:
    """Return the number of a pipeline or a job in the first segment; None if that is not a number."""
    return int(segments[0]) if segments and re.fullmatch(_NUMBER, segments[0]) else None


def is_url(text: str) -> bool:
    """Return True for a text with a scheme, or with the two slashes that follow one."""
    return "://" in text or text.startswith("//")
