"""How long to wait before the next attempt: exponential with full jitter (Marc Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015), and never shorter than the gateway
asked for."""

from __future__ import annotations

import random
import time
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Optional


def backoff(
    first_delay_s: float,
    max_delay_s: float,
    attempts: int,
    asked_s: Optional[float],
    share: Optional[float] = None,
) -> float:
    """What was asked for, and the jitter on top, so that clients that were told the same do not
    come back at the same moment. `share` is random, 0 to 1."""
    ceiling = min(first_delay_s * 2.0 ** min(attempts - 1, 31), max_delay_s)
    share = random.random() if share is None else share
    return (asked_s or 0.0) + ceiling * share


def retry_after(header: Optional[str], now: Optional[float] = None) -> Optional[float]:
    """Seconds of `Retry-After`, RFC 9110 section 10.2.3: a number of seconds, or a date."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, date.timestamp() - (time.time() if now is None else now))
