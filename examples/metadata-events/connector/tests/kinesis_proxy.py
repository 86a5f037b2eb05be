"""A proxy before a real Kinesis that throttles, or keeps callers waiting, as the test says: servers for tests do
neither."""

from __future__ import annotations

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Dict, List, Tuple
from urllib.parse import urlsplit

_TOO_MUCH = "ProvisionedThroughputExceededException"


class KinesisProxy:
    """Passes everything on. While `throttled` is set, PutRecords is refused as a whole, or each of its entries
    (`by_entry`); while `held` is set, it waits."""

    def __init__(self, endpoint: str) -> None:
        self.throttled = threading.Event()
        self.by_entry = threading.Event()
        self.puts = 0
        #: Set where a PutRecords waits.
        self.waiting = threading.Event()
        self._go = threading.Event()
        self._go.set()
        proxy, address = self, urlsplit(endpoint)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, text = 0, b""
                if self.headers["x-amz-target"].endswith(".PutRecords"):
                    status, text = proxy._put(body)
                if not status:
                    to = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
                    to.request("POST", self.path, body, dict(self.headers.items()))
                    response = to.getresponse()
                    status, text = response.status, response.read()
                    to.close()
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.1")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def hold(self) -> None:
        self._go.clear()

    def release(self) -> None:
        self._go.set()

    def _put(self, body: bytes) -> Tuple[int, bytes]:
        """The answer, or 0 where the server is to give it."""
        self.puts += 1
        if not self._go.is_set():
            self.waiting.set()
            self._go.wait(60)
        if not self.throttled.is_set():
            return 0, b""
        if not self.by_entry.is_set():
            return 400, json.dumps({"__type": _TOO_MUCH, "message": "Rate exceeded"}).encode()
        entry = {"ErrorCode": _TOO_MUCH, "ErrorMessage": "Rate exceeded"}
        entries: List[Dict[str, str]] = [entry for _ in json.loads(body)["Records"]]
        return 200, json.dumps({"FailedRecordCount": len(entries), "Records": entries}).encode()

    def __enter__(self) -> KinesisProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._server.shutdown()
        self._server.server_close()
