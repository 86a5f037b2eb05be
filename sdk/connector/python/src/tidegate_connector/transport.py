"""One HTTP/1.1 connection that is kept alive, with a limit on the time of the whole exchange."""

from __future__ import annotations

import http.client
import io
import selectors
import socket
import ssl
import threading
import time
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

from .answer import Answer
from .options import Options

_MOST_ANSWER_BYTES = 64 << 20
_CONNECT_TIMEOUT_S = 10.0


class NoAnswer(Exception):
    """There is no whole answer; the same request may succeed later."""


def tls_context(options: Options) -> Optional[ssl.SSLContext]:
    """What `https://` is spoken with. Raises `ValueError` where a file cannot be used."""
    if urlsplit(options.url).scheme != "https":
        return None
    context = ssl.create_default_context()
    try:
        if options.ca_file is not None:
            context.load_verify_locations(options.ca_file)
    except OSError as error:
        raise ValueError(f"ca_file {options.ca_file} cannot be used: {error}") from error
    if options.identity is not None:
        certificate, key = options.identity
        try:
            # Where a password is needed, nobody is asked for it.
            context.load_cert_chain(certificate, key, password="")
        except OSError as error:
            raise ValueError(f"identity {certificate}, {key} cannot be used: {error}") from error
    return context


class Transport:
    """Asks one gateway, one request at a time. `abort` may be called by another thread."""

    def __init__(self, url: str, tls: Optional[ssl.SSLContext]) -> None:
        parts = urlsplit(url)
        self._connection = (
            http.client.HTTPConnection(parts.hostname or "", parts.port)
            if tls is None
            else http.client.HTTPSConnection(parts.hostname or "", parts.port, context=tls)
        )
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path.rstrip("/")
        self._socket: Optional[_TimedSocket] = None
        self._aborted = False
        self._lock = threading.Lock()

    def post(self, path: str, headers: Dict[str, str], body: bytes, limit_s: float) -> Answer:
        """Raises `NoAnswer` where there is no whole answer within the limit."""
        deadline = time.monotonic() + limit_s
        try:
            self._connect(deadline)
            try:
                self._connection.request("POST", self._path + path, body, headers)
            except (BrokenPipeError, ConnectionResetError):
                # Who refuses a body does not read it to its end; the answer may be there already.
                pass
            response = self._connection.getresponse()
            data = response.read(_MOST_ANSWER_BYTES + 1)
            if len(data) > _MOST_ANSWER_BYTES:
                raise http.client.HTTPException("the answer is too large")
            if response.length:
                # A read of limited length does not complain of an early end itself.
                raise http.client.IncompleteRead(data, response.length)
            if response.will_close:
                self._drop()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, data)
        except socket.timeout as error:
            self._drop()
            raise NoAnswer(f"no answer from {self._base} within {limit_s * 1000:.0f} ms") from error
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise NoAnswer(f"no whole answer from {self._base}: {error!r}") from error

    def abort(self) -> None:
        """Ends the exchange that is under way, and every later one."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                self._socket.abort()

    def close(self) -> None:
        self._drop()

    def _connect(self, deadline: float) -> None:
        if self._socket is not None and self._socket.is_stale():
            self._drop()
        if self._socket is None:
            self._connection.timeout = max(0.001, min(_CONNECT_TIMEOUT_S, deadline - time.monotonic()))
            self._connection.connect()
            with self._lock:
                self._socket = _TimedSocket(self._connection.sock)
                self._connection.sock = self._socket
        self._socket.deadline = deadline
        with self._lock:
            if self._aborted:
                raise OSError("the client was closed")

    def _drop(self) -> None:
        with self._lock:
            self._connection.close()
            self._socket = None


class _TimedSocket:
    """What `http.client` uses of a socket, with one deadline over all calls: the socket's own
    timeout starts anew with each byte."""

    def __init__(self, inner: socket.socket) -> None:
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._inner = inner
        self.deadline = 0.0

    def sendall(self, data: Any) -> None:
        self._set_timeout()
        self._inner.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def receive(self, buffer: Any) -> int:
        self._set_timeout()
        return self._inner.recv_into(buffer)

    def close(self) -> None:
        self._inner.close()

    def abort(self) -> None:
        try:
            self._inner.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It has ended by itself.

    def is_stale(self) -> bool:
        """Between two exchanges nothing may arrive but the other side's end."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._inner, selectors.EVENT_READ)
            return bool(selector.select(0))

    def _set_timeout(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._inner.settimeout(left)


class _Reader(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.receive(buffer)
