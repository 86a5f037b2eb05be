"""`demo` ends well, over services of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

from harness.asking import PATIENCE_S
from harness.services import Services

from .gateway import EXAMPLE


class Demonstration(unittest.TestCase):
    def test_the_demonstration_finds_what_it_put_in(self) -> None:
        services = Services("redis", "oidc", "s3", "kinesis", "cloudwatch")
        self.addCleanup(services.stop)
        environment = {
            **os.environ,
            **services.variables,
            "AWS_ENDPOINT_URL_KINESIS": services.endpoints["kinesalite"],
            "TOKENS_URL": services.tokens,
            "TIDEGATE_TEST_PYTHON": str(Path(sys.executable).parent),
        }
        done = subprocess.run(
            [EXAMPLE / "demo"], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            check=False, text=True, timeout=5 * PATIENCE_S,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("each is there once, tagged with its tenant", done.stdout)
