"""Reads a stream shard by shard, the records of each in their order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Set

#: Records of one call; a call brings 10 MB at most.
_MOST_RECORDS = 1000


@dataclass(frozen=True)
class Record:
    shard: str
    sequence: str
    """Grows within a shard."""
    partition_key: str
    data: bytes


@dataclass
class _Place:
    """How far a shard is read."""

    iterator: str
    after: Optional[str]


class Reader:
    """`positions` are the last sequence numbers by shard that were worked on: reading goes on behind them.
    Shards without one are read from `since`, or from the oldest record that the stream has."""

    def __init__(
        self,
        kinesis: Any,
        stream: str,
        positions: Optional[Mapping[str, str]] = None,
        since: Optional[datetime] = None,
    ) -> None:
        self._kinesis = kinesis
        self._stream = stream
        self._positions = dict(positions or {})
        self._since = since
        #: Had some shard more than the last call brought?
        self.is_behind = False
        self._open: Dict[str, _Place] = {}
        self._read: Set[str] = set()
        self._find_shards()

    def poll(self) -> List[Record]:
        """What came since the last call, at most some records of each shard. Empty where there is nothing
        new at the moment; a shard that has more says so by `is_behind`."""
        self.is_behind = False
        records: List[Record] = []
        ended = False
        for shard, place in list(self._open.items()):
            answer = self._get(shard, place)
            for row in answer["Records"]:
                place.after = row["SequenceNumber"]
                records.append(Record(shard, row["SequenceNumber"], row["PartitionKey"], row["Data"]))
            self.is_behind |= bool(answer["Records"]) or answer.get("MillisBehindLatest", 0) > 0
            if answer.get("NextShardIterator"):
                place.iterator = answer["NextShardIterator"]
            else:
                # It was split or merged, and is read to its end: its children are next.
                del self._open[shard]
                self._read.add(shard)
                ended = True
        if ended:
            self._find_shards()
        return records

    def _get(self, shard: str, place: _Place) -> Dict[str, Any]:
        try:
            answer: Dict[str, Any] = self._kinesis.get_records(
                ShardIterator=place.iterator, Limit=_MOST_RECORDS
            )
            return answer
        except self._kinesis.exceptions.ExpiredIteratorException:
            # Five minutes have passed since it was given out.
            place.iterator = self._iterator(shard, place.after)
            return {"Records": [], "NextShardIterator": place.iterator, "MillisBehindLatest": 1}

    def _find_shards(self) -> None:
        """Opens what is not read yet. A shard waits for its parents, so that the records of a key stay in
        their order."""
        listed = {row["ShardId"]: row for row in self._shards()}
        for shard, row in listed.items():
            parents = {row.get("ParentShardId"), row.get("AdjacentParentShardId")} & set(listed)
            if shard not in self._open and shard not in self._read and parents <= self._read:
                after = self._positions.get(shard)
                self._open[shard] = _Place(self._iterator(shard, after), after)

    def _shards(self) -> List[Dict[str, Any]]:
        rows: List[Dict[str, Any]] = []
        words: Dict[str, Any] = {"StreamName": self._stream}
        while True:
            answer = self._kinesis.list_shards(**words)
            rows.extend(answer["Shards"])
            if not answer.get("NextToken"):
                return rows
            words = {"NextToken": answer["NextToken"]}

    def _iterator(self, shard: str, after: Optional[str]) -> str:
        words: Dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if after is not None:
            words = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
        elif self._since is not None:
            words = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._since}
        answer = self._kinesis.get_shard_iterator(StreamName=self._stream, ShardId=shard, **words)
        iterator: str = answer["ShardIterator"]
        return iterator
