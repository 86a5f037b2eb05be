"""What `Client.send` took and nothing has settled yet: in memory, or in the spool. Both are bounded;
where there is no room the sender waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Callable, Deque, List, Optional, Tuple

from .body import batches, cost
from .item import Item
from .event import Event, InvalidEvent, key_of
from .options import Options
from .outcome import Outcome
from .spool import Spool, SpoolError


class Full(Exception):
    """There was no room in the time that was given; the event was not taken."""


class Closed(Exception):
    """The client was closed; the event was not taken."""


class Stopped(Exception):
    """The client takes and delivers nothing more, and the message says why."""


class Queue:
    """What both kinds share: who waits for what, and when a batch is ripe."""

    #: Are undelivered events kept for the next start?
    is_durable = False

    def __init__(self, options: Options) -> None:
        self._options = options
        self._changed = threading.Condition()
        self._closed = False
        self._stopped: Optional[str] = None
        self._hurried = 0
        #: When a batch need not be full any more; nothing while nothing waits.
        self._ripe_at: Optional[float] = None

    def put(self, event: Event, timeout_s: Optional[float]) -> None:
        """Takes an event; waits for room. Raises `Full`, `Closed`, `Stopped` or `InvalidEvent`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                if self._stopped is not None:
                    raise Stopped(self._stopped)
                if self._closed:
                    raise Closed("the client is closed")
                if self._try_put(event):
                    break
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise Full("there is no room for the event")
                self._changed.wait(left)
        self._make_durable()

    def take(self) -> Optional[List[Item]]:
        """The next batch, once it is full or old enough. Nothing: there will be none."""
        with self._changed:
            while self._stopped is None:
                count, size = self._waiting()
                left = self._ripens(count)
                full = count >= self._options.most_events or size >= self._options.batch_bytes
                if count and (full or left <= 0 or self._closed or self._hurried):
                    self._ripe_at = None
                    return self._pop()
                if self._closed and not count and not self.held()[0]:
                    return None
                self._changed.wait(left if count else None)
        return None

    def settle(self, rows: List[Tuple[Item, Outcome]], tell: Callable[[Outcome], None]) -> None:
        """Tells the outcomes, and makes room."""
        raise NotImplementedError

    def held(self) -> Tuple[int, int]:
        """Events and bytes that are not settled."""
        raise NotImplementedError

    def flush(self, timeout_s: Optional[float]) -> bool:
        """Waits until nothing is held; batches are not waited for."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not self.held()[0] or self._stopped is not None, timeout_s
            )
            self._hurried -= 1
            return self._stopped is None and not self.held()[0]

    def close(self) -> None:
        """No more is taken in; what is held goes out without waiting for company."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stop(self, why: str) -> None:
        """Nothing goes in or out any more."""
        with self._changed:
            self._stopped = self._stopped or why
            self._changed.notify_all()

    def release(self) -> List[Item]:
        """Lets go of everything; answers what is lost with it."""
        raise NotImplementedError

    def _try_put(self, event: Event) -> bool:
        raise NotImplementedError

    def _make_durable(self) -> None:
        """What must be done before `put` returns, and not under the lock."""

    def _waiting(self) -> Tuple[int, int]:
        """Events that can be popped, and what they cost."""
        raise NotImplementedError

    def _pop(self) -> List[Item]:
        """The next batch, of at most the count and bytes of one."""
        raise NotImplementedError

    def _ripens(self, count: int) -> float:
        """Seconds until what waits is old enough."""
        if not count:
            return 0.0
        now = time.monotonic()
        if self._ripe_at is None:
            self._ripe_at = now + self._options.batch_age_s
        return self._ripe_at - now


class MemoryQueue(Queue):
    """Held in memory until settled."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._items: Deque[Item] = deque()
        self._bytes = 0
        self._held_events = 0
        self._held_bytes = 0
        self._numbers = 0

    def settle(self, rows: List[Tuple[Item, Outcome]], tell: Callable[[Outcome], None]) -> None:
        for _, outcome in rows:
            tell(outcome)
        with self._changed:
            self._held_events -= len(rows)
            self._held_bytes -= sum(cost(item) for item, _ in rows)
            self._changed.notify_all()

    def held(self) -> Tuple[int, int]:
        return self._held_events, self._held_bytes

    def release(self) -> List[Item]:
        with self._changed:
            items = list(self._items)
            self._items.clear()
            self._bytes = 0
            return items

    def _try_put(self, event: Event) -> bool:
        item = Item(self._numbers, event)
        if cost(item) > self._options.queue_bytes:
            raise InvalidEvent(f"the event is longer than queue_bytes, {self._options.queue_bytes}")
        if (
            self._held_events >= self._options.queue_events
            or self._held_bytes + cost(item) > self._options.queue_bytes
        ):
            return False
        self._numbers += 1
        self._items.append(item)
        self._bytes += cost(item)
        self._held_events += 1
        self._held_bytes += cost(item)
        self._changed.notify_all()
        return True

    def _waiting(self) -> Tuple[int, int]:
        return len(self._items), self._bytes

    def _pop(self) -> List[Item]:
        options = self._options
        batch = next(batches(self._items, options.most_events, options.batch_bytes))
        for item in batch:
            self._items.popleft()
            self._bytes -= cost(item)
        return batch


class SpoolQueue(Queue):
    """Held on disk until settled, also over a crash."""

    is_durable = True

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        assert options.spool is not None
        self._spool = Spool(options.spool, options.spool_bytes)
        #: Torn bytes that were cut from the end when the spool was opened.
        self.torn_bytes = self._spool.torn_bytes

    def settle(self, rows: List[Tuple[Item, Outcome]], tell: Callable[[Outcome], None]) -> None:
        settled = [item.number for item, outcome in rows if outcome.status != "undelivered"]
        for _, outcome in rows:
            if outcome.status != "undelivered":
                tell(outcome)
        with self._changed:
            self._spool.settle(settled)
            self._changed.notify_all()

    def held(self) -> Tuple[int, int]:
        return self._spool.held_events, self._spool.held_bytes

    def release(self) -> List[Item]:
        self._spool.close()
        return []

    def _try_put(self, event: Event) -> bool:
        if not self._spool.fits_ever(event.text):
            raise InvalidEvent("the event is longer than the spool may be")
        return self._spool.append(event.text)

    def _make_durable(self) -> None:
        try:
            self._spool.sync()
        except SpoolError as error:
            self.stop(str(error))
            raise
        with self._changed:
            self._changed.notify_all()

    def _waiting(self) -> Tuple[int, int]:
        return self._spool.waiting()

    def _pop(self) -> List[Item]:
        records = self._spool.read(self._options.most_events, self._options.batch_bytes)
        field = self._options.key_field
        return [Item(number, Event(text, key_of(text, field))) for number, text in records]
