"""The `aiocircle` command.

To parse the command line, little but argparse is imported, so `--help` and `--version` print immediately. Each
command imports its modules when it runs.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from typing import Final

from aiocircle._version import __version__

__all__ = ["main"]

_FAILED: Final = 1  # the exit status if a request or a write failed
_MISUSED: Final = 2  # the exit status for wrong arguments: the same as argparse's
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report Ctrl-C

_WINDOWS: Final = ("last-24-hours", "last-7-days", "last-30-days", "last-60-days", "last-90-days")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`, by default the process's arguments, and return its exit status."""
    arguments = _parser().parse_args(argv)

    from aiocircle.cli.terminal import clean, tolerate_any_text
    from aiocircle.errors import CircleCIError, ConfigurationError

    tolerate_any_text()
    try:
        status: int = arguments.run(arguments)
        # Here, where a reader that has gone away can still be met.
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. The interpreter must not flush once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except (CircleCIError, OSError) as error:
        print(f"aiocircle: {clean(str(error))}", file=sys.stderr)
        return _MISUSED if isinstance(error, ConfigurationError) else _FAILED
    return status


def _insights(arguments: argparse.Namespace) -> int:
    from aiocircle.cli.insights import run

    return run(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from aiocircle.cli.demo import run

    return run(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    from aiocircle.cli.serve import run

    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aiocircle",
        description="The insights of many CircleCI projects, and a local CircleCI for experiments.",
    )
    parser.add_argument("--version", action="version", version=f"aiocircle {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    insights = commands.add_parser(
        "insights",
        help="show the insights of projects",
        description="Fetch the insights of projects concurrently, and show the state of their workflows.",
        epilog="The token is read from CIRCLECI_TOKEN or CIRCLE_TOKEN; CIRCLECI_BASE_URL names a CircleCI Server. "
        "Exit status: 0 when all was fetched, 1 when something was not, 2 for a command that cannot work.",
    )
    insights.set_defaults(run=_insights)
    insights.add_argument(
        "projects", nargs="+", metavar="PROJECT", help="gh/acme/web, a git remote or a URL of app.circleci.com"
    )
    insights.add_argument(
        "--window", choices=_WINDOWS, default="last-90-days", help="how far back to look (default: %(default)s)"
    )
    branches = insights.add_mutually_exclusive_group()
    branches.add_argument("--branch", help="a branch (default: each project's default branch)")
    branches.add_argument("--all-branches", action="store_true", help="all branches together")
    insights.add_argument(
        "--concurrency",
        type=_count,
        default=32,
        metavar="N",
        help="the maximum number of concurrent requests (default: %(default)s)",
    )
    _add_output_options(insights, top=None)

    demo = commands.add_parser(
        "demo",
        help="the same, from a local CircleCI with made-up projects",
        description="Start a local CircleCI that is slow, limits requests and fails now and then; fetch 90 days of "
        "insights of all its projects, and show how their workflows do. Needs no token and no network.",
    )
    demo.set_defaults(run=_demo)
    _add_server_options(demo, projects=25, latency=0.05, rate_limit=100.0, faults=0.05)
    _add_output_options(demo, top=1)

    serve = commands.add_parser(
        "serve",
        help="run a local CircleCI",
        description="Run a local CircleCI with made-up projects on 127.0.0.1, until Ctrl-C or SIGTERM.",
    )
    serve.set_defaults(run=_serve)
    serve.add_argument("--port", type=_port, default=0, metavar="N", help="where to listen (default: any free port)")
    _add_server_options(serve, projects=3, latency=0.0, rate_limit=None, faults=0.0)
    serve.add_argument("--page-size", type=_count, metavar="N", help="items on a page (default: as CircleCI)")
    return parser


def _add_server_options(
    parser: argparse.ArgumentParser, *, projects: int, latency: float, rate_limit: float | None, faults: float
) -> None:
    """Add the options of the local CircleCI."""
    parser.add_argument(
        "--projects", type=_count, default=projects, metavar="N", help="how many projects it has (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the same seed makes the same projects (default: %(default)s)"
    )
    parser.add_argument(
        "--latency",
        type=_not_negative,
        default=latency,
        metavar="SECONDS",
        help="time until each response (default: %(default)s)",
    )
    parser.add_argument(
        "--rate-limit",
        type=_rate,
        default=rate_limit,
        metavar="N",
        help=f"requests a second; 0 for no limit (default: {'no limit' if rate_limit is None else '%(default)s'})",
    )
    parser.add_argument(
        "--faults",
        type=_share,
        default=faults,
        metavar="SHARE",
        help="the share of requests that fail, from 0 to 1 (default: %(default)s)",
    )


def _add_output_options(parser: argparse.ArgumentParser, *, top: int | None) -> None:
    parser.add_argument(
        "--top",
        type=_count_or_all,
        default=top,
        metavar="N",
        help="show each project's N most used workflows; 0 for all of them "
        f"(default: {'all' if top is None else '%(default)s'})",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log each retry and each wait to stderr")


def _count_or_all(text: str) -> int | None:
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number or None


def _count(text: str) -> int:
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _port(text: str) -> int:
    number = _whole(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port. Use 0 to 65535")
    return number


def _share(text: str) -> float:
    number = _not_negative(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return number


def _rate(text: str) -> float | None:
    return _not_negative(text) or None


def _not_negative(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(number) or number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
