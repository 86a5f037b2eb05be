"""Runs all tests; the last lines are the counts, as in the Test Anything Protocol."""

import sys
import unittest
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(_FOLDER.parent / "src"))

suite = unittest.defaultTestLoader.discover(str(_FOLDER), top_level_dir=str(_FOLDER.parent))
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
failed = len({test.id().split(" ")[0] for test, _ in result.failures + result.errors})
failed += len(result.unexpectedSuccesses)
print(f"# pass {result.testsRun - failed}\n# fail {failed}")
sys.exit(0 if result.wasSuccessful() else 1)
