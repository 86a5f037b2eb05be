"""Runs all tests, or those that are named by a part of their names; the last lines are the counts."""

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_EXAMPLE = _FOLDER.parent
# The example itself, and what tests of examples share.
sys.path[:0] = [str(_EXAMPLE), str(_EXAMPLE.parent)]

from harness.suite import run  # noqa: E402

sys.exit(run(_FOLDER))
