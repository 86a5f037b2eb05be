"""Servers that a test stops, kills and starts again: processes of their own on free ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import List, Optional, TypeVar

from .asking import PATIENCE_S

_PASSWORD = "s3cr3t-foam"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


S = TypeVar("S", bound="Server")


class Server:
    """Killed when the block is left, with what it has stored."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.port = free_port()
        self._process: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        self._folder.cleanup()

    def command(self) -> List[str]:
        raise NotImplementedError

    def serves(self) -> bool:
        """Does it serve, since its last start?"""
        raise NotImplementedError

    def start(self) -> None:
        """Starts it, or starts it again with what it has on its disk."""
        with open(self.folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        limit = time.monotonic() + PATIENCE_S
        while not self.serves():
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(self.log())
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends it at once: connections are cut, new ones are refused."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """It stands still: connections stay, and nothing is answered."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def log(self) -> str:
        return (self.folder / "log").read_bytes().decode(errors="replace")


class Redis(Server):
    """Keeps every write on its disk before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.start()

    @property
    def url(self) -> str:
        return f"redis://:{_PASSWORD}@127.0.0.1:{self.port}/0"

    def command(self) -> List[str]:
        return [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
            "--dir", str(self.folder), "--requirepass", _PASSWORD, "--appendonly", "yes",
            "--appendfsync", "always", "--maxmemory-policy", "noeviction",
        ]

    def serves(self) -> bool:
        return "Ready to accept connections" in self.log()
