"""Against the real gateway: what a receipt says is what was stored."""

from __future__ import annotations

import tempfile
import threading
import unittest
from collections import Counter
from typing import Any, List

from tidegate_connector import Client, Options, Outcome

from .gateway import Gateway


class AgainstTheGateway(unittest.TestCase):
    gateway: Gateway

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = Gateway()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.gateway.__exit__()

    def options(self, **more: Any) -> Options:
        named = {"first_delay_s": 0.01, "max_delay_s": 0.1, **more}
        return Options(self.gateway.url, api_key=self.gateway.api_key, **named)

    def test_each_status_arrives_where_it_belongs(self) -> None:
        events: List[Any] = [
            {"idempotencyKey": "s-1", "n": 1},
            {"idempotencyKey": "s-2"},
            {"idempotencyKey": "s-1", "n": 1},
            {"idempotencyKey": "s-1", "n": 2},
            {"idempotencyKey": "s-3", "n": 3, "pad": "x" * (5 << 20)},
            {"n": 5},
        ]
        with Client(self.options()) as client:
            outcomes = client.post(events)
            again = client.post([events[0], outcomes[5].event])
        self.assertEqual(
            [outcome.status for outcome in outcomes],
            ["accepted", "rejected", "duplicate", "conflict", "refused", "accepted"],
        )
        rejected, refused = outcomes[1].receipt, outcomes[4].why
        assert rejected is not None
        self.assertEqual([(f.rule, f.severity) for f in rejected.findings], [("schema", "hard")])
        self.assertIn("too large", refused)
        for outcome, first in zip(again, (outcomes[0], outcomes[5])):
            assert outcome.receipt is not None and first.receipt is not None
            self.assertEqual((outcome.status, outcome.receipt.first_status), ("duplicate", "accepted"))
            self.assertEqual(outcome.receipt.event_id, first.receipt.event_id)

    def test_compressed_bodies_are_understood(self) -> None:
        events = [{"n": n, "pad": str(n * 7919) * 20} for n in range(300)]
        for encoding in ("gzip", "zstd"):
            bodies: List[int] = []
            try:
                client = Client(self.options(encoding=encoding, on_request=lambda r: bodies.append(r.body_bytes)))
            except ValueError:
                self.assertEqual(encoding, "zstd")
                continue
            with client:
                outcomes = client.post(events)
            self.assertEqual({outcome.status for outcome in outcomes}, {"accepted"})
            self.assertLess(sum(bodies), sum(len(outcome.event) for outcome in outcomes) / 2)

    def test_unknown_keys_stop_the_client(self) -> None:
        with Client(Options(self.gateway.url, api_key="tg_live_nobody")) as client:
            (outcome,) = client.post([{"n": 1}])
        self.assertEqual((outcome.status, outcome.attempts), ("undelivered", 1))
        self.assertIn("credentials", outcome.why)

    def test_events_survive_a_gateway_that_is_killed(self) -> None:
        """Killed in the middle and started again; each event is stored once."""
        told: List[Outcome] = []
        halfway = threading.Event()

        def on_outcome(outcome: Outcome) -> None:
            told.append(outcome)
            if len(told) == 500:
                halfway.set()

        with tempfile.TemporaryDirectory() as folder:
            options = self.options(spool=folder, on_outcome=on_outcome, batch_events=20)
            with Client(options) as client:
                feeding = threading.Thread(
                    target=lambda: [client.send({"idempotencyKey": f"g-{n}", "n": n}) for n in range(2000)]
                )
                feeding.start()
                self.assertTrue(halfway.wait(60))
                self.gateway.kill()
                self.gateway.start()
                feeding.join()
                self.assertTrue(client.flush(60))
        counts = Counter(outcome.key for outcome in told)
        self.assertEqual(counts, {f"g-{n}": 1 for n in range(2000)})
        self.assertTrue(all(outcome.is_taken for outcome in told))
        with Client(self.options()) as client:
            again = client.post(outcome.event for outcome in told)
        self.assertEqual({outcome.status for outcome in again}, {"duplicate"})
