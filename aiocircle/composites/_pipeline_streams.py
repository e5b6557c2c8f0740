"""The two streams of a project: results of its pipelines, and approvals that wait."""

from __future__ import annotations

import math

from aiocircle.composites._project_stream import ProjectStream
from aiocircle.resources.pipelines import Approval, Pipeline, PipelineResult

__all__ = ["ApprovalStream", "FinishedStream"]


class FinishedStream(ProjectStream[PipelineResult]):
    """The results of a project's pipelines, each once when it is final, and again if its outcome changes."""

    async def _look(self, number: int) -> PipelineResult | None:
        is_final = await self._update(number)
        view = self._views[number]
        result = view.result()
        if not is_final or result is None:
            self._state.record_open(number, self._created(number))
            return None
        final_at = max(view.final_at(), _begin_of(result.pipeline))
        # Nothing is awaited from here to the caller: the state and the caller agree on what was reported.
        is_new = self._state.record_final(number, self._created(number), result.outcome, final_at)
        return result if is_new else None


def _begin_of(pipeline: Pipeline) -> float:
    return (pipeline.updated_at or pipeline.created_at).timestamp()


class ApprovalStream(ProjectStream[Approval]):
    """The approval jobs of a project that wait, each once."""

    async def _look(self, number: int) -> Approval | None:
        is_final = await self._update(number)
        self._due.pop(number, None)  # An approval is found by the polls.
        view = self._views[number]
        if is_final:
            self._state.record_final(number, self._created(number), None, -math.inf)
        else:
            self._state.record_open(number, self._created(number))
        unended = view.unended
        self._state.prune_approvals({each.id for each in view.workflows} - {each.id for each in unended})
        pipeline = self._pipelines[number].pipeline
        for workflow in unended:
            for job in await self._jobs(workflow.id):
                if job.is_waiting_for_approval and job.id not in self._state.approvals.get(workflow.id, ()):
                    self._state.record_approval(workflow.id, job.id)
                    return Approval(pipeline=pipeline, workflow=workflow, job=job)
        return None

    async def _read_next(self, number: int) -> Approval | None:
        approval = await super()._read_next(number)
        if approval is not None:
            # There may be more of them. They are read again, because the caller may take its time.
            self._queue.setdefault(number)
        return approval
