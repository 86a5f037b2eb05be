"""What the gateway of this example takes and answers, up to the sink: as bytes, without the connector."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

from .gateway import EXAMPLE, gateway, program, token, variables

Answer = Tuple[int, Dict[str, str], Any]


def ask(url: str, method: str, path: str, bearer: Optional[str] = None, event: Any = None) -> Answer:
    """Status, headers by names in lower case, and the body where it is JSON."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    headers = {"content-type": "application/json"}
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer}"
    connection.request(method, path, json.dumps(event) if event is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    names = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, names, json.loads(text) if text.startswith(b"{") else None


def s3_event(**more: Any) -> Dict[str, Any]:
    return {
        "idempotencyKey": "k-1", "tenantId": "edge", "eventType": "s3.object",
        "timestamp": "2026-11-22T08:00:00Z",
        "source": {"bucket": "scans", "key": "a/1.tif", "size": 1042, "eTag": "9e10"}, **more,
    }


class Profile(unittest.TestCase):
    gateway: Any
    token: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = gateway()
        cls.token = token()
        cls.addClassCleanup(cls.gateway.__exit__)

    def post(self, event: Any, path: str = "/v1/events") -> Answer:
        return ask(self.gateway.url, "POST", path, self.token, event)

    def test_a1_two_endpoints_are_exposed_and_nothing_else(self) -> None:
        self.assertEqual(ask(self.gateway.url, "GET", "/v1/ping")[0], 200)
        self.assertEqual(self.post(s3_event(idempotencyKey="a1"))[0], 202)
        self.assertEqual(self.post({"events": [s3_event()]}, "/v1/events/batch")[0], 404)
        for path in ("/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/v1/events/k-1", "/v1/status", "/"):
            self.assertEqual(ask(self.gateway.url, "GET", path, self.token)[0], 404, path)

    def test_a2_an_event_of_another_tenant_is_refused_and_so_is_who_has_no_credential(self) -> None:
        self.assertEqual(self.post(s3_event(idempotencyKey="a2", tenantId="other"))[0], 403)
        of_other = ask(self.gateway.url, "POST", "/v1/events", token(tenant_id="other"), s3_event())
        self.assertNotEqual(of_other[0], 202)
        head, claims, signature = self.token.split(".")
        forged = ".".join([head, claims, ("A" if signature[0] != "A" else "B") + signature[1:]])
        for bearer in (None, "nobody", forged, token(exp=1_700_000_000)):
            status, headers, _ = ask(self.gateway.url, "POST", "/v1/events", bearer, s3_event())
            self.assertEqual(status, 401)
            self.assertIn("www-authenticate", headers)

    def test_a3_events_of_both_kinds_are_taken_with_open_members(self) -> None:
        jdbc = {"jdbcUrl": "jdbc:postgresql://db/crm", "schema": "public", "table": "customers", "rows": 7}
        for event in (
            s3_event(idempotencyKey="a3-1", geo={"lat": 52.1, "lon": 4.9}, csv=["a", "b"]),
            s3_event(idempotencyKey="a3-2", eventType="jdbc.table", source=jdbc),
        ):
            status, _, receipt = self.post(event)
            self.assertEqual((status, receipt["status"]), (202, "accepted"))

    def test_a3_every_violated_path_is_named(self) -> None:
        without = {"eventType": "s3.object", "tenantId": "edge"}
        for event, paths in (
            ({**without, "idempotencyKey": "a3-3"}, ["/source", "/timestamp"]),
            (s3_event(idempotencyKey="a3-4", timestamp="yesterday", source={"bucket": "", "size": -1}),
             ["/source/bucket", "/source/eTag", "/source/key", "/source/size", "/timestamp"]),
            (s3_event(idempotencyKey="a3-5", eventType="jdbc.table", source={"jdbcUrl": "db", "rows": "7"}),
             ["/source/jdbcUrl", "/source/rows", "/source/table"]),
        ):
            status, _, problem = self.post(event)
            self.assertEqual(status, 400)
            findings: List[Dict[str, Any]] = problem["findings"]
            self.assertEqual(sorted({finding["pointer"] for finding in findings}), paths)

    def test_a4_a_duplicate_is_acknowledged_as_before(self) -> None:
        first = self.post(s3_event(idempotencyKey="a4"))
        again = self.post(s3_event(idempotencyKey="a4"))
        self.assertEqual((first[0], again[0]), (202, 202))
        self.assertEqual(again[2]["event_id"], first[2]["event_id"])
        self.assertEqual((again[2]["status"], again[2]["first_status"]), ("duplicate", "accepted"))

    def test_a4_any_replica_answers_a6_and_the_key_is_told(self) -> None:
        first = self.post(s3_event(idempotencyKey="a6"))
        self.assertEqual((first[0], first[1]["idempotency-key"]), (202, "a6"))
        prefix = "replicas:"
        with gateway(REDIS__PREFIX=prefix) as one, gateway(REDIS__PREFIX=prefix) as other:
            answers = [
                ask(replica.url, "POST", "/v1/events", self.token, s3_event(idempotencyKey="a4-2"))
                for replica in (one, other)
            ]
        self.assertEqual([answer[0] for answer in answers], [202, 202])
        self.assertEqual([answer[2]["status"] for answer in answers], ["accepted", "duplicate"])
        self.assertEqual(answers[0][2]["event_id"], answers[1][2]["event_id"])

    def test_a7_a_tenant_that_is_over_its_quota_is_told_when_to_come_back(self) -> None:
        with gateway(QUOTAS__TENANT_EVENTS="3") as small:
            answers = [
                ask(small.url, "POST", "/v1/events", self.token, s3_event(idempotencyKey=f"a7-{n}"))
                for n in range(4)
            ]
        self.assertEqual([status for status, _, _ in answers], [202] * 3 + [429])
        self.assertGreater(int(answers[3][1]["retry-after"]), 0)


class Start(unittest.TestCase):
    def test_the_script_makes_a_gateway_that_takes_events_and_starts_it_again(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            for n in range(2):
                with started(data) as url:
                    event = s3_event(idempotencyKey=f"start-{n}", tenantId="acme")
                    bearer = token(tenant_id="acme")
                    self.assertEqual(ask(url, "POST", "/v1/events", bearer, event)[0], 202)


@contextlib.contextmanager
def started(data: Path) -> Iterator[str]:
    """What `start.sh` starts, on free ports; its URL."""
    environment = {
        **os.environ, **variables(), "TIDEGATE": str(program()),
        "TIDEGATE_INGRESS__ADDRESS": "127.0.0.1:0", "TIDEGATE_ADMIN__ADDRESS": "127.0.0.1:0",
    }
    script = subprocess.Popen(
        [EXAMPLE / "start.sh", data], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )
    assert script.stderr is not None
    # The end of what it says is the end of it and its gateway.
    with script, script.stderr:
        try:
            said: List[str] = []
            for line in script.stderr:
                said.append(line)
                if line.startswith("ready: "):
                    break
            else:
                raise RuntimeError("".join(said))
            addresses = json.loads((data / "addresses.json").read_text())
            yield f"http://{addresses['ingress']}"
        finally:
            script.send_signal(signal.SIGTERM)
            script.stderr.read()
