"""Services that end with who started them, those of `cargo xtask services`, and where they are."""

from __future__ import annotations

import atexit
import os
import re
import subprocess
from pathlib import Path
from typing import Dict

EXAMPLES = Path(__file__).resolve().parents[1]
REPOSITORY = EXAMPLES.parent


def program() -> Path:
    """The gateway's binary: TIDEGATE_PROGRAM, or the one that cargo has built."""
    named = os.environ.get("TIDEGATE_PROGRAM")
    target = os.environ.get("CARGO_TARGET_DIR", str(REPOSITORY / "target"))
    path = Path(named) if named else REPOSITORY / target / "debug" / "tidegate"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: build the gateway, or set TIDEGATE_PROGRAM")
    return path


class Services:
    """Services by name. `variables` are the settings of a gateway that takes them, and what AWS's clients
    read; `tokens` is where tokens are asked for, `endpoints` are further servers by their names."""

    def __init__(self, *names: str) -> None:
        self.variables: Dict[str, str] = {}
        self.endpoints: Dict[str, str] = {}
        self.tokens = ""
        self._process = subprocess.Popen(
            [program().with_name("tidegate-services"), *names],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )
        atexit.register(self.stop)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "Ctrl-C" in line:
                return
            self._read(line.rstrip("\n"))
        raise RuntimeError(f"the services did not start: {', '.join(names)}")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self, line: str) -> None:
        if line.startswith("(a token"):
            self.tokens = line.split()[-1].rstrip(")")
        elif found := re.fullmatch(r"\(([\w-]+)[^:]*: (http\S+)\)", line):
            self.endpoints[found[1]] = found[2]
        else:
            name, value = line.split("=", 1)
            self.variables[name] = value.strip("'")
