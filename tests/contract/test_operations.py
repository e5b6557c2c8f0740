"""Every operation of the table is there, under its name, and nothing that the table does not know."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable

import pytest

from aiocircle import CircleCI, Pager
from aiocircle._core.api import V2
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint
from aiocircle._core.group import Group
from aiocircle._core.pagination import OFFSET
from aiocircle._groups import LazyGroup, V2Groups
from tests.contract.tables import ENDPOINTS, TABLES, model_of
from tests.support.official_spec import ABSENT, OPERATIONS, Operation, each_operation, needs_document

# Public methods that are not operations of the API, and their purpose.
EXTRAS = {
    "jobs.get_by_link": "a person has the address of a page",
    "jobs.download_artifacts": "a file is more than a request: its name, its parts, its end",
    "jobs.get_failed_output": "API v2 has no output of steps",
    "jobs.get_steps": "API v2 has no steps",
    "jobs.list_failed_tests": "the API has no filter of tests",
    "jobs.stream_artifact": "a file is read as it comes",
    "jobs.stream_output": "API v2 has no output of steps",
    "jobs.wait": "a poll is not a wait",
    "pipelines.cancel_redundant": "a bot cancels what newer pipelines have made redundant",
    "pipelines.download_artifacts": "the artifacts of all jobs of a pipeline",
    "pipelines.find": "the API has no search for the pipeline of a commit",
    "pipelines.get_by_link": "a person has the page",
    "pipelines.start": "the API has two routes, and the project decides which one works",
    "pipelines.stream_finished": "the API has no stream of results",
    "pipelines.wait": "a pipeline has no status: that of its workflows counts, and more of them may appear",
    "pipelines.watch": "the API has no stream of changes",
    "workflows.get_by_link": "a person has the address of a page",
    "usage.download_export": "an export is created, polled and downloaded",
    "usage.stream_export": "an export is created, polled and read",
    "projects.list_for_org": "the API has no list of an organization's projects: it is put together",
    "workflows.approve_by_name": "a person knows the approval's name, not its request's id",
    "webhooks.ensure": "the API has no request that creates or updates",
    "workflows.rerun_failed": "a bot reruns what failed, and never loops",
    "workflows.stream_approvals": "CircleCI sends no event for an approval that waits",
    "workflows.wait": "a poll is not a wait",
}

# How the table writes the slugs in our paths. All other placeholders are one segment, with any name.
SLUGS = {
    "{project:slug}": "{project-slug}",
    "{project:full_slug}": "{provider}/{organization}/{project}",
    "{org:org_slug}": "{org-slug}",
    "{org:slug_or_id}": "{org-slug-or-id}",
}


def test_document_is_present_in_ci() -> None:
    """Continuous integration has the official document: without it these tests are skipped."""
    if ABSENT and os.environ.get("CI") != "true":
        pytest.skip(ABSENT)
    assert not ABSENT


@needs_document
def test_list_has_operations_beyond_the_document() -> None:
    """Each operation has a name of its own, and six are not in the document."""
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    beyond = {operation.name for operation in OPERATIONS if operation.is_beyond}
    assert beyond == {
        "insights.list_job_runs",
        "jobs.get_by_id",
        "organizations.get",
        "otel.create_exporter",
        "otel.delete_exporter",
        "otel.list_exporters",
    }


@each_operation()
def test_operation_is_a_method(operation: Operation, record_property: Callable[[str, object], None]) -> None:
    """Each operation is a method with the endpoint's result as its annotation."""
    endpoint = ENDPOINTS[operation.name]
    method = operation.method(CircleCI("a-token"))
    parameters = inspect.signature(method).parameters.values()
    positional = tuple(each.name for each in parameters if each.kind is not each.KEYWORD_ONLY)
    assert positional == operation.positional
    assert all(each.default is each.empty for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD)
    assert endpoint.method == operation.verb
    assert as_in_the_table(endpoint.path) == without_names(operation.path)
    assert endpoint.path.count("{") == len(positional)
    *_, reference = (method.__doc__ or "").split()
    assert reference == f"https://circleci.com/docs/api/v2/#operation/{operation.reference}"
    if operation.is_list:
        assert isinstance(endpoint, ListEndpoint)
        assert not inspect.iscoroutinefunction(inspect.unwrap(method))
        assert inspect.signature(method, eval_str=True).return_annotation == Pager[endpoint.model]
        assert endpoint.paging.is_paged == (operation.is_paged or endpoint.pagination is OFFSET)
    else:
        assert isinstance(endpoint, Endpoint | Action)
        assert inspect.iscoroutinefunction(inspect.unwrap(method))
        assert inspect.signature(method, eval_str=True).return_annotation == model_of(endpoint)
    record_property("reached", 1)


@needs_document
def test_groups_have_no_unlisted_method() -> None:
    """Each public method of a group is an operation, or listed as an extra."""
    circle = CircleCI("a-token")
    groups = [name for name, value in vars(V2Groups).items() if isinstance(value, LazyGroup)]
    assert sorted(groups) == sorted({operation.group for operation in OPERATIONS})
    methods = {
        f"{group}.{name}" for group in groups for name in dir(getattr(circle, group)) if not name.startswith("_")
    }
    assert all(isinstance(getattr(circle, group), Group) for group in groups)
    assert methods - {operation.name for operation in OPERATIONS} == EXTRAS.keys()


@needs_document
def test_endpoints_are_those_of_the_document() -> None:
    """The endpoints are the operations of the document, each once."""
    operations = sorted(
        endpoint.operation for endpoint in TABLES if endpoint.operation.rpartition(".")[0] not in EXTRAS
    )
    assert operations == sorted(operation.name for operation in OPERATIONS)
    routes = {(operation.verb, without_names(operation.path)) for operation in OPERATIONS}
    own = {(endpoint.method, as_in_the_table(endpoint.path)) for endpoint in TABLES if endpoint.api is V2}
    assert own == routes


def as_in_the_table(path: str) -> str:
    """A path of ours with its slugs as the table writes them."""
    return re.sub(r"\{[^}]+\}", lambda found: SLUGS.get(found[0], "{}"), path)


def without_names(path: str) -> str:
    """A path of the table with no names in placeholders but those of slugs."""
    kept = "".join(SLUGS.values())
    return re.sub(r"\{[^}]+\}", lambda found: found[0] if found[0] in kept else "{}", path)
