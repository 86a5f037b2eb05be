"""The command line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import OrderedDict
from datetime import datetime
from typing import Dict, List, Optional, Tuple

import boto3  # type: ignore[import-untyped, unused-ignore]

from .positions import Positions
from .reader import Reader

#: A shard may be asked five times in a second.
_PAUSE_S = 0.25
#: So many keys are remembered, to tell a record that was stored twice.
_MOST_KEYS = 100_000


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs until it is ended, or until there is nothing new for some time."""
    given = _parser().parse_args(arguments)
    kinesis = boto3.client("kinesis", endpoint_url=given.endpoint_url)
    positions = Positions(given.positions, given.stream)
    counts: Dict[str, int] = {"events": 0, "repeated": 0}
    try:
        fresh = given.replay or given.since is not None
        reader = Reader(kinesis, given.stream, {} if fresh else positions.all(), given.since)
        seen: "OrderedDict[Tuple[str, str], None]" = OrderedDict()
        quiet_since = time.monotonic()
        while given.until_idle is None or time.monotonic() - quiet_since < given.until_idle:
            records = reader.poll()
            for record in records:
                event = json.loads(record.data)
                key = (event["tenantId"], event["idempotencyKey"])
                # The stream has each event at least once.
                counts["repeated" if key in seen else "events"] += 1
                if key not in seen:
                    print(json.dumps(event, ensure_ascii=False), flush=True)
                seen[key] = None
                if len(seen) > _MOST_KEYS:
                    seen.popitem(last=False)
            positions.enter(records)
            if reader.is_behind:
                quiet_since = time.monotonic()
            else:
                time.sleep(_PAUSE_S)
    except KeyboardInterrupt:
        pass
    finally:
        positions.close()
    print(json.dumps(counts), file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="metadata_consumer", description=__doc__)
    add = parser.add_argument
    add("--stream", default="events-raw")
    add("--endpoint-url", help="a server other than Amazon's")
    add("--positions", required=True, metavar="FILE", help="how far it is; made where it is missing")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--replay", action="store_true", help="from the oldest record that the stream has")
    start.add_argument("--since", type=datetime.fromisoformat, metavar="TIME",
        help="from this time on, such as 2026-11-22T08:00:00+00:00")
    add("--until-idle", type=float, metavar="SECONDS", help="end when nothing came for so long")
    return parser


if __name__ == "__main__":
    sys.exit(main())
