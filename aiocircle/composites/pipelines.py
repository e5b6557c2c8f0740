"""Pipelines, with the search for the pipeline of a commit, and the artifacts of all jobs."""

from __future__ import annotations

from aiocircle._core.group import Project
from aiocircle.composites._pipeline_files import PipelineFiles
from aiocircle.errors import InvalidArgument
from aiocircle.resources import pipelines
from aiocircle.resources.pipelines import Pipeline

__all__ = ["Pipelines"]


class Pipelines(PipelineFiles, pipelines.Pipelines):
    """Pipelines: `circle.pipelines`."""

    __slots__ = ()

    async def find(
        self, project: Project, *, revision: str, branch: str | None = None, limit: int | None = 250
    ) -> Pipeline | None:
        """Return the newest pipeline of a commit; None if there is none among the newest `limit` pipelines.

        revision: the commit's full hash, or the first characters of it, at least 7. branch: only pipelines of this
        branch. limit: the number of pipelines to look at, newest first; None for all. The API has no such search:
        each page of the project's pipelines is a request.

        https://circleci.com/docs/api/v2/#operation/listPipelinesForProject
        """
        if not isinstance(revision, str) or not (7 <= len(revision) <= 64) or not revision.isalnum():
            raise InvalidArgument("revision must be the hash of a commit, at least 7 characters, got another value")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise InvalidArgument(f"limit must be a number of pipelines above zero, got {limit!r}. None searches all")
        seen = 0
        pager = self.list_for_project(project, branch=branch)
        async for pipeline in pager:
            seen += 1
            if pipeline.revision is not None and pipeline.revision.startswith(revision.lower()):
                await pager.aclose()
                return pipeline
            if seen == limit:
                break
        await pager.aclose()
        return None
