"""What is answered: one event, a batch, limits, and events that are not as they must be (D1, D3, D4)."""

from __future__ import annotations

import copy
import re
import unittest
from typing import Any, Dict, List

from harness.asking import Answer, ask, eventually

from .rig import Rig, event, sql

_UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Posting(unittest.TestCase):
    rig: Rig

    @classmethod
    def setUpClass(cls) -> None:
        cls.rig = Rig()
        cls.addClassCleanup(cls.rig.close)

    def test_d1_an_event_is_answered_with_its_id_and_time(self) -> None:
        answer = self.rig.post(event("d1-single"))
        self.assertEqual(answer.status, 202, answer.text)
        self.assertRegex(answer.json["event_id"], _UUID_V7)
        self.assertRegex(answer.json["received_at"], _TIME)
        self.assertEqual(answer.headers["idempotency-key"], "d1-single")

    def test_d1_a_batch_is_answered_event_by_event_in_order_and_the_sums_are_right(self) -> None:
        self.assertEqual(self.rig.post(event("d1-known")).status, 202)
        makers: List[Any] = [
            ("accepted", lambda n: event(f"d1-{n}")),
            ("duplicate", lambda n: event("d1-known")),
            ("quarantined", lambda n: event(f"d1-{n}", timestamp="yesterday")),
            ("rejected", lambda n: event(f"d1-{n}", actor={})),
            ("conflict", lambda n: event("d1-known", action={"name": "other"})),
        ]
        expected = [makers[n % len(makers)][0] for n in range(1000)]
        answer = self.rig.batch([makers[n % len(makers)][1](n) for n in range(1000)])
        self.assertEqual(answer.status, 202, answer.text[:1000])
        receipts = answer.json["receipts"]
        self.assertEqual([receipt["status"] for receipt in receipts], expected)
        for receipt in receipts:
            self.assertRegex(receipt["event_id"], _UUID_V7)
            if receipt["status"] == "rejected":
                self.assertEqual(receipt["findings"][0]["pointer"], "/actor/id")
        self.assertEqual((answer.json["accepted"], answer.json["rejected"]), (600, 400))

    def test_d1_a_batch_has_a_thousand_events_at_most(self) -> None:
        answer = self.rig.batch([event(f"d1-many-{n}") for n in range(1001)])
        self.assertEqual(answer.status, 413, answer.text)
        self.assertEqual(answer.json["type"], "urn:tidegate:problem:too-large")

    def test_d1_health_is_told_without_a_key(self) -> None:
        for path in ("/health", "/readyz"):
            self.assertEqual(ask(self.rig.gateway.url, "GET", path).status, 200, path)
        for path in ("/v1/ping", "/livez", "/metrics"):
            self.assertEqual(ask(self.rig.gateway.url, "GET", path).status, 404, path)

    def test_d4_what_is_missing_or_of_another_type_is_named_with_the_reason(self) -> None:
        fields = (("actor", "id"), ("action", "name"), ("resource", "type"), ("resource", "id"))
        for outer, inner in fields:
            for value, code in (
                (None, "null"), (7, "wrong-type"), ([], "wrong-type"), ("", "empty"), (..., "missing"),
            ):
                wrong = copy.deepcopy(event(f"d4-{outer}-{inner}"))
                if value is ...:
                    del wrong[outer][inner]
                else:
                    wrong[outer][inner] = value
                answer = self.rig.post(wrong)
                self.assertEqual(answer.status, 400, answer.text)
                (finding,) = answer.json["findings"]
                self.assertEqual((finding["pointer"], finding["code"]), (f"/{outer}/{inner}", code))
                self.assertIn("text", finding["detail"])
        # All that is wrong is told at once, and the key of what was rejected is free.
        answer = self.rig.post({"idempotency_key": "d4-actor-id"})
        self.assertEqual(
            sorted(finding["pointer"] for finding in answer.json["findings"]),
            ["/action/name", "/actor/id", "/resource/id", "/resource/type"],
        )
        self.assertEqual(self.rig.post(event("d4-actor-id")).json["status"], "accepted")


class Limits(unittest.TestCase):
    rig: Rig

    @classmethod
    def setUpClass(cls) -> None:
        cls.rig = Rig()
        cls.addClassCleanup(cls.rig.close)

    def check(self, answer: Answer, limit: int) -> None:
        headers: Dict[str, str] = answer.headers
        self.assertEqual(headers["x-ratelimit-limit"], str(limit), headers)
        self.assertLess(int(headers["x-ratelimit-remaining"]), limit)
        self.assertGreaterEqual(int(headers["x-ratelimit-reset"]), 0)

    def test_d3_every_answer_to_a_key_tells_its_limit(self) -> None:
        taken = self.rig.post(event("d3-1"))
        self.assertEqual(taken.status, 202, taken.text)
        refused = self.rig.post({})
        self.assertEqual(refused.status, 400)
        receipt = self.rig.get(f"/v1/events/{taken.json['event_id']}")
        self.assertEqual(receipt.status, 200)
        for answer in (taken, refused, self.rig.batch([event("d3-2")]), receipt):
            self.check(answer, 10000)

    def test_d3_beyond_the_limit_of_a_key_is_429_until_it_is_raised(self) -> None:
        key = self.rig.new_key("acme", "events:write", rate_limit=3)
        answers = [self.rig.post(event(f"d3-key-{n}"), key) for n in range(4)]
        self.assertEqual([answer.status for answer in answers], [202, 202, 202, 429])
        for answer in answers:
            self.check(answer, 3)
        self.assertEqual(answers[3].headers["x-ratelimit-remaining"], "0")
        self.assertGreater(int(answers[3].headers["retry-after"]), 0)
        self.assertEqual(answers[3].json["violated-policies"], ["key-requests"])
        # Other keys are not concerned; and a larger limit is in force without a restart.
        self.assertEqual(self.rig.post(event("d3-other")).status, 202)
        sql(self.rig.database, "UPDATE api_keys SET rate_limit = 600 WHERE rate_limit = 3")
        again = eventually(
            "the new limit is in force",
            lambda: found if (found := self.rig.post(event("d3-again"), key)).status == 202 else None,
        )
        self.check(again, 600)

    def test_d3_a_tenant_has_a_limit_over_all_its_keys(self) -> None:
        self.rig.tenant("small")
        self.rig.quotas("small", '{"events": {"limit": 5}}')
        keys = [self.rig.new_key("small", "events:write") for _ in range(2)]
        statuses = [self.rig.post(event(f"d3-t-{n}"), keys[n % 2]).status for n in range(6)]
        self.assertEqual(statuses, [202] * 5 + [429])
        over = self.rig.post(event("d3-t-6"), keys[0])
        self.assertEqual(over.json["violated-policies"], ["tenant-events"])
        self.check(over, 5)
        self.assertEqual(self.rig.post(event("d3-t-6")).status, 202)
