"""Each test that a guarantee names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_named_test_exists() -> None:
    """Each test that the page of guarantees names exists."""
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / "docs/guarantees.md").read_text("utf-8"))
    assert len(named) > 80
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")]
    assert missing == []
