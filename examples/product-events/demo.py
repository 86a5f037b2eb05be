"""The whole service once: visitors of a web shop, and what is in the topic afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

from harness.asking import ask
from harness.kafka import Record, Topics
from harness.script import started, urls

EXAMPLE = Path(__file__).resolve().parent
TOPIC = os.environ.get("KAFKA_TOPIC", "events")
VISITS = 100
PAGES = ["home", "category", "product", "basket"]


def visit(number: int, chance: random.Random) -> List[Dict[str, Any]]:
    """What a visitor's browser tells, in its order."""
    user = f"visitor-{number:03}"
    events: List[Dict[str, Any]] = []
    for step, page in enumerate(chance.choices(PAGES, k=chance.randint(1, 8))):
        told: Dict[str, Any] = {"user_id": user, "event_name": " Page_View "}
        told["metadata"] = {"page": page, "step": step}
        told["timestamp"] = f"2026-11-22T09:{number % 60:02}:{step:02}Z"
        events.append(told)
    if chance.random() < 0.3:
        events.append({"user_id": user, "event_name": "Purchase", "metadata": {"cents": chance.randint(99, 99_999)}})
    return events


def main() -> int:
    """0 where what is in the topic is what was acknowledged."""
    topics = Topics(os.environ["KAFKA_SERVER"])
    with contextlib.ExitStack() as stack:
        stack.callback(topics.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for topic in (TOPIC, f"{TOPIC}.dlq", f"{TOPIC}.held"):
            topics.create(topic)
        data = folder / "data"
        settings = {"REQUESTS_PER_ADDRESS": "100000", "CORS_ORIGINS": "https://shop.example"}
        stack.enter_context(started(EXAMPLE / "start.sh", str(data), settings=settings))
        [url] = urls(data)
        taken = _post(url)
        records = topics.wait_for(TOPIC, list(taken))
        return _compare(taken, records, topics.count(TOPIC))


def _post(url: str) -> Dict[str, Any]:
    chance = random.Random(2026)
    statuses: Counter[str] = Counter()
    taken: Dict[str, Any] = {}
    page = {"origin": "https://shop.example"}
    for number in range(VISITS):
        for event in visit(number, chance):
            answer = ask(url, "POST", "/events", page, event)
            statuses[f"{answer.status} {answer.json.get('status', '')}".strip()] += 1
            if answer.status == 202:
                taken[answer.json["event_id"]] = event
    wrong = ask(url, "POST", "/events", page, {"user_id": "visitor-000"})
    statuses[str(wrong.status)] += 1
    print("went in:")
    for status, count in sorted(statuses.items()):
        print(f"  {status:<14} {count:>6}")
    return taken


def _compare(taken: Dict[str, Any], records: List[Record], count: int) -> int:
    print(f"came out of {TOPIC}:")
    for name, of_name in sorted(Counter(record.json["event_name"] for record in records).items()):
        print(f"  {name:<14} {of_name:>6}")
    wrong: List[str] = []
    steps: Dict[str, int] = {}
    for record in records:
        posted, found = taken[record.headers["tidegate-event-id"]], record.json
        step = posted["metadata"].get("step", 1000)
        is_good = (
            record.key == posted["user_id"] == found["user_id"]
            and found["event_name"] == posted["event_name"].strip().lower()
            and found["metadata"] == posted["metadata"]
            and "received_at" in found
            and step > steps.get(record.key, -1)
        )
        steps[record.key] = step
        if not is_good:
            wrong.append(record.value)
    print(f"  e.g. {records[0].value}")
    if wrong or count != len(taken):
        print(f"{count} records of {len(taken)} acknowledged events; other than posted: {wrong[:3]}")
        return 1
    print(f"each of {len(taken)} acknowledged events is there once, in its visitor's order, and nothing else")
    return 0


if __name__ == "__main__":
    sys.exit(main())
