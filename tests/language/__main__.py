"""Check the language of code and documentation.

    python -m tests.language                    # each place that breaks a rule, in files that are converted
    python -m tests.language --all              # also in files that are not converted
    python -m tests.language --counts           # counts of each habit
    python -m tests.language --counts f186c53   # and those of an earlier commit, side by side
    python -m tests.language --shrink           # take files that are clean off the list of unconverted files

The exit status is 1 if a place is shown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

from tests.language.files import PARTS, ROOT, UNCONVERTED, files, part_of, stale, unconverted
from tests.language.rules import ALL, Finding, findings_of


def all_findings(root: Path = ROOT) -> list[Finding]:
    """Return all findings of a checkout, in order."""
    return sorted(finding for path in files(root) for finding in findings_of(path, root))


def counts(found: list[Finding]) -> Counter[tuple[str, str]]:
    """Return how often each habit occurs in each part."""
    return Counter((finding.habit, part_of(finding.path)) for finding in found)


def table(found: list[Finding], before: list[Finding] | None) -> str:
    """Return the counts as a table: package, tests, docs; with those of before in front."""
    columns = [*([counts(before)] if before is not None else []), counts(found)]
    rows = [("habit", *([" before"] if before is not None else []), "now" if before is not None else "count")]
    rows += [(habit, *("/".join(str(each[habit, part]) for part in PARTS) for each in columns)) for habit in ALL]
    totals = ["/".join(str(sum(each[habit, part] for habit in ALL)) for part in PARTS) for each in columns]
    rows.append(("all", *totals))
    lines = [f"{row[0]:<16}" + "".join(f"{cell:>18}" for cell in row[1:]) for row in rows]
    return "\n".join([f"counts: {'/'.join(PARTS)}", *lines])


def at(revision: str) -> list[Finding]:
    """Return the findings of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive.tar"
        subprocess.run(["git", "archive", "-o", str(archive), revision], cwd=ROOT, check=True)
        checkout = Path(folder) / "checkout"
        with tarfile.open(archive) as opened:
            opened.extractall(checkout, filter="data")
        return all_findings(checkout)


def shrink() -> None:
    """Remove entries from the list that are clean or gone."""
    gone = stale(all_findings())
    head = [line for line in UNCONVERTED.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    kept = sorted(unconverted() - gone)
    UNCONVERTED.write_text("\n".join([*head, *kept]) + "\n", encoding="utf-8")
    print(f"{len(gone)} removed, {len(kept)} left")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.language", description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="also show places in unconverted files")
    parser.add_argument("--counts", nargs="?", const="", metavar="REVISION", help="show counts of each habit")
    parser.add_argument("--shrink", action="store_true", help="remove clean files from the list of unconverted files")
    options = parser.parse_args()
    if options.shrink:
        return shrink()
    found = all_findings()
    if options.counts is not None:
        return print(table(found, at(options.counts) if options.counts else None))
    skipped = set() if options.all else unconverted()
    shown = [finding for finding in found if finding.path not in skipped]
    print(*shown, sep="\n", end="\n" if shown else "")
    sys.exit(bool(shown))


if __name__ == "__main__":
    main()
