"""A local CircleCI to develop and test against."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .recorder import ReceivedRequest, Statistics
    from .server import LocalCircleCI
    from .stories import ArtifactStory, JobStory, StepStory, Story, WorkflowStory
    from .usage_csv import UsageFormat
    from .webhook_sender import Delivery, WebhookSender, WebhookTarget

__all__ = [
    "ArtifactStory",
    "Delivery",
    "JobStory",
    "LocalCircleCI",
    "ReceivedRequest",
    "Statistics",
    "StepStory",
    "Story",
    "UsageFormat",
    "WebhookSender",
    "WebhookTarget",
    "WorkflowStory",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import recorder, server, stories, usage_csv, webhook_sender

    for module in (server, recorder, stories, usage_csv, webhook_sender):
        if name in module.__all__:
            value: object = getattr(module, name)
            globals()[name] = value
            return value
    raise AssertionError(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
