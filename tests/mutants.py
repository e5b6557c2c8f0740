"""Do the tests notice when the core is changed? Gives the score, and each mutant that survived.

    python -m tests.mutants                # judges what has not been killed yet
    python -m tests.mutants pager retry    # only mutants of these modules
    python -m tests.mutants --report       # only tells what has been found so far

mutmut makes the mutants of the files that pyproject.toml lists. Each is judged by all of its module's own tests, which
must first pass without it. It is killed if a test fails, or cannot be collected, or does not end. Each run is a fork of
a process that has imported only other packages. So the mutant is there at import too, and when a hook is made that is
kept. The verdicts stay in mutants/, in mutmut's files, until the function changes; mutants/judged/ has what the tests
wrote. Survivors are judged again in each run, as the tests may have changed.

Mutants that change nothing but the words of a message are left out: tests that pin each word would only get in the way.
Those that change nothing that can be seen are listed below, each with the reason.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final

GOAL: Final = 0.96
ROOT: Final = Path("mutants").absolute()

_SPEED: Final = "both ways of reading give equal objects: this is only faster, which `make count` measures"
_UNUSED: Final = "the hook that gets it makes no use of it but in an error's words"
_REFRESHED: Final = "refresh() comes directly after it, and sets the value"
_ACQUIRED: Final = "it is read once a request was permitted, which sets it"
_ANY_CASE: Final = "the names of headers are found in any case"
_FALSE: Final = "as false as False"
_MORE_PARTS: Final = "a text with more slashes has too many parts either way"
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
    ("has_plain_fields", "attrs.resolve_types(model))"): "it includes extras by default",
    ("other_encoding", "getincrementaldecoder('UTF-8')"): "another spelling of the same encoding",
    ("other_encoding", "->  return '"): "words of a message",
    ("Pager._pages", "options.skip_invalid or True"): "without the option the page stays as it is",
    ("Queue.add", "caller.places.queues[self] = ''"): _ORDERED_SET,
    ("Queue.add", "turns.waiters[waiter] = ''"): _ORDERED_SET,
    ("Queue.add", "move_to_end(waiter, last=None)"): _FALSE,
    ("Queue._pop", "popitem(last=None)"): _FALSE,
    ("Pager._whole_pages", "isinstance(page, DecodedPage) or True"): "a plain page is whole",
    ("Pager._without_invalid", "errors=None"): "no errors, as with an empty tuple",
    ("Repeats.__init", "self._longest = 1"): "a page of one item is longer than none",
    ("Repeats.__init", "self._previous: tuple[Any, ...] = None"): "no page of items equals it, nor None",
    ("Repeats.__init", "self._unchanged = 1"): "the first page sets it, or has no items to repeat",
    ("array_hook", "_items_hook(None,"): _UNUSED,
    ("mapping_hook", "_items_hook(None,"): _UNUSED,
    ("one_or_more_hook", "else [value], None)"): _UNUSED,
    ("structure_numeric_text", "_structure_float(value, None)"): "the second argument is not read",
    ("is_model", "origin = None"): "attrs.has() looks at the origin too",
    ("is_model", "get_origin(None)"): "attrs.has() looks at the origin too",
    ("is_model", "or True"): "attrs.has() looks at the origin too",
    ("model_hook", "attrs.resolve_types(None,"): "cattrs resolves them too",
    ("model_hook", "attrs.resolve_types(origin)"): "it includes extras by default",
    ("model_hook", "inner(fields, None)"): _UNUSED,
    ("expand_path", "strict=None"): "there are as many values as placeholders here",
    ("expand_path", "strict=False"): "there are as many values as placeholders here",
    ("expand_path", "literals[1:])"): "there are as many values as placeholders here",
    ("read_link", "'XXurl must"): "words of a message",
    ("path", "[quote(name) for name in names]"): "no name has a slash",
    ("path", "safe='XXXX'"): "a letter is never quoted",
    ("OrgSlug._from_text", ".split('/')"): _MORE_PARTS,
    ("OrgSlug._from_text", ".rsplit('/', 2)"): _MORE_PARTS,
    ("OrgSlug._from_text", ".split('/', 3)"): _MORE_PARTS,
    ("ProjectSlug._from_text", ".split('/')"): _MORE_PARTS,
    ("ProjectSlug._from_text", ".rsplit('/', 3)"): _MORE_PARTS,
    ("ProjectSlug._from_text", ".split('/', 4)"): _MORE_PARTS,
    ("org_segment", "safe='XXXX'"): "a letter is never quoted",
    ("segment", "safe='XXXX'"): "a letter is never quoted",
    ("join", "safe='XXXX'"): "a letter is never quoted",
    ("join", "[quote(segment) for segment in segments]"): "no name has a slash",
    ("OrgSlug._from_address", "address.provider or 'XXXX'"): "it is no provider either",
    ("ProjectSlug._from_address", "is_uuid(address.project) or True"): "without a provider the address has a UUID",
    ("read_at", "root.is_cloud and False"): "the cloud is read in any case",
    ("parse", "type(None).__name__"): "words of a message",
    ("parse", "'XXhosts must"): "words of a message",
    ("parse", "'XXapp_hosts must"): "words of a message",
    ("parse", "of circleci server"): "words of a message",
    ("advice", "'XX or XX'"): "words of a message",
    ("advice", "' OR '"): "words of a message",
    ("advice", "XXby hosts=.XX"): "words of a message",
    ("advice", "BY HOSTS=."): "words of a message",
    ("decoded", "'XXXX'"): "it is no slug either",
    ("read_slug", "_from_text(str(named))  ->  slug = None"): "a slug is read again below: this is only faster",
    ("read_slug", "_from_text(str(None))"): "a slug is read again below: this is only faster",
    ("wrong_host", "XXUse a client"): "words of a message",
    ("wrong_host", "use a client"): "words of a message",
    ("wrong_host", "USE A CLIENT"): "words of a message",
    ("Ledger.open", "self._phase = None"): "only the other phases are asked for",
    ("Ledger.take", "self._in_work[entry] = ''"): _ORDERED_SET,
    ("Ledger.finish", "self._remembered_keys[entry.key] = ''"): _ORDERED_SET,
    ("split_template", "end = 0  ->  end = None"): "a slice from None begins at 0",
    ("unwrap_enum", "_unwrap_enum(value.value, None)"): "the path is only in the words of a message",
    ("model_hook", "inner(fields)"): _UNUSED,
    (
        "mapping_hook",
        "->  return dict(zip(value, convert_items(value.items())",
    ): "as many come out of the reader as went in",
    ("model_hook", "if renamed or True"): "a copy without changes is the same",
    ("LoopGuard.__init", "self._last: object = ''"): "no page of items equals it, nor None",
    ("contents", "not page.errors and False"): "without errors it makes a copy of the items",
    ("CallState.__init", "self.token: Secret | None = ''"): "it is read after a 401 to a request whose token set it",
    ("CallState.__init", "self.is_renewed = None"): _FALSE,
    ("CallState.__init", "self.was_lost = None"): _FALSE,
    ("Iteration.__init", "self.is_closed = None"): _FALSE,
    ("Cursor.page_type", "items_optional: bool=True"): "a page of cursors has its items in any case: it is not read",
    ("BadItems.__init", "super().__init__(None)"): "words of a message",
    ("error", "state.outcome is None and False"): "tenacity asks after an attempt, which has an outcome",
    ("to_json", "has_secret = False  ->  has_secret = None"): _FALSE,
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
    ("istrs", "'limit'"): _ANY_CASE,
    ("istrs", "'LIMIT'"): _ANY_CASE,
    ("istrs", "'remaining'"): _ANY_CASE,
    ("istrs", "'REMAINING'"): _ANY_CASE,
    ("istrs", "'reset'"): _ANY_CASE,
    ("istrs", "'RESET'"): _ANY_CASE,
    ("retry_after", "'XXXX'"): "it is no date either",
    ("retry_after", "headers.get('Date', None)"): "it is no date either",
    ("retry_after", "headers.get('Date')"): "it is no date either",
    ("parse_kind", "headers.get(names.limit, 'XXXX')"): "it names no window either",
}

_HUNG: Final = 36
# Statuses: a test failed, a test module or a conftest.py could not be imported, the run took too long.
_KILLED: Final = {1, 2, 4, _HUNG}
_SURVIVED: Final = 0
# The status when the judging itself failed.
_BROKEN: Final = 99
_MEMORY: Final = 4 << 30
# What each run would import for itself. Nothing of the package, nor what imports it.
_PRELOADED: Final = (
    *("aiohttp", "aiohttp.web", "aioresponses", "attrs", "cattrs", "hypothesis", "hypothesis.strategies", "msgspec"),
    *("mutmut.mutation.trampoline", "pytest", "pytest_asyncio", "tenacity", "yarl"),
)
# By module, those that are fast first.
_TESTS: Final = {
    "api": ("tests/unit/test_endpoint.py", "tests/http/test_raw_requests.py"),
    "api_errors": ("tests/unit/test_errors.py",),
    "decode": ("tests/unit/test_decode.py", "tests/unit/test_fast_decode.py"),
    "encode": ("tests/unit/test_encode.py",),
    "fast_decode": ("tests/unit/test_fast_decode.py",),
    "pagination": ("tests/unit/test_pagination.py", "tests/http/test_bad_items.py"),
    "path": ("tests/unit/test_endpoint.py",),
    "structure": ("tests/unit/test_structure.py", "tests/unit/test_leniency.py", "tests/unit/test_decode.py"),
    "ledger": ("tests/unit/events/test_ledger.py",),
    "pager": ("tests/unit/test_pager.py", "tests/http/test_paging.py", "tests/http/test_bad_items.py"),
    "rate_estimator": ("tests/unit/test_rate_estimator.py",),
    "rate_headers": ("tests/unit/test_rate_headers.py",),
    "retry": ("tests/unit/test_retry.py", "tests/http/test_retries.py"),
    "retrying": ("tests/unit/test_retrying.py", "tests/http/test_retries.py", "tests/http/test_observers.py"),
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
    modules = [argument for argument in sys.argv[1:] if argument != "--report"] or [*_TESTS]
    if unknown := {*modules} - _TESTS.keys():
        sys.exit(f"{', '.join(sorted(unknown))}: unknown; there are {', '.join(_TESTS)}")
    if "--report" not in sys.argv:
        generate()
        for name in _PRELOADED:
            importlib.import_module(name)
        # pytest compiles each module of the package, as that is a plugin of it.
        sys.dont_write_bytecode = False
        for module in modules:
            judge(module)
    total: Counter[str] = Counter()
    matched: set[tuple[str, str]] = set()
    for module in modules:
        if meta := _meta(module):
            counts, survivors = judged(meta, matched)
            total += counts
            print(f"\n{meta.with_suffix('').relative_to(ROOT)}: {dict(counts)}")
            for survivor in survivors:
                print(f"  {survivor}")
    counted = total["killed"] + total["survived"]
    if not counted:
        sys.exit("no mutant has been judged")
    if {*modules} == _TESTS.keys():
        for where, part in EQUIVALENT.keys() - matched:
            print(f"\nno mutant is like this entry: {where}: {part}")
    score = total["killed"] / counted
    print(f"\n{dict(total)}\n{score:.1%} of {counted} killed; the goal is {GOAL:.0%}")
    sys.exit(score < GOAL or total["not judged"] > 0)


def generate() -> None:
    """Let mutmut write the mutants of what has changed. Its own runs of tests are not needed."""
    from mutmut import __main__ as mutmut

    with contextlib.redirect_stdout(io.StringIO()):
        ROOT.mkdir(exist_ok=True)
        mutmut.copy_src_dir()
        mutmut.copy_also_copy_files()
        mutmut.create_mutants(2)
    (ROOT / "judged").mkdir(exist_ok=True)


def judge(module: str) -> None:
    """Judge the mutants of a module that are not known to be killed."""
    meta = _meta(module)
    if meta is None:
        sys.exit(f"{module}: mutmut made no mutants of it")
    data = json.loads(meta.read_text("utf-8"))
    codes = data["exit_code_by_key"]
    kind = _kinds(meta.with_suffix(""))
    open_ = [key for key, code in codes.items() if code not in _KILLED and kind(key)[0] == "open"]
    if not open_:
        return
    began = time.monotonic()
    for _, code in verdicts(module, [""], 600.0):
        if code:
            sys.exit(f"{module}: its tests fail without a mutant; mutants/judged/{module}.txt tells why")
    green = time.monotonic() - began
    print(f"{module}: {len(open_)} to judge; without a mutant its tests take {green:.1f} s", flush=True)
    for key, code in verdicts(module, open_, 20.0 + 5.0 * green):
        if code not in {_SURVIVED, *_KILLED}:
            print(f"  {key}: the run ended with {code}; mutants/judged/ tells why", flush=True)
            continue
        codes[key] = code
        new = meta.with_suffix(".new")
        new.write_text(json.dumps(data), "utf-8")
        new.replace(meta)


def verdicts(module: str, mutants: Iterable[str], limit: float) -> Iterator[tuple[str, int | None]]:
    """Run a module's own tests on each mutant, two at a time, and give each mutant with the exit status."""
    fork = multiprocessing.get_context("fork")
    left = iter(mutants)
    running: dict[str, tuple[Any, float]] = {}
    while True:
        while len(running) < 2 and (mutant := next(left, None)) is not None:
            process = fork.Process(target=_run_tests, args=(module, mutant), daemon=True)
            process.start()
            running[mutant] = process, time.monotonic() + limit
        if not running:
            return
        wait([process.sentinel for process, _ in running.values()], 1.0)
        for mutant, (process, end) in [*running.items()]:
            code = process.exitcode
            if code is None and time.monotonic() > end:
                os.killpg(process.pid, signal.SIGKILL)
                process.join()
                code = _HUNG
            if code is not None:
                del running[mutant]
                yield mutant, code


def _run_tests(module: str, mutant: str) -> None:
    """Run a module's own tests on one mutant, or on none, and end this process."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    output = os.open(ROOT / "judged" / f"{mutant or module}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        code = int(_tested(module, mutant))
    except BaseException:
        traceback.print_exc()
        code = _BROKEN
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _tested(module: str, mutant: str) -> int:
    import pytest
    from mutmut.mutation.trampoline import set_mutant_under_test

    sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path).absolute() != ROOT.parent)]
    os.chdir(ROOT)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    set_mutant_under_test(mutant)
    aiocircle = importlib.import_module("aiocircle")
    if not Path(str(aiocircle.__file__)).is_relative_to(ROOT):
        raise ImportError(f"not the mutants, but {aiocircle.__file__}")
    options = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly"]
    return pytest.main([*options, "-Wignore::pytest.PytestAssertRewriteWarning", *_TESTS[module]])


def judged(meta: Path, matched: set[tuple[str, str]]) -> tuple[Counter[str], list[str]]:
    """Return the verdicts on one file's mutants, and the survivors as they stand in the code.

    The entries of EQUIVALENT that match are added to `matched`.
    """
    kind = _kinds(meta.with_suffix(""))
    counts: Counter[str] = Counter()
    survivors: list[str] = []
    for key, code in json.loads(meta.read_text("utf-8"))["exit_code_by_key"].items():
        verdict, shown, entries = kind(key)
        matched |= entries
        if verdict == "open":
            verdict = "not judged" if code is None else "killed" if code in _KILLED else "survived"
        counts[verdict] += 1
        if verdict == "survived":
            survivors.append(shown)
    return counts, survivors


def _meta(module: str) -> Path | None:
    """Return the file in which mutmut keeps what is known of a module's mutants."""
    return next(ROOT.glob(f"aiocircle/**/{module}.py.meta"), None)


def _kinds(source: Path) -> Callable[[str], tuple[str, str, set[tuple[str, str]]]]:
    """Return a function that sorts a key: words, equivalent or open; with the change, and its entries in EQUIVALENT."""
    pair = _pairs(source)

    def kind(key: str) -> tuple[str, str, set[tuple[str, str]]]:
        original, mutant = pair(key)
        name = key.rpartition(".")[2].rpartition("__mutmut_")[0]
        function = name.removeprefix("x").replace("ǁ", ".").strip("._")
        shown = _difference(original, mutant)
        entries = {(where, part) for where, part in EQUIVALENT if where == function and part in shown}
        words = _only_words(original, mutant)
        return "words" if words else "equivalent" if entries else "open", f"{function}: {shown}", entries

    return kind


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
    return ast.dump(original.args) == ast.dump(mutant.args) and ast.dump(_muted(original)) == ast.dump(_muted(mutant))


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
