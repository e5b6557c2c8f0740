"""The job that a call is about: a project with a number, a link, or a job of a workflow's list."""

from __future__ import annotations

from typing import Any

from aiocircle.errors import InvalidArgument
from aiocircle.links import Link, ensure_same_host, project_at
from aiocircle.resources.workflows import WorkflowJob
from aiocircle.slugs import ProjectSlug

__all__ = ["find_job"]


def find_job(project: Any, job_number: int | None, base_url: str) -> tuple[ProjectSlug, int]:
    """Return the project and the number of the job that the arguments of a call name.

    Raise InvalidArgument if they do not name a job, or if a link leads to another host than `base_url`.
    """
    if isinstance(project, WorkflowJob):
        _require_alone(job_number, "a WorkflowJob")
        return _of_workflow_job(project)
    if isinstance(project, Link) or (job_number is None and _is_url(project)):
        _require_alone(job_number, "a link")
        return _of_link(Link.parse(project), base_url)
    if job_number is None:
        raise InvalidArgument("job_number must be an int, got None. Without it, pass a link to a job or a WorkflowJob.")
    if isinstance(job_number, bool) or not isinstance(job_number, int) or job_number < 1:
        got = job_number if isinstance(job_number, int) else type(job_number).__name__
        raise InvalidArgument(f"job_number must be an int of at least 1, got {got}. Take it from a job.")
    return project_at(project, base_url), job_number


def _require_alone(job_number: int | None, kind: str) -> None:
    if job_number is not None:
        raise InvalidArgument(f"job_number must be None next to {kind}, got {job_number!r}. Leave it out.")


def _is_url(project: object) -> bool:
    # A link may lack its scheme. A slug has two slashes.
    return isinstance(project, str) and project.strip("/ ").count("/") > 2


def _of_workflow_job(job: WorkflowJob) -> tuple[ProjectSlug, int]:
    if job.job_number is None:
        raise InvalidArgument(f"project must be a job that has begun, got {job.name!r} without a number. Wait for it.")
    if not job.project_slug:
        raise InvalidArgument(f"project must be a job with a project, got {job.name!r} without one. Pass both values.")
    return ProjectSlug.parse(job.project_slug), job.job_number


def _of_link(link: Link, base_url: str) -> tuple[ProjectSlug, int]:
    ensure_same_host(link, base_url)
    if link.project is None or link.job_number is None:
        raise InvalidArgument(f"project must be a link to a job, got {link}. Copy the address of the job's page.")
    return link.project, link.job_number
