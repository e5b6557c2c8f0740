"""The figures as a Markdown table and as a plot."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.scenarios import FLOOR, OURS, Row, Spread

_LIBRARIES = ("aiohttp", "attrs", "cattrs", "msgspec", "tenacity", "orjson", "pycircleci")
_ASYNC_PEER = "pycircleci-async 0.1.1 on httpx 0.23.3"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown. A ratio is a median with the middle half of all turns in brackets."""
    lines = ["| | measured | result | target | |", "|---|---|---|---|---|"]
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            lines.append(f"| **{group}** | | | | |")
        lines.append(f"| {row.name} | {_figures(row)} | {_result(row)} | {_target(row)} | {_verdict(row)} |")
    return "\n".join(lines) + "\n"


def line(row: Row) -> str:
    """Return one row as text, to be read while the others are measured."""
    parts = (row.name, _figures(row), _result(row), _target(row), _verdict(row))
    return f"{row.group}: {' | '.join(part for part in parts if part)}"


def surroundings() -> str:
    """Return the date, the versions and the kind of machine, without its name."""
    libraries = ", ".join(f"{library} {version(library)}" for library in _LIBRARIES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{_processor()}"
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {python} on {machine}. "
        f"Versions: aiocircle {version('aiocircle')}, {libraries}, {_ASYNC_PEER}.\n"
    )


def plot(rows: Sequence[Row], path: Path) -> None:
    """CPU ratios and wall clock, as bars."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "aiocircle"
    from matplotlib import pyplot as plt

    cpu = [row for row in rows if row.group == "CPU"]
    bulk = next((row for row in rows if row.group == "bulk"), None)
    panels = bool(cpu) + (bulk is not None)
    if not panels:
        return
    colours = {OURS: "#1a7f5a", "pycircleci": "#b07d2b", "pycircleci-async": "#8a5a9e", FLOOR: "#8c8c8c"}
    figure, axes = plt.subplots(
        panels, 1, figsize=(8, 1.2 + 0.7 * len(cpu) * bool(cpu) + 2 * (bulk is not None)), squeeze=False
    )
    remaining = [axis[0] for axis in axes]
    if cpu:
        axis = remaining.pop(0)
        labels, values, marks = [], [], []
        for row in cpu:
            for client, factor in row.factors.items():
                labels.append(f"{row.name.replace('`', '')}: {client}")
                values.append(factor)
                marks.append(client)
        places = range(len(labels))
        axis.barh(places, [value.median for value in values], color=[colours[mark] for mark in marks])
        axis.errorbar(
            [value.median for value in values],
            places,
            xerr=[[v.median - v.low for v in values], [v.high - v.median for v in values]],
            fmt="none",
            ecolor="black",
            elinewidth=0.8,
        )
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_yticks(places, labels, fontsize=7)
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.set_title("CPU time over that of plain aiohttp and orjson (log scale)", fontsize=9)
        axis.tick_params(axis="x", labelsize=7)
    if bulk is not None:
        axis = remaining.pop(0)
        names = [name for name in bulk.figures if "one thread" not in name]
        axis.barh(names, [bulk.figures[name] for name in names], color=[colours[name] for name in names])
        axis.invert_yaxis()
        axis.set_title(f"Seconds for {bulk.name}", fontsize=9)
        axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _figures(row: Row) -> str:
    return ", ".join(f"{name} {value:.3g} {row.unit}".rstrip() for name, value in row.figures.items())


def _result(row: Row) -> str:
    parts = [] if row.value is None else [_spread(row.value, row.form)]
    parts += [f"{client} {factor.median:.1f} ×" for client, factor in row.factors.items() if client != OURS]
    return "; ".join(parts)


def _spread(value: Spread, form: str) -> str:
    if value.low == value.high:
        return form.format(value.median)
    return f"{form.format(value.median)} [{form.format(value.low)} – {form.format(value.high)}]"


def _target(row: Row) -> str:
    if row.bound is None:
        return ""
    return f"{'≥' if row.at_least else '≤'} {row.form.format(row.bound)}"


def _verdict(row: Row) -> str:
    return {None: "", True: "holds", False: "**missed**"}[row.holds]


def _processor() -> str:
    """Return the processor's family, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f" of {names[0]}" if names else ""
