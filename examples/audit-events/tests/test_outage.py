"""The broker is gone: events are taken all the same, and arrive when it is back (D7)."""

from __future__ import annotations

import tomllib
import unittest
from collections import Counter

from harness.asking import eventually

from .rig import EXAMPLE, TOPIC, Rig, event, new_broker


class Outage(unittest.TestCase):
    def test_d7_what_is_acknowledged_while_the_broker_is_gone_arrives_afterwards(self) -> None:
        rig = Rig(new_broker())
        self.addCleanup(rig.close)
        self.addCleanup(rig.kafka.close)
        ids = [rig.post(event("d7-before")).json["event_id"]]
        rig.kafka.topics.wait_for(TOPIC, ids)
        rig.kafka.kill()
        for n in range(100):
            answer = rig.post(event(f"d7-{n}"))
            self.assertEqual(answer.status, 202, answer.text)
            ids.append(answer.json["event_id"])
        (sink,) = rig.gateway.status()["sinks"]
        self.assertGreaterEqual(sink["lag"], 100)
        # The node as well: its log is on the disk.
        rig.gateway.kill()
        rig.gateway.start()
        again = rig.post(event("d7-7"))
        self.assertEqual((again.status, again.json["status"]), (202, "duplicate"))
        ids.append(rig.post(event("d7-after")).json["event_id"])
        rig.kafka.start()
        found = rig.kafka.topics.wait_for(TOPIC, ids)
        counts = Counter(record.headers["tidegate-event-id"] for record in found)
        self.assertEqual(set(counts), set(ids))
        in_order = sorted(found, key=lambda record: record.offset)
        first_seen = list(dict.fromkeys(record.headers["tidegate-event-id"] for record in in_order))
        self.assertEqual(first_seen, ids)
        eventually("the log is drained", lambda: rig.gateway.status()["sinks"][0]["lag"] == 0)

    def test_d7_a_broker_that_stands_still_delays_no_answer(self) -> None:
        rig = Rig(new_broker())
        self.addCleanup(rig.close)
        self.addCleanup(rig.kafka.close)
        rig.kafka.freeze()
        answers = [rig.post(event(f"d7-frozen-{n}")) for n in range(20)]
        rig.kafka.thaw()
        self.assertEqual([answer.status for answer in answers], [202] * 20)
        rig.kafka.topics.wait_for(TOPIC, [answer.json["event_id"] for answer in answers])

    def test_d7_the_buffer_has_a_gibibyte(self) -> None:
        settings = tomllib.loads((EXAMPLE / "gateway.toml").read_text())
        self.assertEqual(settings["wal"]["max_bytes"], "1GiB")
