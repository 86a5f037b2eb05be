"""The client: `post` delivers in the caller's thread, `send` leaves it to threads in the background."""

from __future__ import annotations

import dataclasses
import threading
import time
from types import TracebackType
from typing import Any, Callable, Iterable, List, Mapping, Optional, Set, Tuple, Type, Union

from .body import batches, encoder
from .delivery import Delivery, Fatal, GaveUp, Settle
from .item import Item
from .event import prepare
from .options import Options
from .outcome import Outcome, RequestRecord
from .queue import MemoryQueue, Queue, SpoolQueue
from .transport import tls_context

AnyEvent = Union[Mapping[str, Any], str, bytes]
_ABORT_TIMEOUT_S = 5.0


@dataclasses.dataclass(frozen=True)
class CloseReport:
    """What `Client.close` leaves behind."""

    undelivered: Tuple[Outcome, ...]
    """Events from memory that were given up because of the deadline."""

    spooled: int
    """Events that stay in the spool, for the next client that opens it."""

    @property
    def is_complete(self) -> bool:
        return not self.undelivered and not self.spooled


class _Posting:
    """What the threads of one `Client.post` share."""

    def __init__(self, batches: Iterable[List[Item]]) -> None:
        self._batches = list(batches)
        self._batches.reverse()
        self._lock = threading.Lock()
        self.count = len(self._batches)
        #: Why the rest is not tried.
        self.failed = ""
        #: What a callback raised.
        self.error: Optional[BaseException] = None

    def next(self) -> Optional[List[Item]]:
        with self._lock:
            return self._batches.pop() if self._batches else None

    def end(self, failed: str, error: Optional[BaseException] = None) -> None:
        with self._lock:
            self._batches.clear()
            self.failed = self.failed or failed
            self.error = self.error or error


class Client:
    """Posts events to one gateway. May be used by several threads."""

    def __init__(self, options: Options) -> None:
        """Raises `ValueError` for options that cannot be used, `SpoolError` for such a spool."""
        options.check()
        self._options = options
        self._encode = encoder(options.encoding)
        self._tls = tls_context(options)
        self._halt = threading.Event()
        self._callbacks = threading.Lock()
        self._closing: Optional[List[Outcome]] = None
        self._idle: List[Delivery] = []
        self._posting: Set[Delivery] = set()
        self._idle_lock = threading.Lock()
        self._closed: Optional[CloseReport] = None
        self._queue: Queue = (
            MemoryQueue(options) if options.spool is None else SpoolQueue(options)
        )
        self._deliveries = [
            self._delivery(self._queue.is_durable, self._queue.stop)
            for _ in range(options.connections)
        ]
        self._threads = [
            threading.Thread(
                target=self._work, args=[delivery], name=f"tidegate-sender-{n}", daemon=True
            )
            for n, delivery in enumerate(self._deliveries)
        ]
        for thread in self._threads:
            thread.start()

    def post(self, events: Iterable[AnyEvent]) -> List[Outcome]:
        """Delivers events and answers their outcomes, in order. Blocks as long as that takes; the
        queue and the spool have no part in it. Requests go over several connections, so events may
        arrive in another order. Where whole requests fail for good, the rest is not tried. Raises `InvalidEvent`, before anything is sent, where an event cannot be sent."""
        field = self._options.key_field
        items = [Item(n, prepare(event, field)) for n, event in enumerate(events)]
        outcomes: List[Optional[Outcome]] = [None] * len(items)

        def settle(rows: List[Tuple[Item, Outcome]]) -> None:
            for item, outcome in rows:
                outcomes[item.number] = outcome

        posting = _Posting(batches(items, self._options.most_events, self._options.batch_bytes))
        helpers = min(self._options.connections, posting.count) - 1
        threads = [
            threading.Thread(
                target=self._post, args=[posting, settle], name=f"tidegate-poster-{n}", daemon=True
            )
            for n in range(helpers)
        ]
        for thread in threads:
            thread.start()
        self._post(posting, settle)
        for thread in threads:
            thread.join()
        if posting.error is not None:
            raise posting.error
        return [
            outcome
            or Outcome(
                "undelivered", item.event.text, item.event.key, 0, None, f"not sent: {posting.failed}"
            )
            for item, outcome in zip(items, outcomes)
        ]

    def _post(self, posting: _Posting, settle: Settle) -> None:
        """Delivers batches until there are none left."""
        with self._idle_lock:
            delivery = self._idle.pop() if self._idle else self._delivery(False, lambda _: None)
            self._posting.add(delivery)
        try:
            for batch in iter(posting.next, None):
                delivery.deliver(batch, settle)
        except (Fatal, GaveUp) as error:
            posting.end(str(error))
        except BaseException as error:
            posting.end(repr(error), error)
        finally:
            with self._idle_lock:
                self._posting.discard(delivery)
                self._idle.append(delivery)

    def send(self, event: AnyEvent, timeout_s: Optional[float] = None) -> Optional[str]:
        """Takes an event and answers its key. With a spool the event is on the disk when this
        returns. Where there is no room it waits, or raises `Full` after the timeout. Raises
        `InvalidEvent`, `Closed`, `Stopped` or `SpoolError` where the event was not taken."""
        prepared = prepare(event, self._options.key_field)
        self._queue.put(prepared, timeout_s)
        return prepared.key

    def flush(self, timeout_s: Optional[float] = None) -> bool:
        """Waits until everything that `send` took is settled. False where that is not so in time, or
        the client has stopped."""
        return self._queue.flush(timeout_s)

    @property
    def held(self) -> Tuple[int, int]:
        """Events, and their bytes, that `send` took and that are not settled."""
        return self._queue.held()

    @property
    def torn_bytes(self) -> int:
        """Bytes that were cut from the end of the spool when it was opened: what a crash left."""
        return self._queue.torn_bytes if isinstance(self._queue, SpoolQueue) else 0

    def close(self, timeout_s: Optional[float] = None) -> CloseReport:
        """Takes nothing more, delivers what is held, and gives up after the timeout (by default the
        option's). Answers what was not delivered."""
        if self._closed is not None:
            return self._closed
        limit = self._options.close_timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit
        self._closing = []
        self._queue.close()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._halt.set()
        self._queue.stop("the client is closed")
        with self._idle_lock:
            posting = self._deliveries + self._idle + list(self._posting)
        for delivery in posting:
            delivery.transport.abort()
        for thread in self._threads:
            thread.join(_ABORT_TIMEOUT_S)
        held = self._queue.held()[0] if self._queue.is_durable else 0
        self._lose(self._queue.release(), "the client was closed before it was sent")
        for delivery in self._deliveries + self._idle:
            delivery.transport.close()
        self._closed = CloseReport(tuple(self._closing), held)
        return self._closed

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _delivery(self, endless: bool, on_fatal: Callable[[str], None]) -> Delivery:
        return Delivery(
            self._options, self._encode, self._halt, self._record, self._tls,
            endless=endless, on_fatal=on_fatal,
        )

    def _work(self, delivery: Delivery) -> None:
        """One sender."""
        try:
            while True:
                items = self._queue.take()
                if items is None:
                    return
                try:
                    delivery.deliver(items, self._settle)
                except GaveUp:
                    pass  # Its events have been told; the next batch has tries of its own.
        except Fatal as error:
            self._stop(str(error))
        except Exception as error:
            # A callback or the spool failed: what comes after would not be accounted for.
            self._stop(f"delivering failed: {error!r}")

    def _stop(self, why: str) -> None:
        self._queue.stop(why)
        self._halt.set()
        if not self._queue.is_durable:
            self._lose(self._queue.release(), f"not sent: {why}")

    def _lose(self, items: List[Item], why: str) -> None:
        self._settle(
            [
                (item, Outcome("undelivered", item.event.text, item.event.key, 0, None, why))
                for item in items
            ]
        )

    def _settle(self, rows: List[Tuple[Item, Outcome]]) -> None:
        if rows:
            self._queue.settle(rows, self._tell)

    def _tell(self, outcome: Outcome) -> None:
        with self._callbacks:
            if outcome.status == "undelivered" and self._closing is not None:
                self._closing.append(outcome)
            if self._options.on_outcome is not None:
                self._options.on_outcome(outcome)

    def _record(self, record: RequestRecord) -> None:
        if self._options.on_request is not None:
            events, size = self._queue.held()
            with self._callbacks:
                self._options.on_request(
                    dataclasses.replace(record, held_events=events, held_bytes=size)
                )
