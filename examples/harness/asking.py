"""One HTTP request, as bytes: what comes back is not interpreted by a client library."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, TypeVar
from urllib.parse import urlsplit

#: How long anything may take. The machine may have other work.
PATIENCE_S = 120.0


class Answer(NamedTuple):
    status: int
    headers: Dict[str, str]
    """Names in lower case."""
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(
    url: str, method: str, path: str, headers: Optional[Mapping[str, str]] = None, body: Any = None
) -> Answer:
    """`body` is sent as JSON, bytes as they are."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE_S)
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    all_headers = {"content-type": "application/json", **(headers or {})}
    try:
        connection.request(method, path, sent, all_headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    names = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, names, text)


T = TypeVar("T")


def eventually(what: str, look: Callable[[], Optional[T]], patience_s: float = PATIENCE_S) -> T:
    """Looks until there is something to see that is not false, and answers it."""
    limit = time.monotonic() + patience_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > limit:
            raise AssertionError(f"never: {what} (last seen: {seen!r})")
        time.sleep(0.05)
