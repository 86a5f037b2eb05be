"""What a client is told: where to, how much at once, how long to try. Checked once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Callable, Optional, Tuple, Union
from urllib.parse import urlsplit

from .outcome import Outcome, RequestRecord

ENDPOINTS = ("batch", "single")
ENCODINGS = ("identity", "gzip", "zstd")


@dataclass(frozen=True)
class Options:
    """Everything that a `Client` needs to know. Times are seconds."""

    url: str
    """``http://HOST:PORT`` or ``https://HOST:PORT`` of the gateway, with or without a path before
    the API's own."""

    ca_file: Optional[Union[str, "os.PathLike[str]"]] = None
    """A PEM file with certificates of authorities that are trusted beside the system's."""

    identity: Optional[Tuple[Union[str, "os.PathLike[str]"], Union[str, "os.PathLike[str]"]]] = None
    """PEM files of a client's certificate (then those between it and the authority's) and of its
    key without a password, for a gateway that asks for one."""

    api_key: Optional[str] = field(default=None, repr=False)
    """A producer's key. Give this or `token`."""

    token: Optional[Callable[[bool], str]] = None
    """Answers a bearer token, before each request; called with ``True`` after the last one was
    refused with 401. May block, and may be called by several threads."""

    key_field: Optional[str] = "idempotencyKey"
    """The member of an event that holds its idempotency key: the one that the tenant's revision
    points at. An event without it gets one when it is accepted. ``None``: events go as they are,
    and one that is sent again may be stored twice."""

    endpoint: str = "batch"
    """``batch``: ``POST /v1/events/batch``, many events per request; or ``single``: ``POST
    /v1/events``, one event per request."""

    batch_events: int = 100
    """Events per request, 1 to 1000. Always 1 for ``single``."""

    batch_bytes: int = 1 << 20
    """Bytes of events per request; a longer event goes alone."""

    batch_age_s: float = 0.05
    """How long `Client.send` lets events wait for others to fill their batch."""

    connections: int = 4
    """Requests at once, 1 to 64: of `Client.send` together, and of each `Client.post`."""

    encoding: str = "identity"
    """How bodies of 1024 bytes or more are compressed: ``identity``, ``gzip`` or ``zstd``."""

    request_timeout_s: float = 30.0
    """How long one request may take, from the connection to the last byte of the answer."""

    max_attempts: int = 10
    """How often an event is sent at most, the first time included. Not for spooled events: they
    are tried until they are settled."""

    max_elapsed_s: float = 120.0
    """How long one batch is tried at most, waiting included. Not for spooled events."""

    first_delay_s: float = 0.1
    """The wait before the second attempt is random between 0 and this, doubled each attempt."""

    max_delay_s: float = 10.0
    """The doubling stops here."""

    queue_events: int = 10_000
    """Events that `Client.send` keeps in memory, without a spool, until they are settled."""

    queue_bytes: int = 64 << 20
    """Bytes of these events."""

    spool: Optional[Union[str, "os.PathLike[str]"]] = None
    """Folder of the spool, made where it is missing. It belongs to one client at a time."""

    spool_bytes: int = 1 << 30
    """What the spool's segments may have on disk, 4 KiB or more."""

    close_timeout_s: float = 30.0
    """How long leaving the ``with`` block waits for what is not delivered yet."""

    on_outcome: Optional[Callable[[Outcome], None]] = None
    """Called once for each event that `Client.send` took and that has come to its end. Calls
    do not overlap. A spooled event is taken from the spool when this has returned."""

    on_request: Optional[Callable[[RequestRecord], None]] = None
    """Called after each request, with what metrics are made of. Calls do not overlap."""

    @property
    def most_events(self) -> int:
        """Events of one request."""
        return 1 if self.endpoint == "single" else self.batch_events

    def check(self) -> None:
        """Raises `ValueError` where an option is out of its bounds."""
        url = urlsplit(self.url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"`{self.url}` is no address of a gateway; write http://HOST:PORT")
        if url.query or url.fragment or "@" in url.netloc:
            raise ValueError("the address has a query, a fragment or a user name in it")
        if url.scheme == "http" and (self.ca_file is not None or self.identity is not None):
            # Who gives these does not mean to send a credential in the clear.
            raise ValueError("certificates are given, which are for https://")
        if (self.api_key is None) == (self.token is None):
            raise ValueError("give one of api_key and token")
        if self.api_key is not None:
            check_credential(self.api_key)
        if self.endpoint not in ENDPOINTS:
            raise ValueError(f"endpoint must be one of {', '.join(ENDPOINTS)}")
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding must be one of {', '.join(ENCODINGS)}")
        if self.key_field == "":
            raise ValueError("key_field is empty; None is for events without a key")
        for name, least, most in (
            ("batch_events", 1, 1000),
            ("batch_bytes", 1, 1 << 30),
            ("batch_age_s", 0, 3600),
            ("connections", 1, 64),
            ("request_timeout_s", 0.001, 3600),
            ("max_attempts", 1, 1 << 31),
            ("max_elapsed_s", 0, 1e9),
            ("first_delay_s", 0, 3600),
            ("max_delay_s", 0, 86400),
            ("queue_events", 1, 1 << 31),
            ("queue_bytes", 1, 1 << 40),
            ("spool_bytes", 4096, 1 << 50),
            ("close_timeout_s", 0, 1e9),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} must be {least} to {most}, not {value}")


def check_credential(text: str) -> str:
    """The text, where a header can carry it."""
    if not text or any(not 0x21 <= ord(character) <= 0x7E for character in text):
        raise ValueError("the credential holds characters that no header can carry")
    return text
