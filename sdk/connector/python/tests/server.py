"""An HTTP server on raw sockets whose every answer a test decides, also by breaking the connection."""

from __future__ import annotations

import email.utils
import gzip
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

#: The path for one event.
SINGLE = "/v1/events"
EVENT_ID = "0192d4e5-8a7c-7def-bfff-ffffffffffff"


@dataclass
class Got:
    """A request as the test sees it."""

    connection: int
    method: str
    path: str
    headers: Dict[str, str]
    at: float
    events: Optional[List[Dict[str, Any]]] = None
    """Nothing where the body was not read."""
    answered: float = 0.0


#: Answers a request: what `exchanges.json` has in `server`.
Script = Callable[[int, Got], Mapping[str, Any]]


class Server:
    """Serves on a free port until it is closed."""

    def __init__(
        self, script: Union[Script, List[Mapping[str, Any]]], tls: Optional[ssl.SSLContext] = None
    ) -> None:
        self._tls = tls
        self._replies: List[Mapping[str, Any]] = script if isinstance(script, list) else []
        self.got: List[Got] = []
        self.failures: List[str] = []
        self._script: Script = self._next if isinstance(script, list) else script
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._open: List[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if tls is None else "https"
        self.url = "%s://127.0.0.1:%d" % (scheme, self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while True:
                    got = _head(reader, number)
                    if got is None:
                        return
                    with self._lock:
                        index = len(self.got)
                        self.got.append(got)
                    early = self._early(index)
                    if not early:
                        _body(reader, got)
                    if not self._answer(connection, early or self._script(index, got), got):
                        return
        except OSError:
            return
        except Exception as error:  # The test fails with it.
            self.failures.append(repr(error))

    def _next(self, index: int, _: Got) -> Mapping[str, Any]:
        if index < len(self._replies):
            return self._replies[index]
        return {"status": 404, "text": "the script has ended"}

    def _early(self, index: int) -> Optional[Mapping[str, Any]]:
        """What is answered before the body is read."""
        reply = self._replies[index] if index < len(self._replies) else {}
        return reply if reply.get("early") else None

    def _answer(self, connection: socket.socket, reply: Mapping[str, Any], got: Got) -> bool:
        """False where the connection ends with this."""
        if reply.get("hang"):
            self._ended.wait()
            return False
        if reply.get("break"):
            return False
        self._ended.wait(reply.get("delay_ms", 0) / 1000)
        head, body = render(reply, len(got.events or []), got.path == SINGLE)
        got.answered = time.monotonic()
        if reply.get("cut"):
            connection.sendall(head + body[: len(body) // 2])
            return False
        if "trickle_ms" in reply:
            for byte in body:
                connection.sendall(head + bytes([byte]))
                head = b""
                if self._ended.wait(reply["trickle_ms"] / 1000):
                    return False
            return True
        connection.sendall(head + body)
        return b"Connection: close" not in head


def receipts(given: Any, count: int) -> List[Dict[str, Any]]:
    rows = [given] * count if isinstance(given, str) else given
    base = {"event_id": EVENT_ID, "received_at": "2024-10-29T00:00:00.000Z"}
    return [{**base, **({"status": row} if isinstance(row, str) else row)} for row in rows]


def render(reply: Mapping[str, Any], count: int, is_single: bool = False) -> Tuple[bytes, bytes]:
    """Head and body of an answer."""
    if "text" in reply:
        body = reply["text"].encode()
    else:
        members = dict(reply.get("body", {}))
        if "receipts" in reply and is_single:
            (receipt,) = receipts(reply["receipts"], 1)
            if reply["status"] >= 400:
                receipt["event_status"] = receipt.pop("status")
            members.update(receipt)
        elif "receipts" in reply:
            members["receipts"] = receipts(reply["receipts"], count)
        body = json.dumps(members).encode()
    lines = [f"HTTP/1.1 {reply['status']} It", f"Content-Length: {len(body)}"]
    for name, value in reply.get("headers", {}).items():
        lines.append(f"{name}: {_date(value) or value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body


def _date(value: str) -> Optional[str]:
    words = value.split(" ")
    if words[0] != "in" or words[-1] != "s":
        return None
    return email.utils.formatdate(time.time() + float(words[1]), usegmt=True)


def _head(reader: Any, number: int) -> Optional[Got]:
    line = reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ")
    headers: Dict[str, str] = {}
    for line in iter(reader.readline, b"\r\n"):
        if not line:
            return None
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    return Got(number, method, path, headers, time.monotonic())


def _body(reader: Any, got: Got) -> None:
    body = reader.read(int(got.headers.get("content-length", "0")))
    got.at = time.monotonic()
    encoding = got.headers.get("content-encoding")
    if encoding == "gzip":
        body = gzip.decompress(body)
    elif encoding == "zstd":
        import zstandard

        body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
    got.events = [json.loads(body)] if got.path == SINGLE else json.loads(body)["events"]
