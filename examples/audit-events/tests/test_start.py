"""`start.sh` makes gateways that take events, and takes them up again; `demo` ends well."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from harness.asking import PATIENCE_S, ask
from harness.kafka import Kafka
from harness.script import started, urls

from .rig import EXAMPLE, TOPIC, broker, event, new_database, services


class Start(unittest.TestCase):
    def test_the_script_starts_replicas_and_starts_them_again(self) -> None:
        settings = {
            **services().variables,
            "TIDEGATE_CATALOG__URL": new_database(),
            "TIDEGATE_REDIS__PREFIX": "start:",
            "KAFKA_SERVER": broker().bootstrap,
        }
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            ids = []
            for n in range(2):
                with started(EXAMPLE / "start.sh", str(data), "2", settings=settings):
                    key = {"x-api-key": (data / "key").read_text().strip()}
                    for replica, url in enumerate(urls(data / "node-1", data / "node-2")):
                        posted = event(f"start-{n}-{replica}")
                        answer = ask(url, "POST", "/v1/events", key, posted)
                        self.assertEqual(answer.status, 202, answer.text)
                        ids.append(answer.json["event_id"])
            self.assertEqual((data / "key").stat().st_mode & 0o777, 0o600)
        # What was acknowledged is there, also what was so just before the end.
        broker().topics.wait_for(TOPIC, ids)

    def test_the_demonstration_finds_what_it_posted(self) -> None:
        with Kafka() as kafka:
            environment = {
                **os.environ,
                **services().variables,
                "TIDEGATE_CATALOG__URL": new_database(),
                "KAFKA_SERVER": kafka.bootstrap,
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            }
            done = subprocess.run(
                [EXAMPLE / "demo"], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                check=False, text=True, timeout=5 * PATIENCE_S,
            )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("acknowledged events is there once", done.stdout)
