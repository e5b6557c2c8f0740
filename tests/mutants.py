"""Do the tests notice when the core is changed? Runs mutmut, and gives the score and each mutant that survived.

    python -m tests.mutants            # runs what has not been run; some hours from nothing
    python -m tests.mutants --report   # only tells what mutmut has found so far

What mutmut changes, and by which tests it is judged, stands in pyproject.toml. A mutant counts as killed when a test
fails or does not end. Mutants that change nothing but the words of a message are left out: tests that pin each word
would only get in the way. Those that change nothing that can be seen are listed below, each with the reason.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

GOAL: Final = 0.96

_SPEED: Final = "both ways of reading give equal objects: this is only faster, which `make count` measures"
_UNUSED: Final = "the hook that gets it makes no use of it but in an error's words"
_REFRESHED: Final = "refresh() comes directly after it, and sets the value"
_ACQUIRED: Final = "it is read once a request was permitted, which sets it"
_ANY_CASE: Final = "the names of headers are found in any case"
_ORDERED_SET: Final = "the keys are an ordered set: the values are not read"
# A part of the line as the mutant has it, with the function, and the reason why no test can distinguish it.
EQUIVALENT: Final[dict[tuple[str, str], str]] = {
    ("decode", "decoder = None"): _SPEED,
    ("decode", "decoder = msgspec_decoder(None)"): _SPEED,
    ("prefill_defaults", "rare = None"): _SPEED,
    ("prefill_defaults", "'XXaiocircle.rareXX'"): _SPEED,
    ("prefill_defaults", "'AIOCIRCLE.RARE'"): _SPEED,
    ("prefill_defaults", "__attrs_pre_init__ = None"): _SPEED,
    ("is_api_error", "headers.get('content-type'"): _ANY_CASE,
    ("is_api_error", "headers.get('CONTENT-TYPE'"): _ANY_CASE,
    ("is_api_error", "'XXXX'"): "it names no kind of content either",
    ("request_id", "headers.get('x-request-id')"): _ANY_CASE,
    ("request_id", "headers.get('X-REQUEST-ID')"): _ANY_CASE,
    ("message", "headers.get('location'"): _ANY_CASE,
    ("message", "headers.get('LOCATION'"): _ANY_CASE,
    ("message", "'XXnowhereXX'"): "words of a message",
    ("message", "'NOWHERE'"): "words of a message",
    ("message", "start.decode('UTF-8'"): "another spelling of the same encoding",
    ("reason_phrase", "->  return '"): "words of a message",
    ("Offset.page", "super().page(body, None)"): "the token does not change the items",
    ("decode_items", "is_fast ="): _SPEED,
    ("decode_items", "is_fast=None"): _SPEED,
    ("convert", "msgspec.convert(None, type_)"): _SPEED,
    ("other_encoding", "getincrementaldecoder('UTF-8')"): "another spelling of the same encoding",
    ("other_encoding", "->  return '"): "words of a message",
    ("Pager._pages", "options.skip_invalid or True"): "without the option the page stays as it is",
    ("Queue.add", "caller.places.queues[self] = ''"): _ORDERED_SET,
    ("Queue.add", "turns.waiters[waiter] = ''"): _ORDERED_SET,
    ("Queue.add", "move_to_end(waiter, last=None)"): "as false as False",
    ("Queue._pop", "popitem(last=None)"): "as false as False",
    ("Pager._whole_pages", "isinstance(page, DecodedPage) or True"): "a plain page is whole",
    ("Pager._without_invalid", "errors=None"): "no errors, as with an empty tuple",
    ("Repeats.__init", "self._longest = 1"): "a page of one item is longer than none",
    ("Repeats.__init", "self._previous: tuple[Any, ...] = None"): "no page of items equals it, nor None",
    ("Repeats.__init", "self._unchanged = 1"): "the first page sets it",
    ("array_hook", "_items_hook(None,"): _UNUSED,
    ("mapping_hook", "_items_hook(None,"): _UNUSED,
    ("one_or_more_hook", "else [value], None)"): _UNUSED,
    ("model_hook", "inner(fields, None)"): _UNUSED,
    ("model_hook", "inner(fields)"): _UNUSED,
    (
        "mapping_hook",
        "->  return dict(zip(value, convert_items(value.items())",
    ): "as many come out of the reader as went in",
    ("model_hook", "if renamed or True"): "a copy without changes is the same",
    ("Progress.__init", "self._last: tuple[T, ...] | None = ''"): "no page of items equals it, nor None",
    ("LoopGuard.__init", "self._last: object = ''"): "no page of items equals it, nor None",
    ("contents", "not page.errors and False"): "without errors it makes a copy of the items",
    ("error", "state.outcome is None and False"): "tenacity asks after an attempt, which has an outcome",
    ("finite_or_none", "_finite(None, field, value)"): "the policy is not read",
    ("RateEstimator.__init", "self._acquired_at = None"): _ACQUIRED,
    ("RateEstimator.__init", "self._acquired_at = 1.0"): _ACQUIRED,
    ("RateEstimator.__init", "self._learned_at = 1.0"): "the first cut sets it, with the rate",
    ("RateEstimator.__init", "self._probing = None"): "the first cut sets it, with the rate",
    ("RateEstimator.closed_for", "limit.opens_at(None)"): "with nothing left it does not matter what is in flight",
    ("RateEstimator._pace", "_MIN_IDLE)) >= 0.0"): "it adds no seconds",
    ("RateEstimator._read", "len(limits) > 1 or True"): "fewer than two have only one order",
    ("RateEstimator._read", "len(limits) >= 1"): "fewer than two have only one order",
    ("RateEstimator._read", "len(named) <= len(self._limits)"): "all that are named are kept: none is left then",
    ("RateEstimator._count_rejection", "if self._recent else 1.0)"): "with no good response, any two 429s cut the rate",
    ("RateEstimator._learned_rate", "overdue >= 0.0"): "at zero it doubles zero times",
    ("AnnouncedLimit.__init", "self.remaining: int | None ="): _REFRESHED,
    ("AnnouncedLimit.__init", "self.sent ="): _REFRESHED,
    ("AnnouncedLimit.__init", "self._has_reset ="): _REFRESHED,
    ("AnnouncedLimit.__init", "self._opens_at ="): _REFRESHED,
    ("AnnouncedLimit.__init", "self._missed ="): _REFRESHED,
    ("RetryPolicy.delay", "min(attempt - 1, 65)"): "2.0 ** 65 overflows no more than 2.0 ** 64, and the cap is lower",
    ("parse_kind", "headers.get(names.limit, 'XXXX')"): "it names no window either",
    ("problems", "$ IS NESTED"): "words of a message",
    ("problems", "XX$ is nested"): "words of a message",
}

# mutmut's codes for a mutant that survived, that no test runs, and whose tests could not be run.
_DOUBTFUL: Final = {0, 5, 33, 255, -1}
_TESTS: Final = {
    "api": ("tests/unit/test_endpoint.py", "tests/http/test_raw_requests.py"),
    "api_errors": ("tests/unit/test_errors.py",),
    "decode": ("tests/unit/test_decode.py", "tests/unit/test_fast_decode.py"),
    "encode": ("tests/unit/test_encode.py",),
    "fast_decode": ("tests/unit/test_fast_decode.py",),
    "pagination": ("tests/unit/test_pagination.py",),
    "path": ("tests/unit/test_endpoint.py",),
    "structure": ("tests/unit/test_structure.py", "tests/unit/test_decode.py"),
    "ledger": ("tests/unit/events/test_ledger.py",),
    "pager": ("tests/unit/test_pager.py", "tests/http/test_paging.py", "tests/http/test_bad_items.py"),
    "rate_estimator": ("tests/unit/test_rate_estimator.py",),
    "rate_headers": ("tests/unit/test_rate_headers.py",),
    "retry": ("tests/unit/test_retry.py", "tests/http/test_retries.py"),
    "retrying": ("tests/http/test_retries.py", "tests/http/test_observers.py"),
    "slugs": ("tests/unit/test_slugs.py",),
    "_urls": ("tests/unit/test_urls.py", "tests/unit/test_slugs.py", "tests/unit/test_links.py"),
    "links": ("tests/unit/test_links.py",),
    "admission_queue": (
        "tests/unit/test_admission_queue.py",
        "tests/unit/test_throttle.py",
        "tests/http/test_queue.py",
        "tests/http/test_rate_limits.py",
        "tests/http/test_max_wait.py",
        "tests/http/test_throttle_loops.py",
        "tests/http/test_streams.py",
    ),
    "throttle": (
        "tests/unit/test_throttle.py",
        "tests/http/test_queue.py",
        "tests/http/test_max_wait.py",
        "tests/http/test_throttle_loops.py",
    ),
}

# Calls whose texts are words for people. Of the last kind the text is the name of an argument in such words.
_SPEAKS: Final = {
    *("InvalidArgument", "ConfigurationError", "DecodeError", "PaginationError", "ValueError", "TypeError"),
    *("_unexpected", "IterableValidationError", "IterableValidationNote", "StructureProblems", "cast"),
}
_NAMES: Final = {
    "check_segment": 1,
    "_check_name": 1,
    "_check_number": 0,
    "_check_slug": 0,
    "_encode_text": 1,
    "_no_progress": 0,
}


def main() -> None:
    if "--report" not in sys.argv:
        subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "2"], check=False)
    total: Counter[str] = Counter()
    with ThreadPoolExecutor(2) as pool:
        for path in sorted(Path("mutants").rglob("*.py.meta")):
            source = path.with_suffix("")
            codes = json.loads(path.read_text("utf-8"))["exit_code_by_key"]
            if "--report" not in sys.argv:
                pair = _pairs(source)
                doubtful = [key for key, code in codes.items() if code in _DOUBTFUL and not _only_words(*pair(key))]
                codes |= zip(doubtful, pool.map(partial(again, source.stem), doubtful), strict=True)
            counts, survivors = judged(source, codes)
            total += counts
            print(f"\n{source.relative_to('mutants')}: {dict(counts)}")
            for survivor in survivors:
                print(f"  {survivor}")
    counted = total["killed"] + total["survived"]
    if not counted:
        sys.exit("no mutant has been run")
    score = total["killed"] / counted
    print(f"\n{dict(total)}\n{score:.1%} of {counted} killed; the goal is {GOAL:.0%}")
    sys.exit(score < GOAL or total["not run"] > 0)


def again(module: str, mutant: str) -> int:
    """Run all of a module's own tests on a mutant, and return the exit status.

    mutmut chooses tests by the code that they ran. It finds too few for code that runs once in a process: at import,
    or when a hook is created that is kept. If a mutant prevents the import of a test module, mutmut reports an error.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["--timeout=40", *_TESTS[module]]
    try:
        done = subprocess.run(
            command,
            cwd="mutants",
            env={**os.environ, "MUTANT_UNDER_TEST": mutant},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=900,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1
    return min(done.returncode, 1)


def judged(source: Path, codes: dict[str, int | None]) -> tuple[Counter[str], list[str]]:
    """The verdicts on one file's mutants, and the survivors as they stand in the code."""
    pair = _pairs(source)
    counts: Counter[str] = Counter()
    survivors: list[str] = []
    for key, code in codes.items():
        original, mutant = pair(key)
        if code is None:
            counts["not run"] += 1
        elif _only_words(original, mutant):
            counts["words"] += 1
        elif code not in _DOUBTFUL:
            counts["killed"] += 1
        else:
            shown = _difference(original, mutant)
            name = key.rpartition(".")[2].rpartition("__mutmut_")[0]
            function = name.removeprefix("x").replace("ǁ", ".").strip("._")
            if any(where == function and part in shown for where, part in EQUIVALENT):
                counts["equivalent"] += 1
            else:
                counts["survived"] += 1
                survivors.append(f"{function}: {shown}")
    return counts, survivors


def _pairs(source: Path) -> Callable[[str], tuple[Any, Any]]:
    """Return a function that returns the original and the mutant of a key."""
    functions = dict(_functions(ast.parse(source.read_text("utf-8"))))

    def pair(key: str) -> tuple[Any, Any]:
        name = key.rpartition(".")[2]
        return functions[f"{name.rpartition('__mutmut_')[0]}__mutmut_orig"], functions[name]

    return pair


def _functions(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "__mutmut_" in node.name:
            yield node.name, node


def _difference(original: ast.AST, mutant: ast.AST) -> str:
    before, after = (_body(node).splitlines() for node in (original, mutant))
    removed = [line.strip() for line in before if line not in after]
    added = [line.strip() for line in after if line not in before]
    return f"{' / '.join(removed)[:300]}  ->  {' / '.join(added)[:300]}"


def _body(function: Any) -> str:
    return ast.unparse(ast.Module([*function.body], [])) + "\n" + ast.unparse(function.args)


def _only_words(original: Any, mutant: Any) -> bool:
    """Return True if the two differ only in texts for people."""
    return ast.dump(_muted(original)) == ast.dump(_muted(mutant))


class _Mute(ast.NodeTransformer):
    """Removes the texts of calls that show them."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in _SPEAKS:
            return ast.Call(node.func, [], [])
        if name in _NAMES and len(node.args) > _NAMES[name]:
            node.args[_NAMES[name]] = ast.Constant(None)
        return self.generic_visit(node)


def _muted(function: Any) -> ast.AST:
    tree = ast.parse(_body(function).rpartition("\n")[0])
    return _Mute().visit(tree)


if __name__ == "__main__":
    main()
