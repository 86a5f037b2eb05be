"""The gateway of this example: what the connector's own tests start, with this example's settings, schema and
revision."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import itertools
import json
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Dict, Tuple

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


_numbers = itertools.count()


@functools.lru_cache(maxsize=None)
def _services() -> Tuple[Dict[str, str], str]:
    """A Redis and an OIDC server that end with the tests: the variables that name them, and where tokens are
    asked for."""
    servers = subprocess.Popen(
        [program().with_name("tidegate-services"), "redis", "oidc"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )
    atexit.register(servers.kill)
    named: Dict[str, str] = {}
    tokens = ""
    assert servers.stdout is not None
    for line in servers.stdout:
        if "Ctrl-C" in line:
            return named, tokens
        if line.startswith("(a token"):
            tokens = line.split()[-1].rstrip(")")
        else:
            name, value = line.rstrip("\n").split("=", 1)
            named[name] = value.strip("'")
    raise RuntimeError("the servers did not start")


def token(**claims: Any) -> str:
    """One of the OIDC server for the tenant of the tests; `claims` stand in place of others."""
    form = {
        "grant_type": "client_credentials", "aud": "tidegate", "scope": "events:write",
        "claims": json.dumps({"tenant_id": "edge", **claims}),
    }
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(_services()[1], body, timeout=30) as answer:
        text: str = json.load(answer)["access_token"]
    return text


def variables() -> Dict[str, str]:
    """The variables that name the servers."""
    return _services()[0]


def gateway(**settings: str) -> Any:
    """With keys of its own in Redis. `settings` are variables of its environment, without their prefix."""
    settings.setdefault("REDIS__PREFIX", f"test-{next(_numbers)}:")
    # A disk that is slow for a moment is not what is tested.
    settings.setdefault("REDIS__RESPONSE_TIMEOUT", "2s")
    return _connectors().Gateway(
        json.loads((EXAMPLE / "ingest-event.schema.json").read_text()),
        json.loads((EXAMPLE / "revision.json").read_text()),
        ["--config", str(EXAMPLE / "gateway.toml")],
        {**variables(), **{f"TIDEGATE_{name}": value for name, value in settings.items()}},
    )
