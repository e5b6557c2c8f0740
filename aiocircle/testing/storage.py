"""What CircleCI keeps elsewhere: artifacts and usage exports, behind signed URLs that want no token."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

from .call import Answer
from .identity import digest
from .routes.usage import usage_file
from .signing import Storage
from .world import World

__all__ = ["fetch"]

_MISSING = Answer(404, b"<html><body>Not Found</body></html>", "text/html")
_TWO_AUTHS = Answer(
    400,
    b"<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>",
    "application/xml",
)
_EXPIRED = Answer(
    403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "application/xml"
)
_TYPES = {"html": "text/html", "json": "application/json", "xml": "application/xml", "log": "text/plain"}


def fetch(
    world: World, storage: Storage, path: str, query: str, headers: Mapping[str, str], *, authorized: bool
) -> Answer:
    """The answer to a GET outside the API."""
    if path.startswith("/output/job/"):
        if not authorized:
            return _MISSING  # as a private project's looks without a token
        return _artifact(world, storage, unquote(path.removeprefix("/output/job/")))
    if not path.startswith(("/artifact/", "/usage/")):
        return _MISSING
    if "Authorization" in headers or "Circle-Token" in headers:
        return _TWO_AUTHS
    if not storage.valid(path, parse_qs(query), world.clock):
        return _EXPIRED
    if path.startswith("/artifact/"):
        return _content(unquote(path))
    _, _, export_id, name = path.split("/")
    body = usage_file(world, export_id, int(name.removeprefix("usage_report_").removesuffix(".csv.gz")))
    return _MISSING if body is None else Answer(200, body, "application/x-gzip")


def _artifact(world: World, storage: Storage, rest: str) -> Answer:
    """HTML at once, everything else by way of the storage."""
    job_id, _, rest = rest.partition("/artifacts/")
    node, _, name = rest.partition("/")
    job = world.job(job_id)
    if job is None or not node.isdigit() or int(node) >= job.plan.parallelism or name not in job.plan.artifacts:
        return _MISSING
    path = f"/artifact/{job_id}/{node}/{name}"
    if name.endswith(".html"):
        return _content(path)
    return Answer(302, b"", "text/plain", {"Location": storage.sign(path, world.clock, 60)})


def _content(path: str) -> Answer:
    """Made-up bytes that are always the same for the same path."""
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
    return Answer(200, body.encode(), _TYPES.get(ending, "application/octet-stream"))
