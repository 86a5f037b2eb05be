"""What arrives in Kafka, read by Kafka's own console consumer: content, keys, batches, dead letters (D5, D6)."""

from __future__ import annotations

import random
import unittest
from typing import Dict, List

from harness.kafka import Record, Topics

from .rig import DEAD, TOPIC, Rig, event


class Topic(unittest.TestCase):
    rig: Rig
    topics: Topics

    @classmethod
    def setUpClass(cls) -> None:
        cls.rig = Rig()
        cls.addClassCleanup(cls.rig.close)
        cls.topics = cls.rig.kafka.topics

    def records(self, ids: List[str], topic: str = TOPIC) -> Dict[str, Record]:
        """The records of events, by the ids of their receipts; each is there once."""
        found = self.topics.wait_for(topic, ids)
        self.assertEqual(len(found), len(ids))
        return {record.headers["tidegate-event-id"]: record for record in found}

    def test_d5_events_are_enriched(self) -> None:
        cases = [
            (event("d5-1"), "2026-11-22", "document.read"),
            (event("d5-2", timestamp="2026-11-21T01:00:00+02:00"), "2026-11-20", "document.read"),
            (event("d5-3", action={"name": "ÄNDERN"}), "2026-11-22", "ändern"),
            ({k: v for k, v in event("d5-4").items() if k != "timestamp"}, None, "document.read"),
            # What the sender says of these is not believed.
            (event("d5-5", event_id="x", received_at="x", event_date="x", processing={"node": "x", "n": 1}),
             "2026-11-22", "document.read"),
        ]
        receipts = [self.rig.post(posted).json for posted, _, _ in cases]
        records = self.records([receipt["event_id"] for receipt in receipts])
        for receipt, (posted, date, action) in zip(receipts, cases):
            record = records[receipt["event_id"]]
            processing = {**posted.get("processing", {}), "node": "node-1"}
            expected = {
                **posted,
                "event_id": receipt["event_id"],
                "received_at": receipt["received_at"],
                "event_date": date or receipt["received_at"][:10],
                "processing": processing,
                "action": {"name": action},
            }
            self.assertEqual(record.json, expected)

    def test_d6_records_are_keyed_by_tenant_compressed_and_batched(self) -> None:
        self.rig.tenant("globex")
        globex = self.rig.new_key("globex", "events:write")
        before = len(self.rig.kafka.batches(TOPIC))
        ids: Dict[str, List[str]] = {"acme": [], "globex": []}
        for n in range(60):
            for tenant, key in (("acme", self.rig.key), ("globex", globex)):
                ids[tenant].append(self.rig.post(event(f"d6-{n}"), key).json["event_id"])
        for tenant, of_tenant in ids.items():
            records = self.records(of_tenant)
            self.assertEqual({record.key for record in records.values()}, {tenant})
            self.assertEqual({r.headers["tidegate-tenant"] for r in records.values()}, {tenant})
            # All of a key are in one partition, in the order in which they were answered.
            self.assertEqual(len({record.partition for record in records.values()}), 1)
            in_order = sorted(records.values(), key=lambda record: record.offset)
            self.assertEqual([r.headers["tidegate-event-id"] for r in in_order], of_tenant)
        batches = self.rig.kafka.batches(TOPIC)[before:]
        self.assertEqual({batch.compression for batch in batches}, {"lz4"})
        # They came one by one; what comes within a second leaves together.
        self.assertLess(len(batches), 40)
        # An idempotent producer waits for all replicas in sync (acks=all), or it does not start.
        self.assertEqual({batch.is_idempotent for batch in batches}, {True})

    def test_d6_a_batch_has_a_megabyte_at_most(self) -> None:
        before = len(self.rig.kafka.batches(TOPIC))
        noise = random.Random(6)
        events = [event(f"d6-large-{n}", note=noise.randbytes(50_000).hex()) for n in range(30)]
        ids = [self.rig.post(one).json["event_id"] for one in events]
        self.records(ids)
        sizes = [batch.size for batch in self.rig.kafka.batches(TOPIC)[before:]]
        self.assertGreater(max(sizes), 100_000)
        self.assertLess(max(sizes), 1_001_000)

    def test_d6_what_the_broker_refuses_is_a_dead_letter(self) -> None:
        self.topics.alter(TOPIC, max_message_bytes="20000")
        self.addCleanup(self.topics.alter, TOPIC, max_message_bytes="1048588")
        noise = random.Random(7).randbytes(40_000).hex()
        large = self.rig.post(event("d6-dead", note=noise)).json["event_id"]
        letter = self.records([large], DEAD)[large]
        self.assertEqual(letter.key, "acme")
        self.assertEqual(letter.headers["tidegate-dead-sink"], "audit")
        self.assertTrue(letter.headers["tidegate-dead-code"])
        small = self.rig.post(event("d6-small")).json["event_id"]
        self.records([small])
        self.assertNotIn(large, {r.headers["tidegate-event-id"] for r in self.topics.read(TOPIC)})
