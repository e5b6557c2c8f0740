"""Workflows, with approvals by name, reruns, and waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiocircle.composites._ids import IdOrModel, text_id
from aiocircle.composites._workflow_bots import WorkflowBots
from aiocircle.resources.workflows import Workflow

if TYPE_CHECKING:
    from aiocircle.composites._outcome import Until

__all__ = ["Workflows"]


class Workflows(WorkflowBots):
    """Workflows: `circle.workflows`."""

    __slots__ = ()

    async def wait(
        self,
        workflow_id: IdOrModel,
        *,
        timeout: float | None = 3600.0,
        until: Until = "finished",
        poll_interval: float | None = None,
    ) -> Workflow:
        """Return the workflow as soon as it has ended.

        workflow_id: an id, or a Workflow. timeout: seconds; None waits without a limit. until: "on_hold" also ends the
        wait when nothing can continue without an approval. poll_interval: seconds between two polls, instead of pauses
        from 2 to 15 s. A rerun is another workflow, which this does not follow: `pipelines.wait` does.

        Raises WaitTimeout if the deadline passes first; its `state` is the workflow as last read, or None. Failed polls
        do not end the wait. A 400, 401, 403, 404, 410 and a closed client do. A 404 in the first 10 s is a failed poll.

        https://circleci.com/docs/api/v2/#operation/getWorkflowById
        """
        from aiocircle.composites._client_reads import new_reader
        from aiocircle.composites._simple_waits import wait_for_workflow

        return await wait_for_workflow(
            new_reader(self._executor),
            text_id(workflow_id, "workflow_id"),
            timeout=timeout,
            until=until,
            poll_interval=poll_interval,
        )
