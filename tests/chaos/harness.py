"""Names of tests/support under their former path, until the last tests here have moved to tests/http."""

from __future__ import annotations

from tests.support.loops import CountingLoop as ChaosLoop
from tests.support.loops import iterate as turns
from tests.support.loops import now
from tests.support.stress import SEED, Tally, assert_nothing_held, ending
from tests.support.thorough import THOROUGH as FULL
from tests.support.thorough import scaled

__all__ = ["FULL", "SEED", "ChaosLoop", "Tally", "assert_nothing_held", "ending", "now", "scaled", "turns"]
