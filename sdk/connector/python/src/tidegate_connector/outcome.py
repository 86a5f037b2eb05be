"""What becomes of events, and what a request came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

#: What a receipt may say. `retry` never reaches an outcome: such events are sent again.
STATUSES = ("accepted", "quarantined", "duplicate", "rejected", "conflict", "retry")


@dataclass(frozen=True)
class Finding:
    """What one rule says of one event."""

    rule: str
    code: str
    severity: str
    pointer: Optional[str] = None
    detail: str = ""


@dataclass(frozen=True)
class Receipt:
    """The gateway's answer for one event."""

    event_id: str
    received_at: str
    status: str
    first_status: Optional[str] = None
    """Of a duplicate: what became of the first."""
    findings: Tuple[Finding, ...] = ()
    retry_after_ms: Optional[int] = None


@dataclass(frozen=True)
class Outcome:
    """One event's end."""

    status: str
    """``accepted``, ``quarantined``, ``duplicate``, ``rejected`` or ``conflict``, as its receipt
    says; ``refused``: no request that holds it is taken, or ``undelivered``: it may be stored or
    not, and sending it again under its key is safe."""

    event: bytes
    """As it was sent."""

    key: Optional[str]
    """Its idempotency key."""

    attempts: int
    """Requests that carried it."""

    receipt: Optional[Receipt] = None
    why: str = ""
    """Of what has no receipt: what went wrong."""

    @property
    def is_taken(self) -> bool:
        """Is it stored?"""
        return self.status in ("accepted", "quarantined", "duplicate")


@dataclass(frozen=True)
class RequestRecord:
    """One request, for metrics."""

    events: int
    attempt: int
    """1 for the first request of these events; more: they are sent again."""
    http_status: int
    """0 where there was no whole answer."""
    event_bytes: int
    body_bytes: int
    """As sent, compressed or not."""
    seconds: float
    receipts: Dict[str, int] = field(default_factory=dict)
    """Receipts by status."""
    held_events: int = 0
    """Events that `Client.send` took and that are not settled, in memory or in the spool."""
    held_bytes: int = 0
