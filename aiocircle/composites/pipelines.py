"""Pipelines, with what needs several requests."""

from __future__ import annotations

from aiocircle.composites._pipeline_files import PipelineFiles
from aiocircle.resources import pipelines

__all__ = ["Pipelines"]


class Pipelines(PipelineFiles, pipelines.Pipelines):
    """Pipelines: `circle.pipelines`."""

    __slots__ = ()
