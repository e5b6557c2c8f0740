"""Methods of `circle.pipelines` for bots: starts, results as they become final, and cancellations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiocircle._core.encode import parse_datetime
from aiocircle._core.group import Id, Project
from aiocircle.composites._branches import check_branch
from aiocircle.links import project_at
from aiocircle.resources import pipelines
from aiocircle.resources.pipelines import TriggeredPipeline
from aiocircle.resources.workflows import Workflow

# What a call needs is imported when one is made: most programs use few of these methods.
if TYPE_CHECKING:
    from aiocircle.composites._pipeline_streams import FinishedStream
    from aiocircle.composites._reads import EventSource

__all__ = ["PipelineBots"]


class PipelineBots(pipelines.Pipelines):
    """The methods `start`, `stream_finished` and `cancel_redundant` of `circle.pipelines`."""

    __slots__ = ()

    async def start(
        self,
        project: Project,
        *,
        branch: str | None = None,
        tag: str | None = None,
        parameters: Mapping[str, str | int | bool] | None = None,
        definition_id: Id | None = None,
    ) -> TriggeredPipeline:
        """Start a pipeline on a branch or a tag, and return it. `wait` takes what this returns.

        branch or tag: None for the default branch. parameters: as for `run`. definition_id: the pipeline definition.
        Without it, projects of GitHub OAuth and Bitbucket use `trigger`. All others use `run` with their only
        definition. The ref is that of the code. It is also that of the configuration if both are in one repository.

        One POST is sent. It is never sent again, or by another route, if its outcome is unknown. A bare project UUID
        costs one request more, and so does the list of definitions.

        Raise NotReady with the state "skipped" if CircleCI returned a message instead of a pipeline, such as for
        `[skip ci]`. Raise ConfigurationError, with nothing sent, if the project has no definition, or several. Projects
        of GitLab cannot be started by the API. A pipeline without workflows is not an error here: `wait` reports it.

        https://circleci.com/docs/api/v2/#operation/triggerPipelineRun
        """
        from aiocircle.composites._start import start_pipeline

        return await start_pipeline(
            self._executor, project, branch=branch, tag=tag, parameters=parameters, definition_id=definition_id
        )

    def stream_finished(
        self,
        project: Project,
        *,
        branch: str | None = None,
        since: datetime | str | None = None,
        state: Mapping[str, Any] | None = None,
        events: EventSource | None = None,
        poll_interval: float = 60.0,
    ) -> FinishedStream:
        """Stream the result of each pipeline once, when it is final, and again if a later change altered its outcome.

        The items are of the type that `wait` returns, in the order in which they become final. The stream never ends
        by itself: use `async with`, or `aclose()`. Failed polls do not end it. A closed client, a 401, a 403 and a 404
        of the project do.

        branch: only pipelines of this branch. since: also what was created since then. Without it: what becomes final
        from now on, and was created in the last 7 days. state: the `state` of an earlier stream of the same project
        and branch. It continues there, and takes precedence over `since`. Save `stream.state` before the first result
        and after the work for each: only a result whose work was interrupted comes again. events: an EventRouter. Its
        events are followed immediately, and polls find what they miss. poll_interval: seconds between two polls.

        https://circleci.com/docs/api/v2/#operation/listPipelinesForProject
        """
        from aiocircle.composites._pipeline_streams import FinishedStream
        from aiocircle.composites._project_reads import ClientProjectReads

        slug = str(project_at(project, self._executor.state.base_url))
        return FinishedStream(
            ClientProjectReads(self._executor.new_caller()),
            slug,
            branch=None if branch is None else check_branch(branch),
            since=since,
            state=state,
            events=events,
            poll_interval=poll_interval,
        )

    async def cancel_redundant(
        self, project: Project, *, branch: str, keep: int = 1, since: datetime | str | None = None
    ) -> tuple[Workflow, ...]:
        """Cancel what still runs on a branch, except on its newest pipelines. Return the workflows that were canceled.

        keep: the number of newest pipelines to leave alone; 0 cancels all. Pipelines whose configuration failed, and
        those that are older than 60 s without a workflow, are not counted. since: the creation of the oldest pipeline
        to look at; None for 7 days ago. A workflow on hold counts as running. One that ends in the meantime is neither
        returned nor an error. CircleCI confirms a cancellation immediately, and the workflow stops a little later.

        Raise ChangeErrors after all were tried if some were refused. Its `done` has the workflows that were canceled,
        and so have the `items` of an Unauthorized, which ends this immediately.

        https://circleci.com/docs/api/v2/#operation/cancelWorkflow
        """
        from aiocircle.composites._changes import cancel_redundant, check_count
        from aiocircle.composites._project_reads import ClientChanges
        from aiocircle.composites._project_stream import LOOK_BACK
        from aiocircle.composites._reads import ServerClock

        check_count(keep, "keep")
        check_branch(branch)
        oldest = datetime.now(UTC) - timedelta(seconds=LOOK_BACK) if since is None else parse_datetime(since, "since")
        slug = project_at(project, self._executor.state.base_url)
        # All pages are read before the first change.
        found = await self.list_for_project(slug, branch=branch, since=oldest).collect()
        return await cancel_redundant(ClientChanges(self._executor), found, keep=keep, now=ServerClock().of)
