"""A proxy before the gateway that answers 503 for a while, and tells how far things have come."""

from __future__ import annotations

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable, Dict, List, Optional
from urllib.parse import urlsplit


class Proxy:
    """Passes requests on, with the API key in place of a token. The first `busy` are answered 503, and those
    that `answer` has a status for, by their headers; at request `hold` the test is told, and its answer is kept
    back until the block is left."""

    def __init__(
        self,
        target: str,
        busy: int = 0,
        hold: Optional[int] = None,
        answer: Callable[[Dict[str, str]], int] = lambda _: 0,
        api_key: str = "",
    ) -> None:
        self.statuses: List[int] = []
        self.held = threading.Event()
        self._ended = threading.Event()
        lock = threading.Lock()
        proxy, address = self, urlsplit(target)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    number = len(proxy.statuses)
                    proxy.statuses.append(0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = 503 if number < busy else answer(headers)
                if "authorization" in headers:
                    del headers["authorization"]
                    headers["x-api-key"] = api_key
                if status:
                    text = json.dumps({"title": "not now", "retry_after_ms": 5}).encode()
                else:
                    to = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
                    to.request("POST", self.path, body, headers)
                    response = to.getresponse()
                    status, text = response.status, response.read()
                    to.close()
                proxy.statuses[number] = status
                if number == hold:
                    proxy.held.set()
                    proxy._ended.wait(60)
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
