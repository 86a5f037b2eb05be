"""`rules.json`: waits, answers and events, each a function without a network."""

from __future__ import annotations

import json
import unittest
from datetime import datetime, timezone
from typing import Any, Dict

from tidegate_connector import InvalidEvent
from tidegate_connector.answer import Again, Answer, Receipts, Split, Stop, judge
from tidegate_connector.event import key_of, prepare
from tidegate_connector.retry import backoff, retry_after

from .conformance import table
from .server import receipts

_RULES = table("rules")
_VERDICTS = {"receipts": Receipts, "again": Again, "split": Split, "stop": Stop}


class Rules(unittest.TestCase):
    def test_backoff(self) -> None:
        for row in _RULES["backoff"]:
            asked = None if row["asked_ms"] is None else row["asked_ms"] / 1000
            delay = backoff(
                row["first_delay_ms"] / 1000, row["max_delay_ms"] / 1000, row["attempts"], asked,
                row["random"],
            )
            self.assertAlmostEqual(delay * 1000, row["delay_ms"], msg=str(row))

    def test_the_jitter_is_full(self) -> None:
        delays = [backoff(1, 1, 1, None) for _ in range(1000)]
        self.assertTrue(0 <= min(delays) < 0.1 and 0.9 < max(delays) <= 1, (min(delays), max(delays)))

    def test_retry_after(self) -> None:
        for row in _RULES["retry_after"]:
            now = datetime.strptime(row["now"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
            wait = retry_after(row["header"], now.timestamp())
            self.assertEqual(None if wait is None else wait * 1000, row["wait_ms"], row)

    def test_answers(self) -> None:
        for row in _RULES["answers"]:
            with self.subTest(row):
                text = row.get("text") or ""
                if "receipts" in row:
                    text = json.dumps({"receipts": receipts(row["receipts"], 1)})
                answer = Answer(row["status"], row.get("headers", {}), text.encode())
                verdict = judge(answer, 1, row.get("endpoint", "batch"))
                self.assertIsInstance(verdict, _VERDICTS[row["verdict"]])
                if isinstance(verdict, Receipts):
                    self.assertEqual(row.get("receipt", verdict.list[0].status), verdict.list[0].status)
                if isinstance(verdict, (Again, Receipts)) and "wait_ms" in row:
                    wait = None if verdict.after_s is None else verdict.after_s * 1000
                    self.assertEqual(wait, row["wait_ms"])
                if not isinstance(verdict, Receipts):
                    self.assertIn(row.get("why", ""), verdict.why)

    def test_events(self) -> None:
        for row in _RULES["events"]:
            for event in (row["text"], row["text"].encode()):
                with self.subTest(row):
                    self.check_event(row, event)

    def check_event(self, row: Dict[str, Any], given: Any) -> None:
        field = row.get("key_field", "idempotencyKey")
        if "error" in row:
            with self.assertRaisesRegex(InvalidEvent, row["error"]):
                prepare(given, field)
            return
        event = prepare(given, field)
        key = event.key if row["key"] == "MINTED" else row["key"]
        self.assertEqual(event.key, key)
        self.assertEqual(event.text.decode(), row["sent"].replace("MINTED", key or ""))
        self.assertEqual(key_of(event.text, field), key)

    def test_objects_are_written_as_json(self) -> None:
        self.assertEqual(prepare({"idempotencyKey": "é", "n": [1, None]}, "idempotencyKey").text.decode(),
                         '{"idempotencyKey":"é","n":[1,null]}')
        for wrong in ({"n": float("nan")}, {"s": "\ud800"}, {"o": object()}, [1], None):
            with self.assertRaises(InvalidEvent, msg=repr(wrong)):
                prepare(wrong, "idempotencyKey")  # type: ignore[arg-type]
