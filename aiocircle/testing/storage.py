"""The storage of artifacts and usage exports, behind signed URLs that refuse a token."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

from .ids import digest
from .response import Response
from .routes.usage import usage_file
from .signed_urls import UrlSigner
from .state import State

__all__ = ["fetch"]

_MISSING = Response(404, b"<html><body>Not Found</body></html>", "text/html")
_TWO_AUTHS = Response(
    400,
    b"<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>",
    "application/xml",
)
_EXPIRED = Response(
    403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "application/xml"
)
_TYPES = {"html": "text/html", "json": "application/json", "xml": "application/xml", "log": "text/plain"}


def fetch(
    state: State, urls: UrlSigner, path: str, query: str, headers: Mapping[str, str], *, authorized: bool
) -> Response:
    """Return the response to a GET outside the API."""
    if path.startswith("/output/job/"):
        if not authorized:
            return _MISSING  # as for a private project without a token
        return _artifact(state, urls, unquote(path.removeprefix("/output/job/")))
    if not path.startswith(("/artifact/", "/usage/")):
        return _MISSING
    if "Authorization" in headers or "Circle-Token" in headers:
        return _TWO_AUTHS
    if not urls.is_valid(path, parse_qs(query), state.now()):
        return _EXPIRED
    if path.startswith("/artifact/"):
        return _content(unquote(path))
    _, _, export_id, name = path.split("/")
    body = usage_file(state, export_id, int(name.removeprefix("usage_report_").removesuffix(".csv.gz")))
    return _MISSING if body is None else Response(200, body, "application/x-gzip")


def _artifact(state: State, urls: UrlSigner, rest: str) -> Response:
    """Return HTML itself, and a redirect to the storage for everything else."""
    job_id, _, rest = rest.partition("/artifacts/")
    node, _, name = rest.partition("/")
    job = state.job(job_id)
    if job is None or not node.isdigit() or int(node) >= job.plan.parallelism or name not in job.plan.artifacts:
        return _MISSING
    path = f"/artifact/{job_id}/{node}/{name}"
    if name.endswith(".html"):
        return _content(path)
    return Response(302, b"", "text/plain", {"Location": urls.sign(path, state.now(), 60)})


def _content(path: str) -> Response:
    """Return bytes that depend on the path alone."""
    ending = path.rpartition(".")[2]
    words = "\n".join(digest(path, line).hex() for line in range(64))
    if ending == "json":
        body = f'{{"path": "{path}"}}'
    elif ending == "html":
        body = f"<html><body><pre>{words}</pre></body></html>"
    elif ending == "xml":
        body = f'<testsuite name="{path}"/>'
    else:
        body = words
    return Response(200, body.encode(), _TYPES.get(ending, "application/octet-stream"))
