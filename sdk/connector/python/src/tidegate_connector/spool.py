"""Events on disk until they are settled, also over a kill -9 and a power cut.

The folder holds segments, ``0000000001.segment`` and so on, the file ``position``, and ``lock``. A
segment is the 8 bytes ``TGSPOOL1``, then records: length of the event (4 bytes, little endian), CRC-32
(of zip; 4 bytes, little endian) over these 4 bytes and the event, the event. It is only ever appended
to, and is synced before the event counts as taken. ``position`` is one line, ``TGPOSITION1 SEGMENT
OFFSET``: everything before it is settled. It is replaced by rename, and a segment is deleted once the
position is durably past it.

What is settled beyond the first unsettled event is not noted: after a crash it is sent once more under
its key, and comes back as a duplicate.

Opening cuts a torn tail off the last segment: what is not whole at its end was never synced, or its
last record is damaged, which looks the same. Damage anywhere else, before a whole record, is refused.
Other languages' connectors read and write the same format.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import zlib
from collections import deque
from pathlib import Path
from typing import BinaryIO, Callable, Deque, Dict, Iterator, List, Optional, Set, Tuple, Union

try:
    import fcntl
except ImportError:  # Windows has none; the folder is then not guarded against a second process.
    fcntl = None  # type: ignore[assignment]

HEADER = b"TGSPOOL1"
_MARK = "TGPOSITION1"
_PREFIX = struct.Struct("<II")
_LARGEST_SEGMENT = 8 << 20
_sync = getattr(os, "fdatasync", os.fsync)


class SpoolError(Exception):
    """The disk refuses; the event is not known to be kept."""


class SpoolDamaged(SpoolError):
    """The folder holds something that no crash leaves behind. Nothing was changed in it."""


def record(event: bytes) -> bytes:
    length = struct.pack("<I", len(event))
    return length + struct.pack("<I", zlib.crc32(event, zlib.crc32(length))) + event


class Spool:
    """The folder. `sync` may be called beside the other methods, which take turns."""

    def __init__(self, folder: "Union[str, os.PathLike[str]]", most_bytes: int) -> None:
        self._folder = Path(folder)
        self._most_bytes = most_bytes
        self._segment_bytes = min(_LARGEST_SEGMENT, most_bytes // 4)
        self._broken = ""
        self._file_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._file = -1
        self._last = 1
        self._reader: Optional[Tuple[int, BinaryIO]] = None
        self._settled: Set[int] = set()
        #: Read and unsettled, in order: number, where it ends, length.
        self._open: Deque[Tuple[int, Tuple[int, int], int]] = deque()
        #: Bytes of each segment that is there.
        self._sizes: Dict[int, int] = {}
        self._held_events = self._held_bytes = 0
        #: Bytes that were cut from the end when it was opened: what a crash left.
        self.torn_bytes = 0
        self._position = (1, len(HEADER))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = self._lock()
        try:
            self._cursor = self._recover()
        except BaseException:
            self._lock_file.close()
            raise
        #: Events and bytes (each with a comma) since the start: written, durable, read.
        self._written = (self._held_events, self._held_bytes + self._held_events)
        self._synced, self._read = self._written, (0, 0)

    # What can be asked.

    @property
    def held_events(self) -> int:
        return self._held_events

    @property
    def held_bytes(self) -> int:
        return self._held_bytes

    def waiting(self) -> Tuple[int, int]:
        """Events that are durable and were not read yet, and what a batch of them has in bytes."""
        return self._synced[0] - self._read[0], self._synced[1] - self._read[1]

    def fits_ever(self, event: bytes) -> bool:
        return len(HEADER) + _PREFIX.size + len(event) <= self._most_bytes - len(HEADER)

    # What is done.

    def append(self, event: bytes) -> bool:
        """Writes an event; it is durable after `sync`. False where there is no room."""
        if self._broken:
            raise SpoolError(self._broken)
        data = record(event)
        if not self._make_room(len(data)):
            return False
        end = self._sizes[self._last]
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._cut_back(end)
            raise SpoolError(f"the spool cannot be written: {error}") from error
        self._sizes[self._last] = end + len(data)
        self._held_events += 1
        self._held_bytes += len(event)
        with self._file_lock:
            self._written = (self._written[0] + 1, self._written[1] + len(event) + 1)
        return True

    def sync(self) -> None:
        """Makes durable what was appended before. One call serves all that wait for it."""
        with self._file_lock:
            wanted = self._written[0]
        with self._sync_lock:
            with self._file_lock:
                if self._synced[0] >= wanted:
                    return
                if self._broken:
                    raise SpoolError(self._broken)
                written, file = self._written, os.dup(self._file)
            try:
                self._must(lambda: _sync(file))
            finally:
                os.close(file)
            with self._file_lock:
                self._synced = max(self._synced, written)

    def read(self, most_events: int, most_bytes: int) -> List[Tuple[int, bytes]]:
        """The next events with their numbers; a longer one comes alone."""
        out: List[Tuple[int, bytes]] = []
        size = 0
        while len(out) < most_events and self._read[0] < self._synced[0]:
            number, offset = self._cursor
            # A segment that is gone was read to its end.
            if offset >= self._sizes.get(number, 0):
                self._cursor = (number + 1, len(HEADER))
                continue
            event = self._read_at(number, offset)
            if out and size + len(event) + 1 > most_bytes:
                break
            size += len(event) + 1
            out.append((self._read[0], event))
            self._cursor = (number, offset + _PREFIX.size + len(event))
            self._open.append((self._read[0], self._cursor, len(event)))
            self._read = (self._read[0] + 1, self._read[1] + len(event) + 1)
        return out

    def settle(self, numbers: List[int]) -> None:
        """Moves the position past all events before the first that is not settled."""
        if self._broken:
            raise SpoolError(self._broken)
        self._settled.update(numbers)
        moved = False
        while self._open and self._open[0][0] in self._settled:
            number, self._position, length = self._open.popleft()
            self._settled.remove(number)
            self._held_events -= 1
            self._held_bytes -= length
            moved = True
        if moved:
            number, offset = self._position
            if number < self._last and offset >= self._sizes[number]:
                self._position = (number + 1, len(HEADER))
            self._keep_position()

    def close(self) -> None:
        """Lets go of the folder."""
        self._broken = self._broken or "the spool is closed"
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._reader is not None:
            self._reader[1].close()
            self._reader = None
        self._lock_file.close()

    # How room is made.

    def _make_room(self, needed: int) -> bool:
        size = self._sizes[self._last]
        has_records = size > len(HEADER)
        all_settled = has_records and self._position == (self._last, size)
        rolls = has_records and size + needed > self._segment_bytes
        total = sum(self._sizes.values()) + needed
        if rolls or (all_settled and total > self._most_bytes):
            freed = size if all_settled else 0
            if total + len(HEADER) - freed > self._most_bytes:
                return False
            self._roll()
            return True
        return total <= self._most_bytes

    def _roll(self) -> None:
        """The next segment begins; the last one is complete and durable."""
        # Before there is a next one: what a power cut tears must be the last.
        with self._file_lock:
            self._must(lambda: _sync(self._file))
            self._synced = self._written
        try:
            new = self._create(self._last + 1)
        except OSError as error:
            self._must(lambda: self._path(self._last + 1).unlink(missing_ok=True))
            raise SpoolError(f"the spool cannot be written: {error}") from error
        with self._file_lock:
            old, self._file = self._file, new
            os.close(old)
        was_settled = self._position == (self._last, self._sizes[self._last])
        self._last += 1
        self._sizes[self._last] = len(HEADER)
        if was_settled:
            self._position = (self._last, len(HEADER))
            self._keep_position()

    def _create(self, number: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        file = os.open(self._path(number), flags, 0o600)
        os.write(file, HEADER)
        os.fsync(file)
        self._sync_folder()
        return file

    def _keep_position(self) -> None:
        """Makes the position durable, and deletes the segments before it. On a full disk that is
        left to the next time: what is settled is then only sent once more after a crash."""
        try:
            self._write_position()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return
            self._broken = f"the spool's disk failed: {error}"
            raise SpoolError(self._broken) from error
        for number in [number for number in self._sizes if number < self._position[0]]:
            self._path(number).unlink()
            del self._sizes[number]

    def _write_position(self) -> None:
        new = self._folder / "position.new"
        with open(new, "w", encoding="ascii") as file:
            file.write(f"{_MARK} {self._position[0]} {self._position[1]}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._folder / "position")
        self._sync_folder()

    def _cut_back(self, end: int) -> None:
        try:
            os.ftruncate(self._file, end)
        except OSError as error:
            self._broken = f"the spool cannot be mended after a failed write: {error}"

    def _must(self, work: Callable[[], None]) -> None:
        """What fails here is not tried again: after a failed sync nobody knows what is kept."""
        try:
            work()
        except OSError as error:
            self._broken = f"the spool's disk failed: {error}"
            raise SpoolError(self._broken) from error

    # How it is read.

    def _read_at(self, number: int, offset: int) -> bytes:
        if self._reader is None or self._reader[0] != number:
            if self._reader is not None:
                self._reader[1].close()
            self._reader = (number, open(self._path(number), "rb"))
        file = self._reader[1]
        file.seek(offset)
        length, crc = _PREFIX.unpack(file.read(_PREFIX.size))
        event: bytes = file.read(length)
        if record(event)[4:8] != struct.pack("<I", crc):
            raise SpoolDamaged(f"{self._path(number)} is damaged at byte {offset}")
        return event

    # How it is opened.

    def _lock(self) -> BinaryIO:
        file = open(self._folder / "lock", "ab")
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.close()
                raise SpoolError(f"{self._folder} is in use by another client") from error
        return file

    def _recover(self) -> Tuple[int, int]:
        """Answers where reading begins."""
        numbers = sorted(int(path.name[:10]) for path in self._folder.glob("[0-9]" * 10 + ".segment"))
        position = self._read_position()
        kept = [number for number in numbers if position is None or number >= position[0]]
        first = position[0] if position else (kept[0] if kept else 1)
        if kept and kept != list(range(first, first + len(kept))) or position and not kept:
            raise SpoolDamaged(f"a segment is missing in {self._folder}")
        self._position = position or (first, len(HEADER))
        self._last = kept[-1] if kept else first
        for number in kept:
            self._scan(number)
        for number in set(numbers) - set(kept):
            self._path(number).unlink()
        self._open_last()
        return self._position

    def _read_position(self) -> Optional[Tuple[int, int]]:
        try:
            words = (self._folder / "position").read_text("ascii", "replace").split(" ")
        except FileNotFoundError:
            return None
        if len(words) != 3 or words[0] != _MARK or not words[2].endswith("\n"):
            raise SpoolDamaged(f"the position in {self._folder} cannot be read")
        try:
            return int(words[1]), int(words[2])
        except ValueError as error:
            raise SpoolDamaged(f"the position in {self._folder} cannot be read") from error

    def _scan(self, number: int) -> None:
        """Counts a segment's events, checks them, and finds where it ends."""
        path, is_last = self._path(number), number == self._last
        data = path.read_bytes()
        if data[: len(HEADER)] != HEADER:
            if not is_last or not (HEADER.startswith(data) or not data.strip(b"\0")):
                raise SpoolDamaged(f"{path} has no header of a spool's segment")
            if number == self._position[0] and self._position[1] > len(HEADER):
                raise SpoolDamaged(f"the position in {self._folder} is beyond {path}")
            self.torn_bytes += len(data)
            self._sizes[number] = 0
            return
        start = self._position[1] if number == self._position[0] else len(HEADER)
        end, met_start = len(HEADER), False
        for offset, length in _records(data):
            met_start = met_start or offset == start
            end = offset + _PREFIX.size + length
            if offset >= start:
                self._held_events += 1
                self._held_bytes += length
        is_torn = is_last and end >= start and not _any_whole_from(data, end)
        if end < len(data) and not is_torn:
            raise SpoolDamaged(f"{path} is damaged at byte {end}")
        if not met_start and end != start:
            raise SpoolDamaged(f"the position in {self._folder} is not where an event begins")
        self.torn_bytes += len(data) - end
        self._sizes[number] = end

    def _open_last(self) -> None:
        """Cuts the tail; and what a killed process left in the page cache is not on the disk yet."""
        if self._sizes.get(self._last, 0) < len(HEADER):
            self._file = self._create(self._last)
            self._sizes[self._last] = len(HEADER)
            return
        self._file = os.open(self._path(self._last), os.O_WRONLY | os.O_APPEND)
        os.ftruncate(self._file, self._sizes[self._last])
        os.fsync(self._file)
        self._sync_folder()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:010}.segment"

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _records(data: bytes) -> Iterator[Tuple[int, int]]:
    """Offsets and lengths of events, up to the first that is not whole."""
    offset = len(HEADER)
    while True:
        length = _whole_at(data, offset)
        if not length:
            return
        yield offset, length
        offset += _PREFIX.size + length


def _whole_at(data: bytes, offset: int) -> int:
    """The length of the event of the record that begins here; 0 where there is no whole one."""
    event = offset + _PREFIX.size
    if event > len(data):
        return 0
    length: int
    length, crc = _PREFIX.unpack_from(data, offset)
    if length == 0 or event + length > len(data):
        return 0
    found = zlib.crc32(data[event : event + length], zlib.crc32(data[offset : offset + 4]))
    return length if found == crc else 0


def _any_whole_from(data: bytes, offset: int) -> bool:
    """Does a whole record begin anywhere from here on? None does within an event: JSON has no byte
    0, and lengths below 16 MiB have one."""
    end = len(data.rstrip(b"\0"))
    return any(_whole_at(data, place) for place in range(offset, end))
