"""A real gateway on a data folder of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

_REPOSITORY = Path(__file__).resolve().parents[4]
_START_LIMIT_S = 60

SCHEMA = {
    "type": "object",
    "required": ["idempotencyKey", "n"],
    "properties": {"idempotencyKey": {"type": "string"}, "n": {"type": "integer"}},
}
REVISION = {
    "default_type": "reading",
    "event_types": {"reading": {"schema": "reading", "key": "/idempotencyKey"}},
    "rules": [],
}


def program() -> Path:
    """The gateway's binary: TIDEGATE_PROGRAM, or the one that cargo has built."""
    named = os.environ.get("TIDEGATE_PROGRAM")
    target = os.environ.get("CARGO_TARGET_DIR", str(_REPOSITORY / "target"))
    path = Path(named) if named else Path(target) / "debug" / "tidegate"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: build the gateway, or set TIDEGATE_PROGRAM")
    return path


class Gateway:
    """A gateway with one tenant; killed when the block is left. `options` are words for `serve`, `settings`
    variables of its environment."""

    def __init__(
        self,
        schema: Dict[str, Any] = SCHEMA,
        revision: Dict[str, Any] = REVISION,
        options: Sequence[str] = (),
        settings: Optional[Dict[str, str]] = None,
    ) -> None:
        self._options = options
        self._settings = settings or {}
        self._folder = tempfile.TemporaryDirectory()
        self._data = Path(self._folder.name)
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._addresses = {"ingress": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        try:
            self.start()
            self.api_key = self._prepare(schema, revision)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"http://{self._addresses['ingress']}"

    @property
    def storage(self) -> Path:
        """Where it publishes what is stored."""
        return self._data / "parquet"

    def start(self) -> None:
        """Starts it, on the same ports as before."""
        told = self._data / "addresses.json"
        told.unlink(missing_ok=True)
        environment = {
            **os.environ,
            **self._settings,
            "TIDEGATE_INGRESS__ADDRESS": self._addresses["ingress"],
            "TIDEGATE_ADMIN__ADDRESS": self._addresses["admin"],
            "TIDEGATE_TELEMETRY__METRICS_ADDRESS": "127.0.0.1:0",
        }
        with open(self._data / "gateway.log", "ab") as log:
            self._process = subprocess.Popen(
                [program(), "serve", "--data-dir", self._data, *self._options],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        limit = time.monotonic() + _START_LIMIT_S
        while not self._is_ready(told):
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError((self._data / "gateway.log").read_text())
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, and waits for its end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """SIGTERM: it answers what is in flight and publishes what is stored."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._process = None

    def command(self, *words: str) -> Dict[str, Any]:
        done = subprocess.run(
            [program(), "--data-dir", self._data, "--json", *words],
            capture_output=True, check=False, stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr.decode()}")
        answer: Dict[str, Any] = json.loads(done.stdout)
        return answer

    def _prepare(self, schema: Dict[str, Any], revision: Dict[str, Any]) -> str:
        of = ("--tenant", "edge")
        self.command("tenant", "create", "edge")
        api_key: str = self.command("key", "create", *of, "--name", "tests")["key"]
        (name,) = {route["schema"] for route in revision["event_types"].values()}
        self.command("schema", "put", *of, name, self._file("schema.json", schema))
        self.command("revision", "apply", *of, "--activate", self._file("revision.json", revision))
        return api_key

    def _file(self, name: str, content: Dict[str, Any]) -> str:
        path = self._data / name
        path.write_text(json.dumps(content))
        return str(path)

    def _is_ready(self, told: Path) -> bool:
        try:
            self._addresses = json.loads(told.read_text())
            with urllib.request.urlopen(f"{self.url}/v1/ping", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError, urllib.error.HTTPError):
            return False
