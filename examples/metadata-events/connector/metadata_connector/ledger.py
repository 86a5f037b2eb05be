"""What was posted: an SQLite file, so that a later run posts only what is new or has changed.

The gateway remembers idempotency keys for an hour; the ledger remembers objects for good. An object is
entered after its receipt came, so a run that is killed in between posts the events of one page again,
under the same keys.
"""

from __future__ import annotations

import sqlite3
from typing import Iterable, List, Tuple

from .event import S3Object


class Ledger:
    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS posted (bucket TEXT, key TEXT, etag TEXT, status TEXT,"
            " PRIMARY KEY (bucket, key)) WITHOUT ROWID"
        )

    def missing(self, objects: Iterable[S3Object]) -> List[S3Object]:
        """Those that were not posted with this content."""
        known = "SELECT 1 FROM posted WHERE bucket = ? AND key = ? AND etag = ?"
        return [
            found
            for found in objects
            if not self._database.execute(known, (found.bucket, found.key, found.etag)).fetchone()
        ]

    def enter(self, rows: Iterable[Tuple[S3Object, str]]) -> None:
        """Notes objects with what became of their events. Durable when it returns."""
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO posted VALUES (?, ?, ?, ?)",
                [(found.bucket, found.key, found.etag, status) for found, status in rows],
            )

    def close(self) -> None:
        self._database.close()
