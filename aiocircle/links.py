"""Links: pages of CircleCI, read into the ids and numbers that they name, and built from them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import attrs

from aiocircle._redact import redact_slug
from aiocircle._urls import (
    CLOUD_ROOT,
    Address,
    Root,
    clean_text,
    is_loopback,
    is_name,
    is_uuid,
    parse_address,
    parse_root,
)
from aiocircle.errors import InvalidArgument
from aiocircle.slugs import HasSlug, OrgSlug, ProjectSlug, read_slug

__all__ = ["Link", "ensure_same_host", "job_url", "org_at", "pipeline_url", "project_at", "workflow_url"]

_APP_ROOT = "https://app.circleci.com"
# The web pages have the long names; slugs and older pages have the short ones.
_LONG_NAMES = {"gh": "github", "bb": "bitbucket", "circleci": "circleci"}
# The longest number that the pages' reader takes.
_MAX_NUMBER = 10**18
_NOT_A_ROOT = "root must be the root of a host, such as https://circleci.example.com"


def _uuid_text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, UUID | str) else value


def _root_of_server(value: Any) -> str | None:
    if value is None:
        return None
    root = parse_root(value) if isinstance(value, str) else None
    if root is None:
        del value  # An exception keeps this frame.
        raise InvalidArgument(_NOT_A_ROOT)
    return None if root.is_cloud else str(root)


@attrs.frozen(kw_only=True)
class Link:
    """A page of CircleCI, by what it names. `str(link)` is the page.

    project: the project of the page. org: the project's organization, or the one that the page names itself.
    pipeline_number, job_number: numbers in the project. workflow_id: a UUID. Each is None if the page does not name it.

    root: the scheme and host of a CircleCI Server; None for the cloud. Links to different hosts are different.

    A link names a workflow alone, an organization, a project, or a pipeline, workflow or job of a project. Any other
    combination has no page, and is an InvalidArgument.
    """

    project: ProjectSlug | None = attrs.field(default=None)
    org: OrgSlug | None = attrs.field(default=None)
    pipeline_number: int | None = None
    workflow_id: str | None = attrs.field(default=None, converter=_uuid_text)
    job_number: int | None = None
    _root: str | None = attrs.field(default=None, alias="root", converter=_root_of_server)

    def __attrs_post_init__(self) -> None:
        _check_slug("project", self.project, ProjectSlug)
        _check_slug("org", self.org, OrgSlug)
        _check_number("pipeline_number", self.pipeline_number)
        _check_number("job_number", self.job_number)
        if self.workflow_id is not None and not (isinstance(self.workflow_id, str) and is_uuid(self.workflow_id)):
            raise InvalidArgument("workflow_id must be a UUID")
        if self.project is not None:
            if self.org is not None and self.org != self.project.org:
                raise InvalidArgument(f"org must be {self.project.org}, the project's, got {self.org}")
            object.__setattr__(self, "org", self.project.org)
        if not self._has_page():
            raise InvalidArgument(
                "a link must name a workflow, an organization, a project, a job of a project, or a pipeline of a "
                "project, with its workflow and that workflow's job. Other combinations have no page."
            )

    def _has_page(self) -> bool:
        in_pipeline = self.pipeline_number is not None
        if self.project is None:
            numbered = in_pipeline or self.job_number is not None
            return not numbered and (self.org is None) is not (self.workflow_id is None)
        if self.workflow_id is None:
            return not (in_pipeline and self.job_number is not None)
        return in_pipeline

    @classmethod
    def parse(cls, url: Link | str) -> Link:
        """Return the link that a page of CircleCI is.

        url: a page of the cloud or of a CircleCI Server, in the new or the older form, with or without the scheme. A
            URL of the API works if it names a project, an organization or a workflow. White space at both ends, the
            query, the fragment and credentials are dropped.

        Raises InvalidArgument if the text is not such a page, or is a page of a host of code.

        https://circleci.com/docs/guides/orchestrate/pipelines/
        """
        if isinstance(url, Link):
            return url
        result = _read_link(url)
        if isinstance(result, Link):
            return result
        # An exception keeps this frame: the text may hold a password.
        del url
        raise InvalidArgument(result)

    def at(self, root: str) -> str:
        """Return the same page on another installation.

        root: the root of a CircleCI Server, such as a client's `base_url`; that of the cloud gives the cloud's page.

        Raises InvalidArgument if `root` is not the root of a host.

        https://circleci.com/docs/guides/orchestrate/pipelines/
        """
        parsed = parse_root(root) if isinstance(root, str) else None
        if parsed is None:
            del root  # An exception keeps this frame: the text may hold a password.
            raise InvalidArgument(_NOT_A_ROOT)
        return _page_of(self, _APP_ROOT if parsed.is_cloud else str(parsed), str(parsed))

    @property
    def root(self) -> str:
        """The scheme and host of the installation: `https://circleci.com` for the cloud."""
        return self._root or CLOUD_ROOT

    def __str__(self) -> str:
        return _page_of(self, self._root or _APP_ROOT, self._root or CLOUD_ROOT)


def _check_slug(name: str, value: object, kind: type[OrgSlug] | type[ProjectSlug]) -> None:
    if value is None:
        return
    if not isinstance(value, OrgSlug | ProjectSlug) or not isinstance(value, kind):
        raise InvalidArgument(f"{name} must be an {kind.__name__} or None, got {type(value).__name__}")
    if value.provider is None:
        raise InvalidArgument(f"{name} must name its provider, got a UUID alone. The pages have no such form.")


def _check_number(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgument(f"{name} must be an int or None, got {type(value).__name__}")
    if not 0 < value < _MAX_NUMBER:
        raise InvalidArgument(f"{name} must be at least 1 and below 10**18, got {'less' if value < 1 else 'more'}")


def _read_link(url: object) -> Link | str:
    """Return the link, or the message of an error. It raises nothing that `url` could be part of."""
    if not isinstance(url, str):
        return f"url must be a page of CircleCI as a str, got {type(url).__name__}"
    text = clean_text(url)
    if text is None:
        return "url must be a page of CircleCI, got a text that is empty or too long, or has a control character"
    address = parse_address(text, roots=None)
    link = None if address is None else _link(address)
    if link is None:
        return (
            "url must be a page of CircleCI that names a project, an organization or a workflow, got "
            f"{redact_slug(text)}. Copy the address of the page of the pipeline, the workflow or the job."
        )
    return link


def _link(address: Address) -> Link | None:
    """Return the address as a link; None if it is not a page, or if its names are not valid."""
    names = [name for name in (address.organization, address.project) if name is not None]
    if address.root is None or not all(map(is_name, names)) or (names and address.provider is None):
        return None
    project = org = None
    if address.organization is not None and address.project is not None:
        project = ProjectSlug(address.provider, address.organization, address.project)
    elif address.organization is not None:
        org = OrgSlug(address.provider, address.organization)
    return Link(
        project=project,
        org=org,
        pipeline_number=address.pipeline_number,
        workflow_id=address.workflow_id,
        job_number=address.job_number,
        root=address.root,
    )


def _page_of(link: Link, app: str, old: str) -> str:
    """Return the page. `app` is the root of pages of the new form, `old` of those of the older form."""
    slug = link.project or link.org
    if slug is None:
        return f"{old}/workflow-run/{link.workflow_id}"
    if link.job_number is not None and link.workflow_id is None:
        return f"{old}/{_path(slug)}/{link.job_number}"
    page = f"{app}/pipelines/{_path(slug, long=True)}"
    if link.pipeline_number is not None:
        page += f"/{link.pipeline_number}"
    if link.workflow_id is not None:
        page += f"/workflows/{link.workflow_id}"
    return page if link.job_number is None else f"{page}/jobs/{link.job_number}"


def _path(slug: OrgSlug | ProjectSlug, *, long: bool = False) -> str:
    provider, *names = slug.segments
    return "/".join([_LONG_NAMES[provider] if long else provider, *[quote(name, safe="") for name in names]])


def pipeline_url(project_slug: str | None, number: int | None) -> str | None:
    """Return the page of a pipeline on the cloud; None if the project's slug or the number is missing."""
    project = _project_of(project_slug)
    return None if project is None or not _is_number(number) else str(Link(project=project, pipeline_number=number))


def workflow_url(project_slug: str | None, pipeline_number: int | None, workflow_id: str | None) -> str | None:
    """Return the page of a workflow on the cloud; None if one of the three is missing or empty."""
    project = _project_of(project_slug)
    if project is None or not _is_number(pipeline_number) or not workflow_id or not is_uuid(workflow_id):
        return None
    return str(Link(project=project, pipeline_number=pipeline_number, workflow_id=workflow_id))


def job_url(project_slug: str | None, job_number: int | None) -> str | None:
    """Return the older page of a job on the cloud, by its number; None if the slug or the number is missing."""
    project = _project_of(project_slug)
    return None if project is None or not _is_number(job_number) else str(Link(project=project, job_number=job_number))


def _project_of(slug: str | None) -> ProjectSlug | None:
    project = read_slug(ProjectSlug, slug)
    return project if isinstance(project, ProjectSlug) and project.provider is not None else None


def _is_number(value: int | None) -> bool:
    return value is not None and 0 < value < _MAX_NUMBER


def ensure_same_host(link: Link, base_url: str) -> None:
    """Raise InvalidArgument if the link leads to another host than `base_url`, a client's.

    All hosts of CircleCI's cloud are one host. A client of a loopback host, such as that of a local server for tests,
    takes links of the cloud as well.
    """
    if message := _wrong_host(link, _root_of_client(base_url)):
        raise InvalidArgument(message)


def project_at(value: ProjectSlug | Link | str | UUID | HasSlug, base_url: str) -> ProjectSlug:
    """Return the project that `value` names to a client of `base_url`.

    value: as for `ProjectSlug.parse`, or a `Link`. A page must be one of the client's host (`ensure_same_host`).

    Raises InvalidArgument if it does not name a project.
    """
    if isinstance(value, ProjectSlug):
        return value
    result = _read_at(ProjectSlug, value, base_url)
    if isinstance(result, ProjectSlug):
        return result
    del value  # An exception keeps this frame: the text may hold a password.
    raise InvalidArgument(result)


def org_at(value: OrgSlug | Link | str | UUID | HasSlug, base_url: str) -> OrgSlug:
    """Return the organization that `value` names to a client of `base_url`.

    value: as for `OrgSlug.parse`, or a `Link`. A page must be one of the client's host (`ensure_same_host`).

    Raises InvalidArgument if it does not name an organization.
    """
    if isinstance(value, OrgSlug):
        return value
    result = _read_at(OrgSlug, value, base_url)
    if isinstance(result, OrgSlug):
        return result
    del value  # An exception keeps this frame: the text may hold a password.
    raise InvalidArgument(result)


_Slug = TypeVar("_Slug", OrgSlug, ProjectSlug)


def _read_at(kind: type[_Slug], value: object, base_url: str) -> _Slug | str:
    """Return what `value` names to a client of `base_url`, or the message of an error."""
    root = _root_of_client(base_url)
    if not isinstance(value, Link):
        return read_slug(
            kind, value, roots=() if root.is_cloud else (root,), read_cloud=root.is_cloud or is_loopback(root.host)
        )
    named = value.project if kind is ProjectSlug else value.org
    if isinstance(named, kind):
        return _wrong_host(value, root) or named
    name = "a project" if kind is ProjectSlug else "an organization"
    return f"the link must be a page of {name}, got {value}"


def _wrong_host(link: Link, root: Root) -> str | None:
    """Return the message of an error if the link leads to another host than `root`; None if it does not."""
    linked = _root_of_client(link.root)
    if linked.is_cloud:
        if root.is_cloud or is_loopback(root.host):
            return None
    elif (linked.host, linked.port) == (root.host, root.port):
        return None
    return (
        f"the link must be a page of {root.authority}, the client's host, got a page of {linked.authority}. "
        "Use a client of that host."
    )


# Clients have few hosts, and every call names a project.
@lru_cache(maxsize=64)
def _root_of_client(base_url: str) -> Root:
    root = parse_root(base_url)
    if root is None:
        raise InvalidArgument("base_url must be the root of a host, such as https://circleci.example.com")
    return root
