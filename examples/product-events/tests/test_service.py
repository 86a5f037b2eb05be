"""The product-event service, requirement by requirement."""

from __future__ import annotations

import http.server
import re
import threading
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any, List

from harness.asking import ask, eventually
from harness.kafka import Kafka

from .rig import EXAMPLE, Rig, event

SHOP = {"origin": "https://shop.example"}


class Service(unittest.TestCase):
    rig: Rig

    @classmethod
    def setUpClass(cls) -> None:
        cls.rig = Rig(REQUESTS_PER_ADDRESS="100000", CORS_ORIGINS="https://shop.example")
        cls.addClassCleanup(cls.rig.close)

    def test_c1_an_event_is_answered_202_with_its_status_and_id(self) -> None:
        answer = self.rig.post(event())
        self.assertEqual((answer.status, answer.json["status"]), (202, "accepted"))
        self.assertRegex(answer.json["event_id"], r"^[0-9a-f]{8}-[0-9a-f]{4}-7")

    def test_c1_what_is_wrong_is_answered_with_the_fitting_status(self) -> None:
        for body, pointers in (
            ({"event_name": "x"}, {"/user_id"}),
            (event(user_id=7), {"/user_id"}),
            (event(user_id="  ", metadata=[]), {"/user_id", "/metadata"}),
            (event(timestamp="yesterday"), {"/timestamp"}),
        ):
            answer = self.rig.post(body)
            self.assertEqual(answer.status, 400, answer.text)
            self.assertEqual({finding["pointer"] for finding in answer.json["findings"]}, pointers)
        self.assertEqual(self.rig.post(b"{").status, 400)
        self.assertEqual(self.rig.post(event(), {"content-type": "text/plain"}).status, 415)
        self.assertEqual(self.rig.get("/events").status, 405)
        self.assertEqual(self.rig.get("/nothing").status, 404)
        self.assertEqual(self.rig.post(event(metadata={"text": "x" * 300_000})).status, 413)

    def test_c2_events_are_normalised_and_have_the_servers_time(self) -> None:
        begun = datetime.now(timezone.utc) - timedelta(seconds=1)
        sent = event(user_id=" u-2 ", event_name=" Sign_Up ")
        del sent["metadata"], sent["timestamp"]
        answer = self.rig.post(sent)
        [record] = [r for r in self.rig.records() if r.headers["tidegate-event-id"] == answer.json["event_id"]]
        found = record.json
        self.assertEqual((found["user_id"], found["event_name"], found["metadata"]), ("u-2", "sign_up", {}))
        self.assertEqual(found["event_id"], answer.json["event_id"])
        received = datetime.fromisoformat(found["received_at"].replace("Z", "+00:00"))
        self.assertTrue(begun <= received <= datetime.now(timezone.utc), received)

    def test_c3_an_event_is_in_the_topic_when_it_is_answered_in_its_users_order(self) -> None:
        ids = [self.rig.post(event(user_id="u-3", metadata={"n": n})).json["event_id"] for n in range(5)]
        # Read at once: the answers waited for the broker.
        records = [r for r in self.rig.records() if r.key == "u-3"]
        self.assertEqual([record.headers["tidegate-event-id"] for record in records], ids)
        self.assertEqual(self.rig.gateway.status()["wal"]["durable_lsn"], 0)

    def test_c4_metrics_are_on_a_port_of_their_own_and_on_the_main_one(self) -> None:
        self.assertEqual(self.rig.post(event()).status, 202)
        page = self.rig.get("/metrics")
        self.assertTrue(page.headers["content-type"].startswith("text/plain; version=0.0.4"))
        for text in (page.text, self.rig.gateway.metrics()):
            posted = re.search(
                r'^http_server_request_duration_seconds_count\{http_request_method="POST",url_scheme="http",'
                r'http_route="/events",http_response_status_code="202",error_type=""\} (\d+)$', text, re.M)
            assert posted is not None, text
            self.assertGreater(int(posted[1]), 0)
            self.assertIn("http_server_request_duration_seconds_bucket", text)
            self.assertRegex(text, r'(?m)^tidegate_sink_messages_errored_total\{sink="events"\} \d+$')
            self.assertRegex(text, r'(?m)^tidegate_sink_messages_rejected_total\{sink="events"\} \d+$')

    def test_c6_health(self) -> None:
        self.assertEqual((self.rig.get("/health").status, self.rig.get("/readyz").status), (200, 200))

    def test_c7_scripts_of_allowed_pages_may_send(self) -> None:
        asked = {**SHOP, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        preflight = ask(self.rig.gateway.url, "OPTIONS", "/events", asked)
        self.assertEqual(preflight.status, 204)
        self.assertEqual(preflight.headers["access-control-allow-origin"], SHOP["origin"])
        sent = self.rig.post(event(), SHOP)
        self.assertEqual((sent.status, sent.headers["access-control-allow-origin"]), (202, SHOP["origin"]))
        self.assertEqual(self.rig.post(event(), {"origin": "https://evil.example"}).status, 403)


class Bounds(unittest.TestCase):
    def test_c7_each_client_address_has_a_limit_of_its_own(self) -> None:
        rig = Rig(REQUESTS_PER_ADDRESS="3", TRUSTED_PROXIES="127.0.0.0/8")
        self.addCleanup(rig.close)
        statuses = [rig.post(event(), {"x-forwarded-for": "198.51.100.7"}).status for _ in range(4)]
        self.assertEqual(statuses, [202, 202, 202, 429])
        self.assertEqual(rig.post(event(), {"x-forwarded-for": "198.51.100.8"}).status, 202)


class Outage(unittest.TestCase):
    def test_c3_without_the_broker_the_answer_is_503_and_c4_errors_are_counted(self) -> None:
        kafka = Kafka()
        self.addCleanup(kafka.close)
        rig = Rig(kafka, TIDEGATE_SINKS__DELIVERY_TIMEOUT="2s")
        self.addCleanup(rig.close)
        first = rig.post(event(user_id="before"))
        self.assertEqual(first.status, 202)
        kafka.kill()
        refused = rig.post(event(user_id="during"))
        self.assertEqual(refused.status, 503)
        self.assertIn("retry-after", refused.headers)
        dropped = 'tidegate_sink_events_dropped_total{sink="events"}'
        self.assertGreater(rig.gateway.metric(dropped), 0)
        kafka.start()
        after = eventually("events are taken again", lambda: _taken(rig))
        ids = [record.headers["tidegate-event-id"] for record in rig.records()]
        for answer in (first, after):
            self.assertIn(answer.json["event_id"], ids)


def _taken(rig: Rig) -> Any:
    answer = rig.post(event(user_id="after"))
    return answer if answer.status == 202 else None


class Tracing(unittest.TestCase):
    def test_c5_spans_go_to_the_collector_under_the_services_name(self) -> None:
        collector = Collector()
        self.addCleanup(collector.close)
        rig = Rig(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, SERVICE_NAME="shop-events")
        self.addCleanup(rig.close)
        self.assertEqual(rig.post(event()).status, 202)
        # Names of a protobuf message stand in it as they are.
        eventually("its span", lambda: collector.has("/v1/traces", b"shop-events", b"POST /events", b"deliver"))
        eventually("its metrics", lambda: collector.has("/v1/metrics", b"http.server.request.duration"))

    def test_c5_a_collector_that_is_not_there_stops_nothing(self) -> None:
        collector = Collector()
        collector.close()
        rig = Rig(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        self.addCleanup(rig.close)
        self.assertEqual([rig.post(event()).status for _ in range(3)], [202] * 3)


class Collector:
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        kept: List[Any] = []
        self._kept = kept

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                kept.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def has(self, path: str, *words: bytes) -> bool:
        bodies = [body for at, body in list(self._kept) if at == path]
        return all(any(word in body for body in bodies) for word in words)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Container(unittest.TestCase):
    def test_c6_the_variables_have_their_defaults(self) -> None:
        text = (EXAMPLE / "gateway.toml").read_text()
        for variable, default in (
            ("KAFKA_SERVER", "kafka:9092"), ("KAFKA_TOPIC", "events"), ("METRICS_PORT", "8001"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("SERVICE_NAME", "product-events"),
        ):
            self.assertIn(f"${{{variable}:-{default}}}", text)

    def test_c6_the_container_starts_what_is_here(self) -> None:
        lines = (EXAMPLE / "Containerfile").read_text().splitlines()
        [entry] = [line for line in lines if line.startswith("ENTRYPOINT")]
        self.assertIn("/opt/product-events/start.sh", entry)
        self.assertTrue((EXAMPLE / "start.sh").stat().st_mode & 0o111)
