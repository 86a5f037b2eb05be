"""What the gateway of this example takes and answers, as bytes, without the connector (A1 to A4, A6, A7)."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List, Optional

from harness.asking import Answer, ask, eventually
from harness.script import started, urls

from .gateway import EXAMPLE, EdgeGateway, Stream, gateway, s3_event, token, variables


class Profile(unittest.TestCase):
    gateway: EdgeGateway

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = gateway()
        cls.addClassCleanup(cls.gateway.close)

    def ask(self, method: str, path: str, bearer: Optional[str] = None, event: Any = None) -> Answer:
        headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
        return ask(self.gateway.url, method, path, headers, event)

    def test_a1_two_endpoints_are_exposed_and_nothing_else(self) -> None:
        self.assertEqual(self.ask("GET", "/v1/ping").status, 200)
        self.assertEqual(self.gateway.post(s3_event(idempotencyKey="a1")).status, 202)
        batch = self.ask("POST", "/v1/events/batch", token(), {"events": [s3_event()]})
        self.assertEqual(batch.status, 404)
        for path in ("/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/v1/events/k-1", "/v1/status", "/"):
            self.assertEqual(self.ask("GET", path, token()).status, 404, path)

    def test_a2_an_event_of_another_tenant_is_refused_and_so_is_who_has_no_credential(self) -> None:
        other = s3_event(idempotencyKey="a2", tenantId="other")
        self.assertEqual(self.gateway.post(other).status, 403)
        self.assertNotEqual(self.gateway.post(s3_event(), token(tenant_id="other")).status, 202)
        head, claims, signature = token().split(".")
        forged = ".".join([head, claims, ("A" if signature[0] != "A" else "B") + signature[1:]])
        for bearer in (None, "nobody", forged, token(exp=1_700_000_000)):
            answer = self.ask("POST", "/v1/events", bearer, s3_event())
            self.assertEqual(answer.status, 401)
            self.assertIn("www-authenticate", answer.headers)

    def test_a3_events_of_both_kinds_are_taken_with_open_members(self) -> None:
        stream = Stream()
        jdbc = {"jdbcUrl": "jdbc:postgresql://db/crm", "schema": "public", "table": "customers", "rows": 7}
        events = [
            s3_event(idempotencyKey="a3-1", geo={"lat": 52.1, "lon": 4.9}, csv=["a", "b"]),
            s3_event(idempotencyKey="a3-2", eventType="jdbc.table", source=jdbc),
        ]
        for event in events:
            answer = self.gateway.post(event)
            self.assertEqual((answer.status, answer.json["status"]), (202, "accepted"))
        found = {event["idempotencyKey"]: event for event in stream.events()}
        self.assertEqual([found["a3-1"], found["a3-2"]], events)

    def test_a3_every_violated_path_is_named(self) -> None:
        without = {"eventType": "s3.object", "tenantId": "edge"}
        for event, paths in (
            ({**without, "idempotencyKey": "a3-3"}, ["/source", "/timestamp"]),
            (s3_event(idempotencyKey="a3-4", timestamp="yesterday", source={"bucket": "", "size": -1}),
             ["/source/bucket", "/source/eTag", "/source/key", "/source/size", "/timestamp"]),
            (s3_event(idempotencyKey="a3-5", eventType="jdbc.table", source={"jdbcUrl": "db", "rows": "7"}),
             ["/source/jdbcUrl", "/source/rows", "/source/table"]),
        ):
            answer = self.gateway.post(event)
            self.assertEqual(answer.status, 400)
            findings: List[Dict[str, Any]] = answer.json["findings"]
            self.assertEqual(sorted({finding["pointer"] for finding in findings}), paths)

    def test_a4_a_duplicate_is_acknowledged_as_before_and_not_forwarded_twice(self) -> None:
        stream = Stream()
        first = self.gateway.post(s3_event(idempotencyKey="a4"))
        again = self.gateway.post(s3_event(idempotencyKey="a4"))
        self.assertEqual((first.status, again.status), (202, 202))
        self.assertEqual(again.json["event_id"], first.json["event_id"])
        self.assertEqual((again.json["status"], again.json["first_status"]), ("duplicate", "accepted"))
        self.assertEqual([event["idempotencyKey"] for event in stream.events()], ["a4"])

    def test_a4_a_key_is_forgotten_after_the_window(self) -> None:
        within = {"REDIS__RESPONSE_TIMEOUT": "2s", "SINKS__DELIVERY_TIMEOUT": "2s"}
        within["INGRESS__REQUEST_TIMEOUT"] = "4s"
        with gateway(DEDUP__WINDOW="10s", DEDUP__LEASE="8s", **within) as short:
            event = s3_event(idempotencyKey="a4-window")
            first = short.post(event).json["event_id"]
            self.assertEqual(short.post(event).json["event_id"], first)
            eventually("it is a new one", lambda: short.post(event).json["event_id"] != first)

    def test_a6_the_answer_has_the_key_as_a_header(self) -> None:
        answer = self.gateway.post(s3_event(idempotencyKey="a6"))
        self.assertEqual((answer.status, answer.headers["idempotency-key"]), (202, "a6"))

    def test_a7_a_tenant_that_is_over_its_quota_is_told_when_to_come_back(self) -> None:
        with gateway(QUOTAS__TENANT_EVENTS="3") as small:
            answers = [small.post(s3_event(idempotencyKey=f"a7-{n}")) for n in range(4)]
        self.assertEqual([answer.status for answer in answers], [202] * 3 + [429])
        self.assertGreater(int(answers[3].headers["retry-after"]), 0)


class Start(unittest.TestCase):
    def test_the_script_makes_a_gateway_that_takes_events_and_starts_it_again(self) -> None:
        settings = {**variables(), "TIDEGATE_REDIS__PREFIX": "start:"}
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            for n in range(2):
                with started(EXAMPLE / "start.sh", str(data), settings=settings):
                    (url,) = urls(data)
                    event = s3_event(idempotencyKey=f"start-{n}", tenantId="acme")
                    headers = {"authorization": f"Bearer {token(tenant_id='acme')}"}
                    answer = ask(url, "POST", "/v1/events", headers, event)
                    self.assertEqual(answer.status, 202, answer.text)
