"""A real gateway on a data folder of its own and on free ports, with the settings of an example."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, TypeVar

from .asking import PATIENCE_S, ask
from .services import program

#: Of the environment, what a gateway of a test is to hear of from the test alone.
_OURS = ("TIDEGATE_", "AWS_")


G = TypeVar("G", bound="Gateway")


class Gateway:
    """Killed when the block is left. `settings` are variables of its environment."""

    def __init__(self, config: Path, settings: Mapping[str, str]) -> None:
        self._config = config
        self._settings = dict(settings)
        self._folder = tempfile.TemporaryDirectory()
        self.data = Path(self._folder.name)
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._addresses = {name: "127.0.0.1:0" for name in ("ingress", "admin", "metrics")}
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self: G) -> G:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"http://{self._addresses['ingress']}"

    def start(self) -> None:
        """Starts it, on the same ports as before."""
        told = self.data / "addresses.json"
        told.unlink(missing_ok=True)
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(_OURS)}
        environment = {
            **inherited,
            "TIDEGATE_INGRESS__ADDRESS": self._addresses["ingress"],
            "TIDEGATE_ADMIN__ADDRESS": self._addresses["admin"],
            "TIDEGATE_TELEMETRY__METRICS_ADDRESS": self._addresses["metrics"],
            **self._settings,
        }
        with open(self.data / "gateway.log", "ab") as log:
            begins = log.tell()
            self._process = subprocess.Popen(
                [program(), "serve", "--config", self._config, "--data-dir", self.data],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        limit = time.monotonic() + PATIENCE_S
        while '"gateway ready"' not in self.log_text()[begins:]:
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(self.log_text())
            time.sleep(0.02)
        addresses = json.loads(told.read_text())
        self._addresses = {name: addresses[name] for name in self._addresses}

    def kill(self) -> None:
        """SIGKILL, and waits for its end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """SIGTERM: it answers what is in flight, and sinks get what is durable."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE_S)
        self._process = None

    def command(self, *words: str) -> Any:
        """What an admin command answers, as JSON."""
        done = subprocess.run(
            [program(), "--data-dir", self.data, "--json", *words],
            capture_output=True, check=False, stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr.decode()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def status(self, path: str = "/v1/status") -> Any:
        """What the node says of itself, or of another thing that an administrator may ask for."""
        token = (self.data / "admin-token").read_text().strip()
        url = f"http://{self._addresses['admin']}"
        return ask(url, "GET", path, {"authorization": f"Bearer {token}"}).json

    def metrics(self) -> str:
        """The page for Prometheus."""
        return ask(f"http://{self._addresses['metrics']}", "GET", "/metrics").text

    def metric(self, series: str) -> float:
        """The value of one series, with its labels."""
        for line in self.metrics().splitlines():
            if line.startswith(series + " "):
                return float(line.split()[-1])
        raise AssertionError(f"there is no {series}")

    def log_text(self) -> str:
        return (self.data / "gateway.log").read_bytes().decode(errors="replace")

    def log(self) -> List[Dict[str, Any]]:
        """The lines of its log, each of which is JSON."""
        return [json.loads(line) for line in self.log_text().splitlines()]

    def warnings(self) -> List[str]:
        return [line["fields"]["message"] for line in self.log() if line["level"] in ("WARN", "ERROR")]
