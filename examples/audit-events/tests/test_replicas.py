"""Three replicas over one PostgreSQL, one Redis and one Kafka are one gateway; their logs and metrics (D8)."""

from __future__ import annotations

import re
import unittest

from .rig import TOPIC, Rig, event

#: A line of the text format of Prometheus that is no comment: a name, labels, a value.
_SERIES = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? [-+.0-9eEInfNa]+')


class Replicas(unittest.TestCase):
    rig: Rig

    @classmethod
    def setUpClass(cls) -> None:
        cls.rig = Rig(replicas=3)
        cls.addClassCleanup(cls.rig.close)

    def test_d8_any_replica_answers_for_all(self) -> None:
        answers = [self.rig.post(event("d8-1"), replica=replica) for replica in range(3)]
        self.assertEqual([answer.status for answer in answers], [202] * 3)
        self.assertEqual(len({answer.json["event_id"] for answer in answers}), 1)
        self.assertEqual([a.json["status"] for a in answers], ["accepted", "duplicate", "duplicate"])
        found = self.rig.kafka.topics.wait_for(TOPIC, [answers[0].json["event_id"]])
        self.assertEqual([record.json["processing"]["node"] for record in found], ["node-1"])

    def test_d8_a_key_made_at_one_is_good_at_all_and_its_limit_holds_over_all(self) -> None:
        key = self.rig.new_key("acme", "events:write", rate_limit=6)
        for replica in range(3):
            self.rig.wait_key(key, replica)
        # Each look has cost a request.
        statuses = [self.rig.post(event(f"d8-q-{n}"), key, replica=n % 3).status for n in range(6)]
        self.assertEqual(statuses, [202] * 3 + [429] * 3)

    def test_d8_the_others_go_on_without_one(self) -> None:
        first = self.rig.post(event("d8-2"), replica=2)
        self.assertEqual(first.status, 202)
        self.rig.gateways[2].kill()
        self.addCleanup(self.rig.gateways[2].start)
        for replica in range(2):
            again = self.rig.post(event("d8-2"), replica=replica)
            self.assertEqual(again.json["event_id"], first.json["event_id"])
            self.assertEqual(self.rig.post(event(f"d8-3-{replica}"), replica=replica).status, 202)

    def test_d8_logs_are_json_and_metrics_are_for_prometheus(self) -> None:
        self.rig.post({}, replica=1)
        nodes = self.rig.gateway.status("/v1/nodes")["nodes"]
        self.assertEqual([node["name"] for node in nodes], ["node-1", "node-2", "node-3"])
        for gateway in self.rig.gateways:
            lines = gateway.log()
            self.assertTrue(lines)
            for line in lines:
                self.assertLessEqual({"timestamp", "level", "fields", "target"}, set(line))
            page = [line for line in gateway.metrics().splitlines() if line and line[0] != "#"]
            self.assertGreater(len(page), 50)
            for series in page:
                self.assertRegex(series, rf"^{_SERIES.pattern}$")
