"""Runs all tests, or those that are named by a part of their names; the last lines are the counts."""

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_EXAMPLE = _FOLDER.parents[1]
# The connector, the consumer, the library that the first is made with, and what tests of examples share.
sys.path[:0] = [
    str(_FOLDER.parent),
    str(_EXAMPLE / "consumer"),
    str(_EXAMPLE.parent),
    str(_EXAMPLE.parents[1] / "sdk/connector/python/src"),
]

from harness.suite import run  # noqa: E402

sys.exit(run(_FOLDER))
