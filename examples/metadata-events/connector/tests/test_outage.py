"""Kinesis throttles, Redis is gone, copies meet: what is answered, what is told, and that retries go through (A9,
A10)."""

from __future__ import annotations

import json
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List

from harness.asking import Answer, eventually
from harness.outages import Redis

from .gateway import EXAMPLE, RAW, EdgeGateway, Stream, client, gateway, s3_event, services
from .kinesis_proxy import KinesisProxy

_ALARM = EXAMPLE.parent / "deploy/cloudwatch-alarm.json"


class Throttled(unittest.TestCase):
    def setUp(self) -> None:
        self.kinesis = KinesisProxy(services().endpoints["kinesalite"])
        self.kinesis.__enter__()
        self.addCleanup(self.kinesis.__exit__)
        self.stream = Stream()

    def gateway(self, **settings: str) -> EdgeGateway:
        made = gateway(AWS_ENDPOINT_URL_KINESIS=self.kinesis.url, **settings)
        self.addCleanup(made.close)
        return made

    def check_refused(self, answer: Answer) -> None:
        self.assertEqual(answer.status, 503, answer.text)
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertEqual(answer.json["type"], "urn:tidegate:problem:sink-unavailable")

    def test_a9_a_throttled_stream_is_503_with_a_warning_and_the_metric_event_drop(self) -> None:
        node = self.gateway(SINKS__DELIVERY_TIMEOUT="4s")
        before = {name: self.sum(name) for name in ("event_drop", "events_received")}
        for n in range(3):
            self.assertEqual(node.post(s3_event(idempotencyKey=f"a9-{n}")).status, 202)
        self.assertEqual(node.warnings(), [])
        self.kinesis.throttled.set()
        self.check_refused(node.post(s3_event(idempotencyKey="a9-whole")))
        self.kinesis.by_entry.set()
        self.check_refused(node.post(s3_event(idempotencyKey="a9-entry")))
        self.assertIn("events put off, the sink does not take them", node.warnings())
        self.kinesis.throttled.clear()
        # Neither is a duplicate of itself.
        for key in ("a9-whole", "a9-entry"):
            event = s3_event(idempotencyKey=key)
            taken = eventually("it is taken", lambda: found if (found := node.post(event)).status == 202 else None)
            self.assertEqual(taken.json["status"], "accepted")
        expected = ["a9-0", "a9-1", "a9-2", "a9-whole", "a9-entry"]
        self.assertEqual([event["idempotencyKey"] for event in self.stream.events()], expected)
        eventually("two are told", lambda: self.sum("event_drop") - before["event_drop"] >= 2)
        eventually("all are told", lambda: self.sum("events_received") - before["events_received"] >= 7)

    def sum(self, metric: str) -> float:
        """What CloudWatch has of the stream, over the last hour."""
        now = datetime.now(timezone.utc)
        answer = client("cloudwatch").get_metric_statistics(
            Namespace="Tidegate", MetricName=metric, Dimensions=[{"Name": "Stream", "Value": RAW}],
            StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1), Period=300,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    def test_a9_the_alarm_is_for_more_than_one_percent_in_five_minutes(self) -> None:
        alarm: Dict[str, Any] = json.loads(_ALARM.read_text())
        for metric in alarm["Metrics"]:
            for dimension in metric.get("MetricStat", {}).get("Metric", {}).get("Dimensions", []):
                dimension["Value"] = RAW
        cloudwatch = client("cloudwatch")
        cloudwatch.put_metric_alarm(**alarm)
        (made,) = cloudwatch.describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"]
        self.assertEqual((made["Threshold"], made["ComparisonOperator"]), (1, "GreaterThanThreshold"))
        metrics = {metric["Id"]: metric for metric in made["Metrics"]}
        names = {metric["MetricStat"]["Metric"]["MetricName"] for metric in metrics.values() if "MetricStat" in metric}
        self.assertEqual(names, {"event_drop", "events_received"})
        self.assertEqual({m["MetricStat"]["Period"] for m in metrics.values() if "MetricStat" in m}, {300})

    def test_a9_while_the_stream_takes_nothing_senders_are_told_at_once(self) -> None:
        """All but those that try the stream."""
        node = self.gateway(SINKS__DELIVERY_TIMEOUT="5s", SINKS__STALL_AFTER="1s")
        self.kinesis.throttled.set()
        self.check_refused(node.post(s3_event(idempotencyKey="a9-first")))
        seconds: List[float] = []

        def send(number: int) -> None:
            begun = time.monotonic()
            self.check_refused(node.post(s3_event(idempotencyKey=f"a9-shed-{number}")))
            seconds.append(time.monotonic() - begun)

        senders = [threading.Thread(target=send, args=(number,)) for number in range(10)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        self.assertEqual(len(seconds), 10)
        self.assertGreaterEqual(sum(took < 4 for took in seconds), 8, seconds)

    def test_a10_a_copy_of_an_event_in_flight_is_503_and_told_when_to_come_back(self) -> None:
        node = self.gateway()
        self.kinesis.hold()
        answers: List[Answer] = []
        first = threading.Thread(target=lambda: answers.append(node.post(s3_event(idempotencyKey="a10-twice"))))
        first.start()
        self.assertTrue(self.kinesis.waiting.wait(60))
        copy = node.post(s3_event(idempotencyKey="a10-twice"))
        self.kinesis.release()
        first.join()
        self.assertEqual(copy.status, 503, copy.text)
        self.assertEqual(copy.json["type"], "urn:tidegate:problem:in-flight")
        self.assertGreater(int(copy.headers["retry-after"]), 0)
        self.assertEqual(answers[0].status, 202)
        again = node.post(s3_event(idempotencyKey="a10-twice"))
        self.assertEqual((again.status, again.json["status"]), (202, "duplicate"))
        self.assertEqual(len(self.stream.records()), 1)


class WithoutRedis(unittest.TestCase):
    def setUp(self) -> None:
        self.redis = Redis()
        self.addCleanup(self.redis.close)
        self.stream = Stream()
        self.node = gateway(REDIS__URL=self.redis.url, REDIS__RESPONSE_TIMEOUT="2s")
        self.addCleanup(self.node.close)

    def check(self, key: str) -> None:
        """Refused at first; the retry goes through, as the first of its kind."""
        event = s3_event(idempotencyKey=key)
        refused = self.node.post(event)
        self.assertEqual(refused.status, 503, refused.text)
        self.assertGreater(int(refused.headers["retry-after"]), 0)
        self.bring_back()
        taken = eventually("it is taken", lambda: found if (found := self.node.post(event)).status == 202 else None)
        self.assertEqual(taken.json["status"], "accepted")
        self.assertEqual(self.node.post(event).json["status"], "duplicate")
        keys = [event["idempotencyKey"] for event in self.stream.events()]
        self.assertEqual(keys, ["a10-before", key])
        again = self.node.post(s3_event(idempotencyKey="a10-before"))
        self.assertEqual((again.status, again.json["status"]), (202, "duplicate"))

    def test_a10_while_redis_is_gone_events_are_503_and_the_retry_goes_through(self) -> None:
        self.assertEqual(self.node.post(s3_event(idempotencyKey="a10-before")).status, 202)
        self.redis.kill()
        self.bring_back = self.redis.start
        self.check("a10-gone")

    def test_a10_while_redis_stands_still_as_well(self) -> None:
        self.assertEqual(self.node.post(s3_event(idempotencyKey="a10-before")).status, 202)
        self.redis.freeze()
        self.bring_back = self.redis.thaw
        self.check("a10-frozen")
