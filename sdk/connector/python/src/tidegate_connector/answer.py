"""Reads the gateway's answer and decides what follows from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Union

from .outcome import STATUSES, Finding, Receipt
from .retry import retry_after

_QUOTED_CHARACTERS = 200


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Receipts:
    """As many as events were sent, in their order."""

    list: List[Receipt]
    after_s: Optional[float]


@dataclass(frozen=True)
class Again:
    """The same request may succeed later."""

    why: str
    after_s: Optional[float]


@dataclass(frozen=True)
class Split:
    """Some event makes the whole request unacceptable."""

    why: str


@dataclass(frozen=True)
class Stop:
    """No request can succeed."""

    why: str


Verdict = Union[Receipts, Again, Split, Stop]


def judge(answer: Answer, sent: int, endpoint: str) -> Verdict:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    after_s = _after(body, answer.headers)
    receipts = _receipts(body)
    if receipts is None and endpoint == "single":
        receipts = _single_receipt(body)
    if receipts is not None:
        if len(receipts) != sent:
            return Stop(f"the gateway answered {len(receipts)} receipts for {_events(sent)}")
        asked = [receipt.retry_after_ms for receipt in receipts]
        waits = [ms / 1000 for ms in asked if ms is not None]
        waits.extend([] if after_s is None else [after_s])
        return Receipts(receipts, max(waits) if waits else None)
    why = _problem(body, answer)
    if answer.status in (408, 409, 429) or answer.status >= 500:
        return Again(why, after_s)
    if answer.status in (400, 413, 422):
        return Split(why)
    if answer.status < 300:
        return Stop(f"the answer holds no receipts that can be read ({answer.status})")
    return Stop(why)


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _after(body: Any, headers: Mapping[str, str]) -> Optional[float]:
    millis = body.get("retry_after_ms") if isinstance(body, dict) else None
    if isinstance(millis, int) and not isinstance(millis, bool) and millis >= 0:
        return millis / 1000
    return retry_after(headers.get("retry-after"))


def _receipts(body: Any) -> Optional[List[Receipt]]:
    """The receipts of a body, or nothing where not every one can be read."""
    rows = body.get("receipts") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        return None
    try:
        return [_receipt(row) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _single_receipt(body: Any) -> Optional[List[Receipt]]:
    """The receipt, or a problem that has its members: there `status` is the answer's, and
    `event_status` the event's."""
    if not isinstance(body, dict):
        return None
    try:
        return [_receipt({**body, "status": body.get("event_status", body["status"])})]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _receipt(row: Any) -> Receipt:
    if row["status"] not in STATUSES or not isinstance(row["event_id"], str):
        raise ValueError("not a receipt")
    after = row.get("retry_after_ms")
    return Receipt(
        event_id=row["event_id"],
        received_at=row["received_at"],
        status=row["status"],
        first_status=row.get("first_status"),
        findings=tuple(_finding(finding) for finding in row.get("findings", ())),
        retry_after_ms=None if after is None else int(after),
    )


def _finding(row: Any) -> Finding:
    return Finding(
        rule=row["rule"],
        code=row["code"],
        severity=row["severity"],
        pointer=row.get("pointer"),
        detail=row.get("detail", ""),
    )


def _problem(body: Any, answer: Answer) -> str:
    """A problem of RFC 9457 in one line; where there is none, the status and the text's start."""
    if not isinstance(body, dict) or not isinstance(body.get("title"), str) or not body["title"]:
        text = answer.body.decode(errors="replace").strip()[:_QUOTED_CHARACTERS]
        return f"HTTP status {answer.status}" + (f": {text}" if text else "")
    parts = [body["title"]]
    if body.get("detail"):
        parts.append(f": {body['detail']}")
    if body.get("pointer") is not None:
        parts.append(f" (at {body['pointer']})")
    errors = body.get("errors")
    for part in errors if isinstance(errors, list) else []:
        if isinstance(part, dict):
            parts.append(f"; {part.get('pointer', '')}: {part.get('detail', '')}")
    return "".join(parts)
