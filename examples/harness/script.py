"""What an example's `start.sh` starts, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, List, Mapping

from .asking import PATIENCE_S
from .services import program

#: Free ports, so that nothing is in the way.
_FREE = {
    f"TIDEGATE_{name}": "127.0.0.1:0"
    for name in ("INGRESS__ADDRESS", "ADMIN__ADDRESS", "TELEMETRY__METRICS_ADDRESS")
}


@contextlib.contextmanager
def started(script: Path, *words: str, settings: Mapping[str, str]) -> Iterator[None]:
    """Runs the script with these variables beside those of the environment, on free ports, until it says that
    it is ready; ends it with its gateways. What they say goes to `start.log` in the folder that is the first
    of its words."""
    folder = Path(words[0])
    folder.mkdir(parents=True, exist_ok=True)
    environment: Dict[str, str] = {**os.environ, "TIDEGATE": str(program()), **_FREE, **settings}
    said = folder / "start.log"
    with open(said, "wb") as log:
        process = subprocess.Popen(
            [script, *words], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        limit = time.monotonic() + PATIENCE_S
        while b"\nready: " not in b"\n" + said.read_bytes():
            if process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(said.read_text())
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def urls(*folders: Path) -> List[str]:
    """Where the gateways with these data folders take events."""
    told = [json.loads((folder / "addresses.json").read_text()) for folder in folders]
    return [f"http://{addresses['ingress']}" for addresses in told]
