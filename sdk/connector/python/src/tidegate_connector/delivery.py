"""Delivers one batch: sends it, and again what is left of it, within the retry policy. A batch that
is refused as a whole is halved until the events that spoil it stand alone."""

from __future__ import annotations

import ssl
import threading
import time
from typing import Callable, Dict, List, Optional, Tuple

from .answer import Again, Answer, Receipts, Split, Stop, Verdict, judge
from .body import Encoder, body, encoded
from .item import Item
from .options import Options, check_credential
from .outcome import Outcome, RequestRecord
from .retry import backoff
from .transport import NoAnswer, Transport

_PATHS = {"batch": "/v1/events/batch", "single": "/v1/events"}
#: Rows that were settled by one answer, with their outcomes.
Settle = Callable[[List[Tuple[Item, Outcome]]], None]
Record = Callable[[RequestRecord], None]


class Fatal(Exception):
    """No request can succeed; the events that it was about are settled as undelivered."""


class GaveUp(Exception):
    """Whole requests failed for as long as the policy allows; their events are settled."""


class Delivery:
    """What delivers batches over one connection."""

    def __init__(
        self,
        options: Options,
        encode: Encoder,
        halt: threading.Event,
        record: Record,
        tls: Optional[ssl.SSLContext],
        *,
        endless: bool,
        on_fatal: Callable[[str], None],
    ) -> None:
        """`endless`: it never gives up. `on_fatal`: told that no request can succeed, before the
        events are settled."""
        self._options = options
        self._encode = encode
        self._halt = halt
        self._record = record
        self._endless = endless
        self._on_fatal = on_fatal
        self._renew = False
        self._path = _PATHS[options.endpoint]
        self.transport = Transport(options.url, tls)

    def deliver(self, items: List[Item], settle: Settle) -> None:
        """Settles every item. Raises `Fatal` or `GaveUp` after that, where the next batch would
        fare no better."""
        started = time.monotonic()
        parts = [items]
        while parts:
            try:
                parts.extend(reversed(self._part(parts.pop(), started, settle)))
            except (Fatal, GaveUp) as error:
                for part in parts:
                    _undelivered(part, str(error), settle)
                raise

    def _part(self, items: List[Item], started: float, settle: Settle) -> List[List[Item]]:
        """Answers both halves, where it must be cut."""
        attempts = 0
        while True:
            attempts += 1
            verdict = self._attempt(items, attempts, started)
            if self._halt.is_set() and not isinstance(verdict, Receipts):
                _undelivered(items, "the client ended before the answer came", settle)
                return []
            if isinstance(verdict, Receipts):
                items = _sort(items, verdict, settle)
                if not items:
                    return []
                whole, why = False, "its receipt says `retry`"
            elif isinstance(verdict, Split):
                if len(items) > 1:
                    middle = len(items) // 2
                    return [items[:middle], items[middle:]]
                settle([(items[0], _without_receipt(items[0], "refused", verdict.why))])
                return []
            elif isinstance(verdict, Stop):
                self._on_fatal(verdict.why)
                _undelivered(items, verdict.why, settle)
                raise Fatal(verdict.why)
            else:
                whole, why = True, verdict.why
            delay, exhausted = self._delay(attempts, verdict.after_s, started)
            if exhausted:
                _undelivered(items, f"{why} ({exhausted})", settle)
                if whole:
                    raise GaveUp(f"{why} ({exhausted})")
                return []
            if self._halt.wait(delay):
                _undelivered(items, f"the client ended while it waited: {why}", settle)
                return []

    def _delay(self, attempts: int, asked_s: Optional[float], started: float) -> Tuple[float, str]:
        """The wait before the next attempt, or why there is none."""
        options = self._options
        delay = backoff(options.first_delay_s, options.max_delay_s, attempts, asked_s)
        if self._endless:
            return delay, ""
        if attempts >= options.max_attempts:
            return 0, f"after {attempts} attempts"
        if time.monotonic() + delay >= started + options.max_elapsed_s:
            asked = "" if asked_s is None else f"; it asked to wait {asked_s * 1000:.0f} ms"
            return 0, f"within the {options.max_elapsed_s * 1000:.0f} ms allowed{asked}"
        return delay, ""

    def _attempt(self, items: List[Item], attempt: int, started: float) -> Verdict:
        for item in items:
            item.attempts += 1
        limit = self._options.request_timeout_s
        if not self._endless:
            left = started + self._options.max_elapsed_s - time.monotonic()
            limit = max(0.001, min(limit, left))
        data = body(items, self._options.endpoint)
        event_bytes = sum(len(item.event.text) for item in items)
        sent, encoding = encoded(data, self._options.encoding, self._encode)
        begun = time.monotonic()
        answer: Optional[Answer] = None
        verdict: Verdict
        try:
            answer = self.transport.post(self._path, self._headers(encoding), sent, limit)
            verdict = self._judge(answer, len(items))
        except NoAnswer as error:
            verdict = Again(str(error), None)
        counts: Dict[str, int] = {}
        for receipt in verdict.list if isinstance(verdict, Receipts) else []:
            counts[receipt.status] = counts.get(receipt.status, 0) + 1
        seconds = time.monotonic() - begun
        status = answer.status if answer else 0
        self._record(
            RequestRecord(len(items), attempt, status, event_bytes, len(sent), seconds, counts)
        )
        return verdict

    def _judge(self, answer: Answer, sent: int) -> Verdict:
        verdict = judge(answer, sent, self._options.endpoint)
        if answer.status != 401 or self._options.token is None:
            self._renew = False
        elif not self._renew and isinstance(verdict, Stop):
            # The token may have expired; the next request asks for another.
            self._renew = True
            return Again(verdict.why, None)
        return verdict

    def _headers(self, encoding: str) -> Dict[str, str]:
        headers = {"content-type": "application/json", "user-agent": "tidegate-connector-python"}
        if encoding != "identity":
            headers["content-encoding"] = encoding
        if self._options.token is not None:
            headers["authorization"] = f"Bearer {self._token(self._options.token)}"
        elif self._options.api_key is not None:
            headers["x-api-key"] = self._options.api_key
        return headers

    def _token(self, token: Callable[[bool], str]) -> str:
        try:
            return check_credential(token(self._renew))
        except Exception as error:
            # Who gives out tokens may be away for a while, as the gateway may.
            raise NoAnswer(f"there is no token: {error}") from error


def _sort(items: List[Item], receipts: Receipts, settle: Settle) -> List[Item]:
    """Settles what has its receipt; answers what is to be sent again."""
    settled: List[Tuple[Item, Outcome]] = []
    left: List[Item] = []
    for item, receipt in zip(items, receipts.list):
        if receipt.status == "retry":
            left.append(item)
        else:
            event = item.event
            outcome = Outcome(receipt.status, event.text, event.key, item.attempts, receipt)
            settled.append((item, outcome))
    settle(settled)
    return left


def _without_receipt(item: Item, status: str, why: str) -> Outcome:
    return Outcome(status, item.event.text, item.event.key, item.attempts, None, why)


def _undelivered(items: List[Item], why: str, settle: Settle) -> None:
    settle([(item, _without_receipt(item, "undelivered", why)) for item in items])
