"""The whole system once: objects in a bucket, an edge connector, the gateway, the stream, and a consumer that reads
it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import sys
import tempfile
import urllib.parse
import urllib.request
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

import boto3  # type: ignore[import-untyped, unused-ignore]
from harness.asking import eventually
from harness.script import started, urls
from metadata_connector.__main__ import main as connect
from metadata_consumer.__main__ import main as consume

EXAMPLE = Path(__file__).resolve().parent
BUCKET = "earth-observation"
SCENES = 60
STATIONS = 150
#: Key and eTag: what an event tells of an object.
Seen = Tuple[str, str]


def main() -> int:
    """0 where the stream has one event for each state of each object, and nothing else."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _make_streams()
        stack.enter_context(started(EXAMPLE / "start.sh", str(folder / "data"), settings={}))
        (url,) = urls(folder / "data")
        (folder / "token").write_text(_token())
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        states: Set[Seen] = set()
        for what, fill in (("all is new", _fill), ("nothing is new", _nothing), ("some have changed", _change)):
            fill(s3)
            states |= _listed(s3)
            print(f"{what}: the connector counts {_connect(url, folder)}", flush=True)
        events = _consume(folder)
        print(f"the consumer read {len(events)} events from events-raw, such as")
        print(f"  {json.dumps(events[0])}")
        _tell_cloudwatch(len(events))
        return _compare(states, events)


def _make_streams() -> None:
    kinesis = boto3.client("kinesis")
    for stream, shards in (("events-raw", 4), ("events-quarantine", 1)):
        kinesis.create_stream(StreamName=stream, ShardCount=shards)
        kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})


def _token() -> str:
    form = {
        "grant_type": "client_credentials", "aud": "tidegate", "scope": "events:write",
        "claims": json.dumps({"tenant_id": "acme"}),
    }
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(os.environ["TOKENS_URL"], body, timeout=60) as answer:
        token: str = json.load(answer)["access_token"]
    return token


def _fill(s3: Any) -> None:
    """Scenes of a satellite, each with its bands and its description, and a day of weather stations."""
    dice = random.Random(1)
    for n in range(SCENES):
        path, row = dice.randint(190, 199), dice.randint(20, 27)
        day = f"2026{dice.randint(1, 11):02}{dice.randint(1, 28):02}"
        scene = f"LC09_L2SP_{path}{row:03}_{day}_{n:02}_T1"
        for band in ("B2", "B3", "B4", "B5", "ST_B10"):
            body = dice.randbytes(dice.randint(2_000, 20_000))
            s3.put_object(Bucket=BUCKET, Key=f"landsat/{path}/{row:03}/{scene}/{scene}_{band}.TIF", Body=body)
        description = {"scene": scene, "cloud_cover": round(dice.random() * 60, 2), "path": path, "row": row}
        key = f"landsat/{path}/{row:03}/{scene}/{scene}_MTL.json"
        s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(description).encode())
    for station in range(STATIONS):
        _put_weather(s3, dice, station, 24)


def _put_weather(s3: Any, dice: random.Random, station: int, hours: int) -> None:
    lines = ["time,temperature_c,wind_ms,pressure_hpa"]
    for hour in range(hours):
        numbers = (dice.gauss(6, 4), abs(dice.gauss(5, 3)), dice.gauss(1013, 8))
        lines.append(f"2026-11-21T{hour:02}:00:00Z," + ",".join(f"{number:.1f}" for number in numbers))
    key = f"weather/2026/11/21/station-{6200 + station:05}.csv"
    s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode())


def _nothing(s3: Any) -> None:
    """The bucket is as it was."""


def _change(s3: Any) -> None:
    dice = random.Random(2)
    for station in range(0, STATIONS, 5):
        _put_weather(s3, dice, station, 12)


def _listed(s3: Any) -> Set[Seen]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {(row["Key"], row["ETag"].strip('"')) for page in pages for row in page["Contents"]}


def _connect(url: str, folder: Path) -> Dict[str, int]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = connect([
            f"--bucket={BUCKET}", "--tenant=acme", f"--gateway={url}", f"--token-file={folder / 'token'}",
            f"--ledger={folder / 'ledger.sqlite'}", "--connections=32",
        ])
    if status:
        raise SystemExit("the connector did not come to its end")
    counts: Dict[str, int] = json.loads(out.getvalue())
    return counts


def _consume(folder: Path) -> List[Dict[str, Any]]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        consume([f"--positions={folder / 'positions.sqlite'}", "--until-idle=2"])
    return [json.loads(line) for line in out.getvalue().splitlines()]


def _tell_cloudwatch(events: int) -> None:
    """Prints the counts that an alarm looks at, once they are there."""

    def count(metric: str) -> int:
        now = datetime.now(timezone.utc)
        answer = boto3.client("cloudwatch").get_metric_statistics(
            Namespace="Tidegate", MetricName=metric, Statistics=["Sum"], Period=300,
            Dimensions=[{"Name": "Stream", "Value": "events-raw"}],
            StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1),
        )
        return int(sum(point["Sum"] for point in answer["Datapoints"]))

    received = eventually("CloudWatch is told", lambda: n if (n := count("events_received")) >= events else 0)
    print(f"CloudWatch counts events_received={received} event_drop={count('event_drop')}")


def _compare(states: Set[Seen], events: List[Dict[str, Any]]) -> int:
    counts = Counter((event["source"]["key"], event["source"]["eTag"]) for event in events)
    twice = [state for state, count in counts.items() if count > 1]
    missing, strange = states - set(counts), set(counts) - states
    foreign = [event for event in events if event["tenantId"] != "acme"]
    print(f"went in: {len(states)} states of objects; came out: {len(counts)}")
    if missing or strange or twice or foreign:
        print(f"missing {sorted(missing)[:3]}, strange {sorted(strange)[:3]}, twice {twice[:3]}, foreign {foreign[:3]}")
        return 1
    print("each is there once, tagged with its tenant")
    return 0


if __name__ == "__main__":
    sys.exit(main())
