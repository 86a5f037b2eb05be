"""The command line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import List, Optional

import boto3  # type: ignore[import-untyped, unused-ignore]
from tidegate_connector import Client, Options, Outcome

from .event import S3Object
from .ledger import Ledger
from .run import pages, run


def main(arguments: Optional[List[str]] = None) -> int:
    """0 where everything that was listed has come to its end, 1 where it is to be run again."""
    given = _parser().parse_args(arguments)
    key, token = given.api_key_file, given.token_file
    options = Options(
        given.gateway,
        api_key=key.read_text().strip() if key else None,
        # Read for each request: what renews the token writes it there.
        token=(lambda _refused: str(token.read_text()).strip()) if token else None,
        ca_file=given.ca_file,
        identity=given.identity,
        endpoint="single",
        encoding="gzip",
        connections=given.connections,
        max_attempts=1 << 31,
        max_elapsed_s=given.max_elapsed,
        max_delay_s=given.max_delay,
    )
    s3 = boto3.client("s3", endpoint_url=given.endpoint_url)
    ledger = Ledger(given.ledger)
    try:
        with Client(options) as client:
            objects = pages(s3, given.bucket, given.prefix)
            counts, complete = run(objects, client, ledger, given.tenant, _tell)
    finally:
        ledger.close()
    print(json.dumps(dict(counts)))
    return 0 if complete else 1


def _tell(found: S3Object, outcome: Outcome) -> None:
    findings = outcome.receipt.findings if outcome.receipt else ()
    why = "; ".join(f"{f.rule}: {f.code} {f.pointer or ''} {f.detail}" for f in findings)
    print(f"{outcome.status}: {found.bucket}/{found.key}: {why or outcome.why}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="metadata_connector", description=__doc__)
    add = parser.add_argument
    add("--bucket", required=True)
    add("--prefix", default="", help="only objects whose keys begin with this")
    add("--endpoint-url", help="an S3 server other than Amazon's")
    add("--gateway", required=True, metavar="URL")
    add("--tenant", required=True, help="the tenant that the credential belongs to")
    credential = parser.add_mutually_exclusive_group(required=True)
    credential.add_argument("--api-key-file", type=Path, metavar="FILE")
    credential.add_argument("--token-file", type=Path, metavar="FILE", help="a bearer token (JWT)")
    add("--ca-file", metavar="PEM", help="authorities that are trusted beside the system's")
    add("--identity", nargs=2, metavar=("PEM", "KEY"), help="a client's certificate and its key")
    add("--connections", type=int, default=8, metavar="COUNT", help="requests at once, default 8")
    add("--ledger", required=True, metavar="FILE", help="what was posted; made where it is missing")
    add("--max-elapsed", type=float, default=600.0, metavar="SECONDS",
        help="how long one batch is tried, default 600")
    add("--max-delay", type=float, default=10.0, metavar="SECONDS",
        help="where the doubling of the wait between two tries stops, default 10")
    return parser


if __name__ == "__main__":
    sys.exit(main())
