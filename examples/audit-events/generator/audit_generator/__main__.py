"""The command line."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, List, Optional

from tidegate_connector import Client, Options, Outcome

from .events import Made, generate

#: Events of one turn: each gateway gets its part of them.
_TURN = 500


def main(arguments: Optional[List[str]] = None) -> int:
    """0 where every event was answered, 1 where one was not."""
    given = _parser().parse_args(arguments)
    key = given.api_key_file.read_text().strip()
    clients = [
        Client(Options(url, api_key=key, key_field="idempotency_key", encoding="gzip"))
        for url in given.gateway
    ]
    counts: Dict[str, int] = Counter(posted=0)
    turn: List[Made] = []
    with open(given.outcomes, "w", encoding="utf-8") as kept:

        def post() -> None:
            for made, outcome in _post(clients, turn):
                counts["posted"] += 1
                counts[outcome.status] += 1
                receipt = outcome.receipt
                row = {
                    "status": outcome.status,
                    "expected": made.expected,
                    "event_id": receipt.event_id if receipt else None,
                    "event": made.body,
                }
                kept.write(json.dumps(row) + "\n")
            turn.clear()

        try:
            for made in generate(given.count, given.seed, given.wrong, given.unreadable, given.repeated):
                turn.append(made)
                if len(turn) == _TURN:
                    post()
            post()
        finally:
            for client in clients:
                client.close()
    print(json.dumps(counts))
    return 1 if counts.get("undelivered") or counts.get("refused") else 0


def _post(clients: List[Client], turn: List[Made]) -> "List[tuple[Made, Outcome]]":
    """Each gateway gets every nth event, as behind a load balancer; what was made before goes after its first,
    which another gateway may have got."""
    first = [made for made in turn if made.expected != "duplicate"]
    again = [made for made in turn if made.expected == "duplicate"]
    rows: "List[tuple[Made, Outcome]]" = []
    for part in (first, again):
        for n, client in enumerate(clients):
            dealt = part[n :: len(clients)]
            rows.extend(zip(dealt, client.post(made.body for made in dealt)))
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="audit_generator", description=__doc__)
    add = parser.add_argument
    add("--gateway", required=True, action="append", metavar="URL", help="may be given several times")
    add("--api-key-file", required=True, type=Path, metavar="FILE")
    add("--count", type=int, default=1000)
    add("--seed", type=int, default=random.SystemRandom().getrandbits(32), help="the same makes the same")
    add("--wrong", type=float, default=0.0, metavar="SHARE", help="of events that break the rules")
    add("--unreadable", type=float, default=0.0, metavar="SHARE",
        help="of events whose time is in another form")
    add("--repeated", type=float, default=0.0, metavar="SHARE", help="of events that are posted twice")
    add("--outcomes", default="/dev/null", metavar="FILE",
        help="a line of JSON for each event: what was expected of it, and what became of it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
