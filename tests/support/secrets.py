"""Texts in which a secret could be seen."""

from __future__ import annotations

import base64
import pickle
import traceback
from urllib.parse import quote

import rich.traceback


class Holder:
    """Keeps a secret out of the local variables, and so of the tracebacks, of the tests themselves."""

    def __init__(self, secret: str) -> None:
        self.get = lambda: secret

    def forms(self) -> list[str]:
        """Return the secret as it is, quoted, and encoded."""
        secret = self.get()
        encoded = [
            base64.b64encode(text.encode()).decode().rstrip("=") for text in (secret, secret + ":", "x" + secret)
        ]
        return [secret, quote(secret, safe=""), *encoded, repr(secret)[1:-1]]


def shown(error: BaseException) -> str:
    """Return an error in all the forms in which it is displayed, with local variables."""
    texts = [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
    plain = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts.append("".join(plain.format()))
    # Only what rich extracts of the local variables: printing it takes too long.
    for length in (None, 20, 80):
        trace = rich.traceback.Traceback.extract(
            type(error),
            error,
            error.__traceback__,
            show_locals=True,
            locals_max_length=None,
            locals_max_string=length,
            locals_hide_dunder=False,
        )
        for stack in trace.stacks:
            texts.append(f"{stack.exc_type} {stack.exc_value}")
            texts += [f"{name} = {node.render()}" for frame in stack.frames for name, node in frame.locals.items()]
    try:
        texts.append(repr(pickle.dumps(error)))
    except TypeError as refused:
        texts.append(str(refused))
    return "\n".join(texts)


def assert_clean(text: str, holder: Holder) -> None:
    """Raise AssertionError if the text contains the secret. The error shows only what comes before it."""
    for form in holder.forms():
        index = text.find(form)
        assert index < 0, f"a secret is shown after {text[max(0, index - 300) : index]!r}"
