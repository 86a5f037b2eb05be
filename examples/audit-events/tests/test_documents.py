"""The OpenAPI document of every endpoint, and the client that the generator posts with (D10)."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List

from audit_generator.__main__ import main
from audit_generator.events import generate
from harness.asking import ask
from tidegate_connector import Client, Options

from .rig import TOPIC, Rig


class Documents(unittest.TestCase):
    rig: Rig

    @classmethod
    def setUpClass(cls) -> None:
        cls.rig = Rig()
        cls.addClassCleanup(cls.rig.close)

    def test_d10_every_endpoint_is_in_the_openapi_document(self) -> None:
        answer = ask(self.rig.gateway.url, "GET", "/openapi.json")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.json["openapi"].startswith("3.1"))
        operations: Dict[str, List[str]] = {
            path: sorted(set(methods) & {"get", "post"}) for path, methods in answer.json["paths"].items()
        }
        for path, method in (
            ("/v1/events", "post"), ("/v1/events/batch", "post"), ("/v1/events/{event_id}", "get"),
            ("/health", "get"), ("/readyz", "get"), ("/openapi.json", "get"),
        ):
            self.assertIn(method, operations[path])
        # And what it says of an answer is what comes.
        operation = answer.json["paths"]["/v1/events"]["post"]
        posted = self.rig.post(next(generate(1, 1)).body)
        self.assertIn(str(posted.status), operation["responses"])

    def test_d10_the_client_library_posts_batches_and_hears_of_each_event(self) -> None:
        events = [made.body for made in generate(300, seed=10)]
        options = Options(
            self.rig.gateway.url, api_key=self.rig.key, key_field="idempotency_key", encoding="gzip"
        )
        with Client(options) as client:
            outcomes = client.post(events)
            again = client.post(events)
        self.assertEqual([outcome.status for outcome in outcomes], ["accepted"] * 300)
        self.assertEqual([outcome.status for outcome in again], ["duplicate"] * 300)
        ids = [outcome.receipt.event_id for outcome in outcomes if outcome.receipt]
        found = self.rig.kafka.topics.wait_for(TOPIC, ids)
        self.assertEqual(len(found), 300)

    def test_d10_the_generator_counts_what_became_of_its_events(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            key, kept = Path(folder) / "key", Path(folder) / "outcomes"
            key.write_text(self.rig.key)
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                status = main([
                    f"--gateway={self.rig.gateway.url}", f"--api-key-file={key}", "--count=400",
                    "--seed=11", "--wrong=0.1", "--unreadable=0.1", "--repeated=0.1", f"--outcomes={kept}",
                ])
            self.assertEqual(status, 0)
            counts: Dict[str, int] = json.loads(out.getvalue())
            rows: List[Dict[str, Any]] = [json.loads(line) for line in kept.read_text().splitlines()]
        for name in ("accepted", "quarantined", "rejected", "duplicate"):
            self.assertGreater(counts[name], 0, counts)
        self.assertEqual(counts["accepted"], sum(row["status"] == "accepted" for row in rows))
        self.assertEqual(counts["posted"], len(rows))
        self.assertTrue(all(row["status"] == row["expected"] for row in rows), counts)
