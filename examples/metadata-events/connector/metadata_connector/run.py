"""One run: lists the bucket page by page, and posts what is missing in the ledger."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Iterator, List, Tuple

from tidegate_connector import Client, Outcome

from .event import S3Object, metadata_event
from .ledger import Ledger

#: What ends an event: posting it again would change nothing.
_ENDS = ("accepted", "quarantined", "duplicate", "rejected", "conflict", "refused")


def pages(s3: Any, bucket: str, prefix: str) -> Iterator[List[S3Object]]:
    """The objects of a bucket, up to 1000 at once, in the order of their keys."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield [
            S3Object(bucket, row["Key"], row["Size"], row["ETag"].strip('"'), row["LastModified"])
            for row in page.get("Contents", [])
        ]


def run(
    objects: Iterator[List[S3Object]],
    client: Client,
    ledger: Ledger,
    tenant: str,
    tell: Callable[[S3Object, Outcome], None],
) -> "Tuple[Counter[str], bool]":
    """Answers counts, and whether everything that was listed has come to its end. `tell` gets each
    event that was not stored."""
    counts: "Counter[str]" = Counter()
    for page in objects:
        counts["listed"] += len(page)
        missing = ledger.missing(page)
        outcomes = client.post(metadata_event(found, tenant) for found in missing)
        rows = list(zip(missing, outcomes))
        ledger.enter((found, o.status) for found, o in rows if o.status in _ENDS)
        for found, outcome in rows:
            counts[outcome.status] += 1
            if not outcome.is_taken:
                tell(found, outcome)
        if counts["undelivered"]:
            return counts, False
    return counts, True
