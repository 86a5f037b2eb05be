"""The tables that the connectors of all languages are held to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

_FOLDER = Path(__file__).resolve().parents[2] / "conformance"


def table(name: str) -> Dict[str, Any]:
    loaded: Dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))
    return loaded


def expanded(event: Dict[str, Any]) -> Dict[str, Any]:
    """An event of `exchanges.json` with its padding."""
    pad = event.get("pad")
    if pad is None:
        return event
    salt = pad.get("salt", 0)
    return {**event, "pad": "".join(f"{pad['repeat']}{n * salt}" for n in range(pad["times"]))}
