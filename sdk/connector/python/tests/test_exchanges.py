"""`exchanges.json`: what is sent, when, and what comes of it; by `post`, by `send`, and through a spool."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import unittest
from typing import Any, Dict, List, Optional

from tidegate_connector import Client, Options, Outcome, RequestRecord

from .conformance import expanded, table
from .server import Got, Server

_NAMES = {"batch_events": 1, "batch_bytes": 1, "max_attempts": 1, "encoding": 1, "endpoint": 1}
_MILLIS = {"max_elapsed_ms": "max_elapsed_s", "request_timeout_ms": "request_timeout_s"}


def options(url: str, given: Dict[str, Any], **more: Any) -> Options:
    named: Dict[str, Any] = {
        "first_delay_s": 0.001, "max_delay_s": 0.004, "connections": 1, "batch_age_s": 3600,
        "request_timeout_s": 5, **more,
    }
    for name, value in given.items():
        if name in _MILLIS:
            named[_MILLIS[name]] = value / 1000
        elif name in _NAMES:
            named[name] = value
        else:
            assert name == "bearer", name
    if "bearer" in given:
        tokens = iter(given["bearer"])
        current: List[str] = [next(tokens)]

        def token(renew: bool) -> str:
            if renew:
                current[0] = next(tokens)
            return current[0]

        return Options(url, token=token, **named)
    return Options(url, api_key="tg_test_key", **named)


class Exchanges(unittest.TestCase):
    def check(self, case: Dict[str, Any], mode: str) -> None:
        given = case.get("options", {})
        events = [expanded(event) for event in case["events"]]
        told: List[Outcome] = []
        records: List[RequestRecord] = []

        with Server(case["server"]) as server, tempfile.TemporaryDirectory() as folder:
            more: Dict[str, Any] = {"on_outcome": told.append, "on_request": records.append}
            if mode == "spool":
                more["spool"] = folder
            client = Client(options(server.url, given, **more))
            if mode == "post":
                outcomes = client.post(events)
                self.assertEqual(told, [])
                client.close()
            else:
                keys = [client.send(event) for event in events]
                report = client.close(timeout_s=20)
                self.assertEqual(report.spooled, 0)
                by_key = {outcome.key: outcome for outcome in told}
                self.assertEqual(len(by_key), len(told), "an event settled twice")
                outcomes = [by_key[key] for key in keys]
            self.assertEqual(server.failures, [])
            self.check_requests(case["requests"], server.got)
        self.check_outcomes(case["outcomes"], outcomes)
        for expected, record in zip(case.get("metrics", []), records):
            for name, value in expected.items():
                self.assertEqual(getattr(record, name), value, record)
        self.assertEqual(len(records), len(case["requests"]))

    def check_requests(self, expected: List[Dict[str, Any]], got: List[Got]) -> None:
        minted: Dict[str, str] = {}
        sent = [_keys(request) for request in got]
        for row, keys in zip(expected, sent):
            for name, key in zip(row["keys"] or [], keys or []):
                if name.startswith("$"):
                    self.assertEqual(minted.setdefault(name, key), key)
        named = [row["keys"] and [minted.get(n, n) for n in row["keys"]] for row in expected]
        self.assertEqual(named, sent)
        self.assertEqual(len(set(minted.values())), len(minted))
        for index, (row, request) in enumerate(zip(expected, got)):
            for name in ("method", "path", "connection"):
                self.assertEqual(row.get(name, getattr(request, name)), getattr(request, name))
            for name, value in row.get("headers", {}).items():
                self.assertEqual(request.headers.get(name), value, name)
            waited = (request.at - got[index - 1].answered) * 1000 if index else 0
            self.assertGreaterEqual(waited, row.get("min_wait_ms", 0))
            self.assertLessEqual(waited, row.get("max_wait_ms", waited))

    def check_outcomes(self, expected: List[Dict[str, Any]], outcomes: List[Outcome]) -> None:
        self.assertEqual([row["status"] for row in expected], [o.status for o in outcomes])
        for row, outcome in zip(expected, outcomes):
            self.assertEqual(row.get("attempts", outcome.attempts), outcome.attempts)
            self.assertIn(row.get("why", ""), outcome.why)
            if outcome.receipt is None:
                continue
            self.assertEqual(outcome.receipt.status, outcome.status)
            codes = [finding.code for finding in outcome.receipt.findings]
            self.assertEqual(row.get("findings", codes), codes)
            for name in ("event_id", "first_status"):
                if name in row:
                    self.assertEqual(getattr(outcome.receipt, name), row[name])


def _keys(request: Got) -> Optional[List[str]]:
    if request.events is None:
        return None
    return [event["idempotencyKey"] for event in request.events]


def _has_zstd() -> bool:
    return sys.version_info >= (3, 14) or importlib.util.find_spec("zstandard") is not None


def _add_tests() -> None:
    for number, case in enumerate(table("exchanges")["cases"]):
        for mode in case.get("modes", ["post", "send", "spool"]):

            def test(self: Exchanges, case: Any = case, mode: str = mode) -> None:
                if case["name"] == "zstd" and not _has_zstd():
                    with self.assertRaisesRegex(ValueError, "zstd"):
                        Client(options("http://localhost", case["options"]))
                    return
                self.check(case, mode)

            test.__doc__ = f"{case['name']} ({mode})"
            setattr(Exchanges, f"test_{number:02}_{mode}", test)


_add_tests()
