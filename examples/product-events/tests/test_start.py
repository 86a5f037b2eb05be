"""What people run: the script, and the demonstration."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness.asking import PATIENCE_S, ask
from harness.script import started, urls

from .rig import EXAMPLE, broker, event


class Start(unittest.TestCase):
    def test_c6_the_script_makes_a_service_that_takes_events_and_starts_it_again(self) -> None:
        topics = broker().topics
        for topic in ("started", "started.dlq", "started.held"):
            topics.create(topic)
        settings = {"KAFKA_SERVER": broker().bootstrap, "KAFKA_TOPIC": "started"}
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            for _ in range(2):
                with started(EXAMPLE / "start.sh", str(data), settings=settings):
                    [url] = urls(data)
                    self.assertEqual(ask(url, "POST", "/events", None, event()).status, 202)
        self.assertEqual(topics.count("started"), 2)

    def test_the_demonstration_shows_that_what_goes_in_comes_out(self) -> None:
        environment = {**os.environ, "KAFKA_SERVER": broker().bootstrap, "KAFKA_TOPIC": "demonstrated"}
        done = subprocess.run(
            [EXAMPLE / "demo"], capture_output=True, check=False, env=environment, text=True,
            stdin=subprocess.DEVNULL, timeout=2 * PATIENCE_S,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("is there once", done.stdout)
