"""Measure everything, and show it as a table and a plot."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks import report, scenarios

_MARKS = ("<!-- figures: begin -->\n", "<!-- figures: end -->")


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "only", nargs="*", choices=[*scenarios.SCENARIOS, []], help="what to measure; all, unless given"
    )
    parser.add_argument("--quick", action="store_true", help="a few turns: shows that it works, and no more")
    parser.add_argument("--async-peer", metavar="PYTHON", help="the interpreter that has pycircleci-async")
    parser.add_argument("--output", type=Path, default=Path("build/bench"), help="the folder for table and plot")
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="a Markdown page to renew, with the plot next to it")
    arguments = parser.parse_args()

    settings = scenarios.Settings(scenarios.default_pythons(arguments.async_peer))
    if arguments.quick:
        settings = scenarios.Settings(
            settings.pythons,
            turns=3,
            bulk_turns=1,
            import_turns=3,
            seconds=3.0,
            bulk_projects=20,
            memory_items=50_000,
        )
    rows: list[scenarios.Row] = []
    for name in arguments.only or scenarios.SCENARIOS:
        started = time.monotonic()
        for row in scenarios.SCENARIOS[name](settings):
            rows.append(row)
            print(report.line(row), file=sys.stderr, flush=True)
        print(f"({name}: {time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)

    text = f"{report.surroundings()}\n{report.table(rows)}"
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "table.md").write_text(text)
    report.plot(rows, arguments.output / "plot.svg")
    if arguments.docs is not None:
        before, _, rest = arguments.docs.read_text().partition(_MARKS[0])
        _, _, after = rest.partition(_MARKS[1])
        arguments.docs.write_text(f"{before}{_MARKS[0]}\n{text}\n{_MARKS[1]}{after}")
        report.plot(rows, arguments.docs.with_suffix(".svg"))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
