"""The whole pipeline once: three replicas, made-up audit events, and what is in the topic afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

from audit_generator.__main__ import main as generate
from harness.kafka import Record, Topics
from harness.script import started, urls

EXAMPLE = Path(__file__).resolve().parent
TOPIC = "audit.events.v1"
EVENTS = 3000
REPLICAS = 3


def main() -> int:
    """0 where what is in the topic is what was acknowledged."""
    topics = Topics(os.environ["KAFKA_SERVER"])
    with contextlib.ExitStack() as stack:
        stack.callback(topics.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for topic in (TOPIC, f"{TOPIC}.dlq"):
            topics.create(topic)
        data = folder / "data"
        print(f"{REPLICAS} replicas over one PostgreSQL, one Redis, one Kafka", flush=True)
        stack.enter_context(started(EXAMPLE / "start.sh", str(data), str(REPLICAS), settings={}))
        rows = _post(urls(*(data / f"node-{n}" for n in range(1, REPLICAS + 1))), data / "key", folder)
        taken = {row["event_id"]: row["event"] for row in rows if row["status"] == "accepted"}
        records = topics.wait_for(TOPIC, list(taken))
        return _compare(taken, records, topics.count(TOPIC))


def _post(gateways: List[str], key: Path, folder: Path) -> List[Dict[str, Any]]:
    outcomes = folder / "outcomes"
    words = [f"--gateway={url}" for url in gateways]
    words += [f"--api-key-file={key}", f"--count={EVENTS}", f"--outcomes={outcomes}"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = generate([*words, "--wrong=0.02", "--unreadable=0.01", "--repeated=0.05"])
    if status:
        raise SystemExit(f"not every event was answered: {out.getvalue()}")
    rows = [json.loads(line) for line in outcomes.read_text().splitlines()]
    print("went in:")
    for answered, count in sorted(Counter(row["status"] for row in rows).items()):
        print(f"  {answered:<12} {count:>6}")
    strange = [row for row in rows if row["status"] != row["expected"]]
    if strange:
        raise SystemExit(f"answered otherwise than expected: {strange[:3]}")
    return rows


def _compare(taken: Dict[str, Any], records: List[Record], count: int) -> int:
    print(f"came out of {TOPIC}:")
    nodes = Counter(record.json["processing"]["node"] for record in records)
    for node, of_node in sorted(nodes.items()):
        print(f"  by {node:<9} {of_node:>6}")
    print(f"  records      {count:>6}")
    wrong: List[str] = []
    for record in records:
        posted, found = taken[record.headers["tidegate-event-id"]], record.json
        expected = {**posted, "action": {"name": posted["action"]["name"].lower()}}
        if record.key != "acme" or any(found[name] != value for name, value in expected.items()):
            wrong.append(record.value)
    print(f"  e.g. {records[0].value}")
    if wrong or count != len(taken):
        print(f"{count} records of {len(taken)} acknowledged events; other than posted: {wrong[:3]}")
        return 1
    print(f"each of {len(taken)} acknowledged events is there once, enriched, and nothing else")
    return 0


if __name__ == "__main__":
    sys.exit(main())
