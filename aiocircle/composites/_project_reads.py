"""The reads of a project's streams, and of changes of its workflows, as requests of a client."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from aiocircle._core.client_state import ClientState
from aiocircle._core.executor import Executor
from aiocircle._core.pagination import Page
from aiocircle.composites._changes import RerunMemory
from aiocircle.composites._client_reads import ClientReads
from aiocircle.composites._reads import Read
from aiocircle.resources.pipelines import Pipeline, Pipelines
from aiocircle.resources.workflows import Workflows

__all__ = ["ClientChanges", "ClientProjectReads", "rerun_memory"]

_memories: WeakKeyDictionary[ClientState, RerunMemory] = WeakKeyDictionary()


def rerun_memory(executor: Executor) -> RerunMemory:
    """Return the memory that a client shares with its copies."""
    return _memories.setdefault(executor.state, RerunMemory())


class ClientProjectReads(ClientReads):
    """The reads of one stream, as requests of one caller."""

    __slots__ = ()

    async def list_pipelines(
        self, project: str, /, *, branch: str | None, page_token: str | None
    ) -> Read[Page[Pipeline]]:
        """Return one page of the project's pipelines, newest first."""
        return await self._read(
            lambda executor: Pipelines(executor).list_for_project(project, branch=branch).page(page_token)
        )

    async def read_pipeline_by_number(self, project: str, pipeline_number: int, /) -> Read[Pipeline]:
        """Return the pipeline."""
        return await self._read(lambda executor: Pipelines(executor).get_by_number(project, pipeline_number))


class ClientChanges(ClientReads):
    """The changes of workflows, and the reads for them."""

    __slots__ = ()

    async def rerun_workflow(self, workflow_id: str, /) -> str | None:
        """Rerun the workflow from failed. Return the id of the new one, or None if the response has none."""
        return (await Workflows(self._executor).rerun(workflow_id, from_failed=True)).workflow_id

    async def cancel_workflow(self, workflow_id: str, /) -> None:
        """Cancel the workflow."""
        await Workflows(self._executor).cancel(workflow_id)
