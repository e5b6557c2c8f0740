"""The storage of artifacts, outputs and usage exports, behind signed URLs that refuse a token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, quote_plus, unquote_plus

from .files import serve_artifact
from .model import Job, job_id
from .response import FileResponse, Response
from .signed_urls import UrlSigner
from .state import State
from .steps import Action, find_action, output_items
from .stories import ArtifactStory
from .usage_exports import usage_file

__all__ = ["artifact_url", "artifacts_of", "fetch_artifact", "fetch_stored", "output_url"]

_MISSING = Response(404, b"<html><body>Not Found</body></html>", "text/html", cacheable=False)
_TWO_AUTHS = Response(
    400,
    b"<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>",
    "application/xml",
)
_EXPIRED = Response(
    403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "application/xml"
)
_OUTPUT_LIFETIME = 432_000  # seconds, as CircleCI signs outputs
_ARTIFACT_LIFETIME = 60  # seconds


class _Cuts:
    """The responses of each artifact that have been cut."""

    def __init__(self, state: State) -> None:
        self.counts: dict[tuple[str, int], int] = {}


def artifacts_of(job: Job) -> tuple[ArtifactStory, ...]:
    """Return the artifacts that a job has stored."""
    stored = job.finished if job.plan.story is not None else job.status in {"success", "failed"}
    return job.plan.artifact_stories if stored else ()


def artifact_url(root: str, ident: str, job: Job, artifact: ArtifactStory) -> str:
    """Return the URL of an artifact. A space is `+` in it, and a hostile path is not part of it."""
    name = quote_plus(artifact.path, safe="/")
    segments = artifact.path.split("/")
    if not all(segments) or {".", ".."} & {*segments} or not artifact.path.isprintable() or len(name) > 1000:
        name = f"artifact-{job.plan.artifact_stories.index(artifact)}"
    return f"{root}/output/job/{ident}/artifacts/{artifact.node_index}/{name}"


def output_url(state: State, urls: UrlSigner, action: Action) -> str:
    """Return a new signed URL of the output of a step."""
    path = f"/output/{job_id(state.ids, action.job)}/{action.number}/{action.node}"
    return urls.sign(path, state.now(), _OUTPUT_LIFETIME)


def fetch_artifact(
    state: State, urls: UrlSigner, path: str, headers: Mapping[str, str], *, is_authorized: bool
) -> Response | FileResponse:
    """Return the response of the artifacts' host: a file itself, or a redirect to the storage."""
    if not path.startswith("/output/job/") or not is_authorized:
        return _MISSING  # as for a private project without a token
    ident, _, rest = path.removeprefix("/output/job/").partition("/artifacts/")
    job = state.job(ident)
    if job is None:
        return _MISSING
    for index, artifact in enumerate(artifacts_of(job)):
        own = artifact_url("", ident, job, artifact).partition("/artifacts/")[2]
        if unquote_plus(own) == unquote_plus(rest):
            redirect = not artifact.path.endswith(".html") if artifact.redirect is None else artifact.redirect
            if not redirect:
                return _artifact(state, ident, index, artifact, headers)
            # Only characters that no client encodes in another way: the signature is of the path as it is sent.
            name = re.sub(r"[^A-Za-z0-9._-]", "_", artifact.path.rpartition("/")[2][:100])
            stored = f"/artifact/{ident}/{index}/file-{name}"
            location = urls.sign(stored, state.now(), _ARTIFACT_LIFETIME)
            return Response(302, b"", "text/plain", {"Location": location}, cacheable=False)
    return _MISSING


def fetch_stored(
    state: State, urls: UrlSigner, path: str, query: str, headers: Mapping[str, str]
) -> Response | FileResponse:
    """Return the response of the storage host. It refuses a token, as S3 does."""
    if "Authorization" in headers or "Circle-Token" in headers:
        return _TWO_AUTHS
    kind, *rest = path.strip("/").split("/")
    if len(rest) < 2 or kind not in {"artifact", "output", "usage"}:
        return _MISSING
    if not urls.is_valid(path, parse_qs(query), state.now()):
        return _EXPIRED
    if kind == "usage":
        return usage_file(state, rest[0], rest[1]) or _MISSING
    job = state.job(rest[0])
    if job is None:
        return _MISSING
    if kind == "output":
        action = find_action(job, state.now(), int(rest[1]), int(rest[2]))
        if action is None:
            return _MISSING
        return FileResponse(
            chunks=lambda: output_items(action), size=None, content_type="application/json", framing="chunked"
        )
    index = int(rest[1])
    return _artifact(state, rest[0], index, artifacts_of(job)[index], headers)


def _artifact(
    state: State, ident: str, index: int, artifact: ArtifactStory, headers: Mapping[str, str]
) -> Response | FileResponse:
    counts = state.group_state(_Cuts).counts
    cuts = counts.get((ident, index), 0)
    is_cut = cuts < artifact.cuts
    if is_cut:
        counts[ident, index] = cuts + 1
    return serve_artifact(artifact, headers, is_cut=is_cut)
