"""Runs the tests of a folder; the last lines are the counts, as in the Test Anything Protocol."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path


def run(folder: Path) -> int:
    """The status to end with. Words on the command line name the tests to run, by a part of their names."""
    loader = unittest.TestLoader()
    if sys.argv[1:]:
        loader.testNamePatterns = [f"*{word}*" for word in sys.argv[1:]]
    suite = loader.discover(str(folder), top_level_dir=str(folder.parent))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len({test.id().split(" ")[0] for test, _ in result.failures + result.errors})
    failed += len(result.unexpectedSuccesses)
    print(f"# pass {result.testsRun - failed}\n# fail {failed}")
    return 0 if result.wasSuccessful() else 1
