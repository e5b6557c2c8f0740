"""Bodies of webhooks' requests become typed events, or MalformedEvent."""

from __future__ import annotations

import inspect
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle import CircleCIError, EventError, InvalidArgument, ProjectSlug
from aiocircle.events import JobCompleted, MalformedEvent, Ping, UnknownEvent, WorkflowCompleted, models, parse_event
from tests.support import events as bodies
from tests.support.rows import each_row

TYPES = {"workflow-completed": WorkflowCompleted, "job-completed": JobCompleted, "ping": Ping}


def parse(event: Any) -> Any:
    return parse_event(json.dumps(event).encode())


@each_row("name", bodies.VARIANTS)
def test_variant_is_typed_event(name: str) -> None:
    """Each known variant becomes the event of its type, with every declared value, and keeps the whole body."""
    body = bodies.VARIANTS[name]
    event = parse(body)
    assert type(event) is TYPES.get(body["type"], UnknownEvent)
    assert event.raw == body
    assert_same(event, body)
    assert hash(event) == hash(parse(body))
    assert event == parse(body)
    assert pickle.loads(pickle.dumps(event)) == event


def assert_same(model: Any, plain: dict[str, Any]) -> None:
    """Each value of the wire that the model declares is in the model; each value that is not there is None or empty."""
    for field in attrs.fields(type(model)):
        if field.name == "raw":
            continue
        value, wire = getattr(model, field.name), plain.get(field.name)
        if attrs.has(type(value)):
            assert_same(value, wire or {})
        elif isinstance(value, datetime):
            assert value == datetime.fromisoformat(wire or "")
            assert value.utcoffset() is not None
        elif field.name == "id" and not isinstance(wire, str):
            assert value is None
        else:
            assert value == wire


def test_workflow_event_has_its_values() -> None:
    """The values that bots read are at hand, with types."""
    event = parse(bodies.VARIANTS["GitHub OAuth, workflow"])
    assert event.workflow.status == models.CompletedWorkflowStatus.SUCCESS
    assert event.happened_at == datetime(2026, 9, 1, 22, 49, 34, 317311, UTC)
    assert (event.pipeline.number, event.pipeline.branch, event.pipeline.tag) == (130, "main", None)
    assert event.pipeline.vcs.commit.author.name == "Ada"
    assert event.pipeline.trigger_parameters is None


def test_job_event_has_no_workflow_status() -> None:
    """The event of a job names its workflow, without a status."""
    event = parse(bodies.VARIANTS["GitHub App, job"])
    assert (event.job.number, event.job.status) == (136, models.CompletedJobStatus.SUCCESS)
    assert (event.workflow.name, event.workflow.status) == ("build-test-deploy", None)
    assert event.pipeline.vcs is None
    assert event.pipeline.trigger_parameters["github_app"]["forced"] == "false"


@each_row(
    ("name", "branch", "tag", "revision"),
    [
        ("GitHub OAuth, workflow", "main", None, bodies.VCS["revision"]),
        ("GitHub OAuth, tag", None, None, bodies.VCS["revision"]),
        ("Bitbucket, workflow", "main", None, bodies.VCS["revision"]),
        ("GitHub App, workflow", "main", None, bodies.GIT["checkout_sha"]),
        ("GitHub App, tag", None, "v1.2", bodies.GIT["checkout_sha"]),
        ("GitLab, job without its workflow", "main", None, bodies.GIT["checkout_sha"]),
        ("test event, workflow", None, None, None),
    ],
)
def test_pipeline_names_its_source(name: str, branch: str | None, tag: str | None, revision: str | None) -> None:
    """Branch, tag and revision come from `vcs` or from the open map. "" is None."""
    pipeline = parse(bodies.VARIANTS[name]).pipeline
    assert (pipeline.branch, pipeline.tag, pipeline.revision) == (branch, tag, revision)


def test_shortened_event_can_be_read() -> None:
    """A handler that reads a shortened event gets None, and not an AttributeError."""
    event = parse(bodies.VARIANTS["test event, job"])
    assert (event.job.status, event.workflow.id, event.pipeline.branch, event.project.slug) == (None,) * 4
    assert event.webhook.name == "Sample"


def test_git_of_another_shape_is_ignored() -> None:
    """The open map may change: what is not a text there is None."""
    event = parse(bodies.workflow_completed(pipeline=bodies.pipeline(trigger_parameters={"git": {"branch": 5}})))
    assert event.pipeline.branch is None
    event = parse(bodies.workflow_completed(pipeline=bodies.pipeline(trigger_parameters={"git": "x"})))
    assert event.pipeline.branch is None


@each_row(
    ("body", "problem"),
    [
        (b"", "$ is empty"),
        (b"{", "not valid JSON"),
        (b'{"type": "ping"', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"type": "ping", "id": "\xff"}', "not valid JSON"),
        (b'{"type": "ping"} x', "not valid JSON"),
        (b"payload=%7B%7D", "not valid JSON"),
        (b"[]", "$ must be an object"),
        (b"null", "$ must be an object"),
        (b'"ping"', "$ must be an object"),
        (b"{}", "$.type must be a string"),
        (b'{"type": null}', "$.type must be a string"),
        (b'{"type": ["ping"]}', "$.type must be a string"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"type": "x", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not valid JSON"),
        (b'{"type": "workflow-completed", "workflow": []}', "$.workflow"),
        (b'{"type": "job-completed", "job": {"number": "12"}}', "$.job.number"),
        (b'{"type": "ping", "happened_at": "yesterday"}', "$.happened_at"),
        (b'{"type": "ping", "id": 5}', "$.id"),
    ],
)
def test_malformed_body_is_named(body: bytes, problem: str) -> None:
    """A body that is not an event is a MalformedEvent that names the place, and repeats no value."""
    with pytest.raises(MalformedEvent) as caught:
        parse_event(body)
    assert problem in str(caught.value)
    assert caught.value.problems
    assert isinstance(caught.value, EventError)
    assert isinstance(caught.value, CircleCIError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.problems, str(again)) == (caught.value.problems, str(caught.value))


def test_many_problems_are_counted() -> None:
    """The message names five problems and counts the others."""
    error = MalformedEvent([f"problem {number}" for number in range(7)])
    assert str(error).endswith("problem 4; and 2 more")
    assert len(error.problems) == 7


@pytest.mark.parametrize("body", [bytearray(b'{"type":"ping"}'), memoryview(b'{"type":"ping"}')], ids=["array", "view"])
def test_body_may_be_any_bytes(body: Any) -> None:
    """Frameworks hand over bytes in different types."""
    assert parse_event(body) == Ping(raw={"type": "ping"})


@pytest.mark.parametrize("body", ['{"type":"ping"}', {"type": "ping"}, None], ids=["str", "dict", "None"])
def test_body_of_another_type_is_refused(body: Any) -> None:
    """A decoded body cannot be verified: the error names the remedy."""
    with pytest.raises(InvalidArgument, match=r"body must be bytes, got .*as it was received"):
        parse_event(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.one_of(st.binary(max_size=60), _JSON.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_are_event_or_malformed(body: bytes) -> None:
    """For any bytes the result is an event or a MalformedEvent."""
    try:
        event = parse_event(body)
    except MalformedEvent:
        return
    assert event.raw == json.loads(body)


@given(st.sampled_from(sorted(bodies.VARIANTS)), st.data())
def test_spoilt_event_is_event_or_malformed(name: str, data: st.DataObject) -> None:
    """One value of a known event is replaced by any JSON value."""
    body = json.loads(json.dumps(bodies.VARIANTS[name]))
    place = body
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(_JSON)
    try:
        event = parse(body)
    except MalformedEvent:
        return
    assert event.raw == json.loads(json.dumps(body))
    assert hash(event) is not None


MODELS = [
    model
    for _, model in inspect.getmembers(models, lambda each: inspect.isclass(each) and attrs.has(each))
    if model.__module__ == models.__name__
]


@each_row("model", MODELS)
def test_model_is_frozen_and_by_keyword(model: type[attrs.AttrsInstance]) -> None:
    """Events are models like all others."""
    names = [field.name for field in attrs.fields(model)]
    one = model(**dict.fromkeys(names))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(one, names[0], 1)
    with pytest.raises(AttributeError):
        one.statsu = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        model(*[None] * len(names))
    hash(one)


def test_raw_is_not_shown() -> None:
    """A log line with an event does not repeat the whole body."""
    assert "raw" not in repr(parse(bodies.VARIANTS["ping"]))


def test_link_is_the_page() -> None:
    """The link has the project, and the numbers and ids that the event names."""
    links = pytest.importorskip("aiocircle.links")
    workflow = parse(bodies.VARIANTS["GitHub OAuth, workflow"])
    project = ProjectSlug.parse("gh/acme/web")
    expected = {"project": project, "pipeline_number": 130, "workflow_id": bodies.WORKFLOW["id"]}
    assert workflow.link == links.Link(**expected)
    assert parse(bodies.VARIANTS["GitHub OAuth, job"]).link == links.Link(**expected, job_number=136)


@pytest.mark.parametrize("name", ["ping", "unknown", "test event, workflow", "test event, job"])
def test_link_without_project_is_omitted(name: str) -> None:
    """An event that names no project belongs to no page."""
    pytest.importorskip("aiocircle.links")
    assert parse(bodies.VARIANTS[name]).link is None


@each_row("name", sorted(bodies.VARIANTS))
def test_link_of_each_variant_is_a_page(name: str) -> None:
    """Each event that names its project has a link, also if it lacks its workflow or its pipeline."""
    links = pytest.importorskip("aiocircle.links")
    event = parse(bodies.VARIANTS[name])
    expected = "project" in bodies.VARIANTS[name]
    assert isinstance(event.link, links.Link) == expected
    if expected:
        assert str(event.link)


def test_link_without_workflow_or_pipeline() -> None:
    """A job has a page by its number alone. A workflow without its pipeline leads to the project."""
    links = pytest.importorskip("aiocircle.links")
    event = parse(bodies.job_completed(workflow=None))
    assert event.link == links.Link(project=ProjectSlug("gh", "acme", "web"), job_number=136)
    event = parse(bodies.workflow_completed(workflow=None))
    assert event.link == links.Link(project=ProjectSlug("gh", "acme", "web"), pipeline_number=130)
    event = parse(bodies.workflow_completed(pipeline=None))
    assert event.link == links.Link(project=ProjectSlug("gh", "acme", "web"))


@pytest.mark.parametrize(
    "maps", [{"project": {"slug": "a/../b"}}, {"pipeline": {"number": -1}}, {"workflow": {"id": "not-a-uuid"}}], ids=str
)
def test_link_of_damaged_values_is_omitted(maps: dict[str, Any]) -> None:
    """The values come from the network: reading the property does not fail."""
    pytest.importorskip("aiocircle.links")
    assert parse(bodies.workflow_completed(**maps)).link is None
