"""The gateway of this example: what the connector's own tests start, with this example's settings, schema and
revision."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parents[2]


def _connectors() -> Any:
    path = EXAMPLE.parents[1] / "sdk/connector/python/tests/gateway.py"
    spec = importlib.util.spec_from_file_location("connector_gateway", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def program() -> Path:
    """The gateway's binary."""
    path: Path = _connectors().program()
    return path


def gateway(**settings: str) -> Any:
    """`settings` are variables of its environment, without their prefix."""
    return _connectors().Gateway(
        json.loads((EXAMPLE / "ingest-event.schema.json").read_text()),
        json.loads((EXAMPLE / "revision.json").read_text()),
        ["--config", str(EXAMPLE / "gateway.toml")],
        {f"TIDEGATE_{name}": value for name, value in settings.items()},
    )
