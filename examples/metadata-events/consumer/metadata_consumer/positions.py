"""How far a consumer is: an SQLite file, so that a later run goes on where this one was.

A position is written after the records before it were worked on. A run that is killed in between works on
some records again: whoever minds looks at `tenantId` and `idempotencyKey`, which are the same then.
"""

from __future__ import annotations

import sqlite3
from typing import Dict, Iterable

from .reader import Record


class Positions:
    def __init__(self, path: str, stream: str) -> None:
        self._stream = stream
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS positions (stream TEXT, shard TEXT, sequence TEXT,"
            " PRIMARY KEY (stream, shard)) WITHOUT ROWID"
        )

    def all(self) -> Dict[str, str]:
        """The last sequence number of each shard."""
        rows = self._database.execute(
            "SELECT shard, sequence FROM positions WHERE stream = ?", (self._stream,)
        )
        return dict(rows.fetchall())

    def enter(self, records: Iterable[Record]) -> None:
        """Notes that these were worked on, in the order of their shards. Durable when it returns."""
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                [(self._stream, record.shard, record.sequence) for record in records],
            )

    def close(self) -> None:
        self._database.close()
