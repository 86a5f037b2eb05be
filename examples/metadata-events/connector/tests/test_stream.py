"""What is in the stream, what the node keeps, and how a consumer reads it (A5, A8, A11, A13)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import unittest
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

from metadata_consumer.__main__ import main as consume

from .gateway import EXAMPLE, HELD, RAW, EdgeGateway, Stream, client, gateway, s3_event, services, token
from .kinesis_proxy import KinesisProxy


def event_of(key: str, number: int, **more: Any) -> Dict[str, Any]:
    """The nth event of an object, which is its partition key."""
    source = {"bucket": "scans", "key": key, "size": number, "eTag": f"{number:04x}"}
    return s3_event(idempotencyKey=f"{key}-{number}", source=source, **more)


class InTheStream(unittest.TestCase):
    gateway: EdgeGateway

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = gateway("other")
        cls.addClassCleanup(cls.gateway.close)

    def setUp(self) -> None:
        self.stream = Stream()

    def test_a5_events_of_a_partition_key_are_in_their_order_and_each_is_there(self) -> None:
        statuses: List[int] = []

        def send(key: str) -> None:
            for number in range(15):
                statuses.append(self.gateway.post(event_of(key, number)).status)

        senders = [threading.Thread(target=send, args=(f"a5/{n}.tif",)) for n in range(8)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        self.assertEqual(statuses, [202] * 120)
        orders: Dict[str, List[int]] = defaultdict(list)
        shards: Dict[str, List[str]] = defaultdict(list)
        for record in self.stream.records():
            event = json.loads(record.data)
            self.assertEqual(record.partition_key, event["source"]["key"])
            orders[record.partition_key].append(event["source"]["size"])
            shards[record.partition_key].append(record.shard)
        self.assertEqual(dict(orders), {f"a5/{n}.tif": list(range(15)) for n in range(8)})
        self.assertTrue(all(len(set(of_key)) == 1 for of_key in shards.values()))
        self.assertGreater(len({of_key[0] for of_key in shards.values()}), 1)

    def test_a5_events_that_come_together_leave_together(self) -> None:
        with KinesisProxy(services().endpoints["kinesalite"]) as kinesis:
            with gateway(AWS_ENDPOINT_URL_KINESIS=kinesis.url) as node:
                # The first ones are on their way while the others come.
                kinesis.hold()
                events = [event_of(f"a5-together/{n}", 1) for n in range(60)]
                senders = [threading.Thread(target=node.post, args=(event,)) for event in events]
                for sender in senders:
                    sender.start()
                self.assertTrue(kinesis.waiting.wait(60))
                kinesis.release()
                for sender in senders:
                    sender.join()
                self.assertLess(kinesis.puts, 40)
        self.assertEqual(len(self.stream.records()), 60)

    def test_a5_the_stream_keeps_records_for_a_day_and_they_can_be_replayed(self) -> None:
        summary = client("kinesis").describe_stream_summary(StreamName=RAW)
        self.assertEqual(summary["StreamDescriptionSummary"]["RetentionPeriodHours"], 24)
        for n in range(5):
            self.assertEqual(self.gateway.post(event_of("a5-replay", n)).status, 202)
        first = self.stream.records()
        self.assertEqual(len(first), 5)
        self.assertEqual(self.stream.records(), first)

    def test_a8_every_event_is_tagged_with_its_tenant(self) -> None:
        for n, tenant in enumerate(["edge", "other", "edge"]):
            event = event_of(f"a8/{tenant}", n, tenantId=tenant)
            answer = self.gateway.post(event, token(tenant_id=tenant))
            self.assertEqual(answer.status, 202, answer.text)
        tags = {event["source"]["key"]: event["tenantId"] for event in self.stream.events()}
        self.assertEqual(tags, {"a8/edge": "edge", "a8/other": "other"})

    def test_a13_the_consumer_polls_goes_on_where_it_was_and_replays(self) -> None:
        environment = {
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        }
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, environment):

            def run(*words: str) -> List[str]:
                """The keys that it printed of this test."""
                out = io.StringIO()
                words = (
                    f"--endpoint-url={services().endpoints['kinesalite']}",
                    f"--positions={folder}/positions", "--until-idle=0.5", *words,
                )
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                    self.assertEqual(consume(list(words)), 0)
                keys = [json.loads(line)["idempotencyKey"] for line in out.getvalue().splitlines()]
                return [key for key in keys if key.startswith("a13-")]

            def post(first: int, last: int) -> List[str]:
                for n in range(first, last):
                    self.assertEqual(self.gateway.post(event_of("a13", n)).status, 202)
                return [f"a13-{n}" for n in range(first, last)]

            self.assertEqual(run(), [])
            self.assertEqual(post(0, 7), run())
            self.assertEqual(post(7, 9), run())
            self.assertEqual(run(), [])
            self.assertEqual(run("--replay"), [f"a13-{n}" for n in range(9)])
            self.assertEqual(run(), [])

    def test_a13_taking_events_writes_to_no_catalogue(self) -> None:
        def dump() -> str:
            path = self.gateway.data / "catalog/catalog.sqlite"
            database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            try:
                return "\n".join(database.iterdump())
            finally:
                database.close()

        before = dump()
        for n in range(20):
            self.assertEqual(self.gateway.post(event_of("catalogue", n)).status, 202)
        self.assertEqual(dump(), before)


class Stateless(unittest.TestCase):
    def test_a11_the_answer_means_in_the_stream_and_the_node_keeps_nothing(self) -> None:
        with gateway() as node:
            stream = Stream()
            for n in range(10):
                answer = node.post(event_of("a11-kept-nowhere", n))
                self.assertEqual(answer.status, 202, answer.text)
                # It is there by the time that the sender is told so.
                self.assertEqual(len(stream.records()), n + 1)
            self.assertEqual(node.status()["wal"]["durable_lsn"], 0)
            node.stop()
            files = [path for path in node.data.rglob("*") if path.is_file()]
            self.assertGreater(len(files), 5)
            for path in files:
                self.assertNotIn(b"a11-kept-nowhere", path.read_bytes(), path)

    def test_a11_any_replica_answers_also_when_the_one_that_took_the_event_is_gone(self) -> None:
        stream = Stream()
        with gateway(REDIS__PREFIX="replicas:") as one, gateway(REDIS__PREFIX="replicas:") as other:
            event = event_of("a11-replicas", 1)
            answers = [replica.post(event) for replica in (one, other)]
            one.kill()
            shutil.rmtree(one.data / "wal")
            answers += [other.post(event), other.post(event_of("a11-replicas", 2))]
        self.assertEqual([answer.status for answer in answers], [202] * 4)
        statuses = [answer.json["status"] for answer in answers]
        self.assertEqual(statuses, ["accepted", "duplicate", "duplicate", "accepted"])
        self.assertEqual(len({answer.json["event_id"] for answer in answers[:3]}), 1)
        self.assertEqual([event["source"]["size"] for event in stream.events()], [1, 2])

    def test_a11_what_a_rule_holds_goes_to_a_stream_that_all_nodes_share(self) -> None:
        raw, held = Stream(), Stream(HELD)
        revision = json.loads((EXAMPLE / "revision.json").read_text())
        expectation = {"name": "empty-object", "field": "/source/size", "expect": {"range": {"min": 1}}}
        revision["rules"] = [
            {"name": "plausible", "component": "expectations", "config": {"expectations": [expectation]}}
        ]
        with gateway() as node:
            node.activate(revision)
            answers = [node.post(event_of("a11-held", size)) for size in (0, 1)]
            self.assertEqual(node.status()["wal"]["durable_lsn"], 0)
        self.assertEqual([answer.json["status"] for answer in answers], ["quarantined", "accepted"])
        self.assertEqual([event["source"]["size"] for event in raw.events()], [1])
        (event,) = held.events()
        self.assertEqual((event["tenantid"], event["tidegatestatus"]), ("edge", "quarantined"))
        self.assertEqual(event["id"], answers[0].json["event_id"])
        self.assertEqual(event["data"]["source"]["size"], 0)
        self.assertEqual(json.loads(event["tidegatefindings"])[0]["code"], "empty-object")
