"""What several groups share."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from aiocircle._core.codec import KEBAB, UNSET, Timestamp, Unset, encode_nested
from aiocircle._core.endpoint import Endpoint, ListEndpoint
from aiocircle._core.pager import Pager
from aiocircle.resources._group import Group, sent
from aiocircle.slugs import OrgSlug, ProjectSlug

__all__ = [
    "KEBAB",
    "UNSET",
    "Endpoint",
    "Group",
    "Id",
    "ListEndpoint",
    "Org",
    "Pager",
    "Project",
    "Several",
    "Timestamp",
    "Unset",
    "encode_nested",
    "sent",
]

Id = str | UUID
"""An id, as text or as a UUID."""

Project = ProjectSlug | str
"""A project: a ProjectSlug, or anything that ProjectSlug.parse() understands."""

Org = OrgSlug | str
"""An organization: an OrgSlug, or anything that OrgSlug.parse() understands."""

Several = str | Sequence[str]
"""One value, or several."""
