"""Signatures: accepted if one of the secrets made them, refused otherwise, and no secret is shown."""

from __future__ import annotations

import io
import itertools
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from rich.console import Console
from rich.traceback import Traceback

from aiocircle import CircleCIError, ConfigurationError, EventError, InvalidArgument
from aiocircle.events import EventRouter, SignatureError, sign, verify
from tests.support.rows import each_row

# The first three are in CircleCI's documentation of webhooks.
VECTORS = [
    (b"hello world", "secret", "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"),
    (b"lalala", "another-secret", "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"),
    (b"an-important-request-payload", "hunter123", "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa"),
    (b"foo", "secret", "773ba44693c7553d6ee20f61ea5d2757a9a4f4a44d2841ae4e95b52e4cd62db4"),
]
BODY, SECRET, DIGEST = VECTORS[0]
CANARY = "canary-7f3b0123456789"


@pytest.mark.parametrize(("body", "secret", "digest"), VECTORS, ids=[secret for _, secret, _ in VECTORS])
def test_known_vector_is_accepted_and_made(body: bytes, secret: str, digest: str) -> None:
    """The documented signatures are those that `sign` makes and `verify` accepts."""
    assert sign(body, secret) == f"v1={digest}"
    verify(body, {"circleci-signature": f"v1={digest}"}, secret)


@pytest.mark.parametrize("name", ["circleci-signature", "Circleci-Signature", "CIRCLECI-SIGNATURE"])
@pytest.mark.parametrize("form", ["dict", "multidict", "pairs", "asgi", "generator"])
def test_header_is_found_in_any_form(name: str, form: str) -> None:
    """Names in any case, in mappings and in pairs, as text and as bytes."""
    pairs = [("host", "x"), (name, f"v1={DIGEST}")]
    forms: dict[str, Any] = {
        "dict": dict(pairs),
        "multidict": CIMultiDict(pairs),
        "pairs": pairs,
        "asgi": [(key.encode(), value.encode()) for key, value in pairs],
        "generator": iter(pairs),
    }
    verify(BODY, forms[form], SECRET)


@each_row(
    "value",
    [f"v1={DIGEST}", f"v2=x,v1={DIGEST}", f"v1={DIGEST},v2=x", f" v1={DIGEST} , v3=", f"v1={'0' * 64},v1={DIGEST}"],
)
def test_v1_is_found_in_the_list(value: str) -> None:
    """The header is a list of versions, of which only v1 counts."""
    verify(BODY, {"circleci-signature": value}, SECRET)


def test_header_that_comes_twice_is_read_whole() -> None:
    """Proxies may split a list into two headers."""
    verify(BODY, CIMultiDict([("circleci-signature", "v2=x"), ("circleci-signature", f"v1={DIGEST}")]), SECRET)


@pytest.mark.parametrize("headers", [{}, {"circleci-signature": ""}, {"circleci-signature": f"v2={DIGEST}"}])
def test_missing_signature_is_refused(headers: dict[str, str]) -> None:
    """Without a v1 signature nothing is accepted, and the error names the remedy."""
    with pytest.raises(SignatureError, match="no v1 signature in the header circleci-signature"):
        verify(BODY, headers, SECRET)


WRONG = [
    f"v1={DIGEST[:-1]}0",
    f"v1={DIGEST[:-1]}",
    f"v1={DIGEST}0",
    f"v1={DIGEST.upper()}",
    "v1=",
    "v1=é\udcff",
    f"v1= {DIGEST}",
    f"v1=={DIGEST}",
]


@each_row("value", WRONG)
def test_wrong_signature_is_refused(value: str) -> None:
    """Every other value is refused, also one that is not ASCII."""
    with pytest.raises(SignatureError, match="the signature is wrong"):
        verify(BODY, {"circleci-signature": value}, SECRET)


def test_changed_body_is_refused() -> None:
    """The signature covers each byte."""
    for index in range(len(BODY)):
        changed = bytearray(BODY)
        changed[index] ^= 1
        with pytest.raises(SignatureError):
            verify(changed, {"circleci-signature": f"v1={DIGEST}"}, SECRET)


def test_secrets_can_be_rotated() -> None:
    """While a secret is replaced, both are accepted, in any order; others are not."""
    for secrets in itertools.permutations(["old", "new", "newer"]):
        for secret in secrets:
            verify(BODY, {"circleci-signature": sign(BODY, secret)}, secrets)
            verify(BODY, {"circleci-signature": sign(BODY, secret)}, [*secrets])
        with pytest.raises(SignatureError):
            verify(BODY, {"circleci-signature": sign(BODY, "older")}, secrets)


@given(st.binary(), st.text(min_size=1).filter(lambda text: text.strip() and text.isprintable()), st.binary())
def test_only_its_own_body_and_secret_verify(body: bytes, secret: str, other: bytes) -> None:
    """A signature verifies with its body and secret, and with no other."""
    headers = {"circleci-signature": sign(body, secret)}
    verify(body, headers, secret)
    for changed_body, changed_secret in [(other, secret), (body, secret + "x")]:
        if (changed_body, changed_secret) != (body, secret):
            with pytest.raises(SignatureError):
                verify(changed_body, headers, changed_secret)


UNUSABLE: list[Any] = ["", "  ", [], (), ["good", ""], [""], b"bytes", 5, None, [b"x"], ["x", None], {"a"}, "\ud800"]


@each_row("secret", UNUSABLE)
def test_unusable_secret_is_configuration_error(secret: Any) -> None:
    """An empty secret, or one that is not text, would accept or refuse everything."""
    with pytest.raises(ConfigurationError, match=r"^secret must be"):
        verify(BODY, {}, secret)
    with pytest.raises(ConfigurationError, match=r"^secret must be"):
        sign(BODY, secret)
    if secret is not None:
        with pytest.raises(ConfigurationError, match=r"^secret must be"):
            EventRouter(secret)


def test_sign_takes_one_secret() -> None:
    """A signature is made with one secret."""
    secrets: Any = ["old", "new"]
    with pytest.raises(ConfigurationError, match=r"^secret must be"):
        sign(BODY, secrets)


def test_text_body_is_refused() -> None:
    """A decoded body is not what was signed."""
    body: Any = "hello world"
    for call in (lambda: verify(body, {}, SECRET), lambda: sign(body, SECRET)):
        with pytest.raises(InvalidArgument, match="body must be bytes, got str"):
            call()


def shown(error: BaseException) -> str:
    """Everything that a log or an error tracker shows of an error: with the locals of the package's frames."""
    text = io.StringIO()
    Console(file=text, width=400).print(Traceback.from_exception(type(error), error, None, show_locals=True))
    parts = [text.getvalue(), repr(error), str(error), "".join(traceback.format_exception(error))]
    frame = error.__traceback__
    while frame is not None:
        if "aiocircle/events" in frame.tb_frame.f_code.co_filename:
            for value in frame.tb_frame.f_locals.values():
                parts += [repr(value), repr(getattr(value, "__dict__", ""))]
                parts += [repr(getattr(value, name, "")) for name in getattr(type(value), "__slots__", ())]
        frame = frame.tb_next
    return "\n".join(parts)


def refusals() -> list[Any]:
    good = {"circleci-signature": sign(BODY, CANARY)}
    digest = good["circleci-signature"]
    return [
        lambda secret: verify(BODY, {}, secret),
        lambda secret: verify(BODY + b"x", good, secret),
        lambda secret: verify(BODY, {"circleci-signature": "v1=0"}, [secret, secret]),
        lambda secret: verify(BODY, {}, secret.encode()),
        lambda secret: verify(BODY, {}, [secret, ""]),
        lambda secret: verify(BODY, {}, {secret}),
        lambda secret: verify(BODY, {}, secret + "\ud800"),
        lambda secret: verify("text", {}, secret),
        lambda secret: sign("text", secret),
        lambda secret: sign(BODY, [secret]),
        lambda secret: EventRouter([secret, ""]),
        lambda secret: EventRouter(secret, queue_size=0),
        lambda secret: EventRouter(secret, drain=-1.0),
        lambda secret: EventRouter(secret).on(str),  # type: ignore[type-var]
        lambda secret: EventRouter(secret).receive(digest, good),  # type: ignore[arg-type]
    ]


@each_row("number", range(len(refusals())))
def test_error_shows_no_secret(number: int) -> None:
    """No message, repr, traceback or local variable of the package's frames holds the secret."""
    with pytest.raises(CircleCIError) as caught:
        refusals()[number](CANARY)
    own = shown(caught.value).replace("CANARY", "")
    # The lambda's own frame has it: this is the caller's.
    own = "\n".join(line for line in own.splitlines() if "secret = '" not in line)
    assert CANARY not in own
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), CircleCIError)


def test_signature_error_is_event_error() -> None:
    """Callers catch both refusals by one name."""
    assert issubclass(SignatureError, EventError)
    assert SignatureError("x").outcome == "not_done"


def test_expected_signature_is_not_shown() -> None:
    """An error tracker must not hold the signature that a forged body would need."""
    with pytest.raises(SignatureError) as caught:
        verify(b"forged", {"circleci-signature": "v1=0"}, CANARY)
    assert sign(b"forged", CANARY).removeprefix("v1=") not in shown(caught.value)
