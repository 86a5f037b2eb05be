"""Posts events to a Tidegate gateway: batches, retries, a bounded queue or a spool on disk.

``Client.post`` sends events and answers their outcomes, in order. ``Client.send`` takes an event,
into memory or into the spool, and a thread in the background delivers it; outcomes go to the
callback ``on_outcome``.
"""

from .client import Client, CloseReport
from .event import InvalidEvent
from .options import Options
from .outcome import Finding, Outcome, Receipt, RequestRecord
from .queue import Closed, Full, Stopped
from .spool import SpoolDamaged, SpoolError

__all__ = [
    "Client",
    "CloseReport",
    "Closed",
    "Finding",
    "Full",
    "InvalidEvent",
    "Options",
    "Outcome",
    "Receipt",
    "RequestRecord",
    "SpoolDamaged",
    "SpoolError",
    "Stopped",
]
