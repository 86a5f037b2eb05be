"""Gateways with the settings and the revision of this example, over a real PostgreSQL, Redis and Kafka."""

from __future__ import annotations

import atexit
import functools
import itertools
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

from harness.asking import Answer, ask, eventually
from harness.gateway import Gateway
from harness.kafka import Kafka
from harness.services import Services

EXAMPLE = Path(__file__).resolve().parents[1]
TOPIC = "audit.events.v1"
DEAD = "audit.events.v1.dlq"
#: Settings that give a slow machine time, and are not what is tested.
_PATIENT = {"TIDEGATE_REDIS__RESPONSE_TIMEOUT": "5s"}

_numbers = itertools.count()


@functools.lru_cache(maxsize=None)
def services() -> Services:
    """A PostgreSQL and a Redis that end with the tests."""
    return Services("postgres", "redis")


@functools.lru_cache(maxsize=None)
def broker() -> Kafka:
    """The Kafka that tests share which do not stop it."""
    return new_broker()


def new_broker() -> Kafka:
    """A Kafka with the topics of the example, that ends with the tests."""
    kafka = Kafka()
    atexit.register(kafka.close)
    for topic in (TOPIC, DEAD):
        kafka.topics.create(topic)
    return kafka


def sql(url: str, statement: str) -> List[str]:
    """Runs a statement as any program may that knows the database; the rows, cells joined by `|`."""
    psql = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"))[-1]
    done = subprocess.run(
        [psql, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement],
        capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise RuntimeError(f"{statement}: {done.stderr}")
    return done.stdout.splitlines()


def new_database() -> str:
    """The URL of an empty database."""
    server, name = services().variables["TIDEGATE_CATALOG__URL"], f"rig_{next(_numbers)}"
    sql(server, f"CREATE DATABASE {name}")
    return f"{server.rsplit('/', 1)[0]}/{name}"


class Rig:
    """Replicas that share a database, a prefix in Redis, and a broker. The first one is prepared as `start.sh`
    does it, before the others start."""

    def __init__(self, kafka: Optional[Kafka] = None, replicas: int = 1, **settings: str) -> None:
        self.kafka = kafka or broker()
        self.database = new_database()
        self._settings = {
            **services().variables,
            **_PATIENT,
            "TIDEGATE_CATALOG__URL": self.database,
            "TIDEGATE_REDIS__PREFIX": f"rig-{next(_numbers)}:",
            "KAFKA_SERVER": self.kafka.bootstrap,
            **{f"TIDEGATE_{name}": value for name, value in settings.items()},
        }
        self.gateways: List[Gateway] = []
        try:
            self._start(1)
            self.tenant("acme")
            self.key = self.new_key("acme", "events:write", "events:read")
            for replica in range(2, replicas + 1):
                self._start(replica)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for gateway in self.gateways:
            gateway.close()

    def _start(self, replica: int) -> None:
        settings = {**self._settings, "TIDEGATE_NODE__NAME": f"node-{replica}"}
        self.gateways.append(Gateway(EXAMPLE / "gateway.toml", settings))

    @property
    def gateway(self) -> Gateway:
        return self.gateways[0]

    def tenant(self, name: str) -> None:
        self.gateway.command("tenant", "create", name)
        revision = str(EXAMPLE / "revision.json")
        self.gateway.command("revision", "apply", "--tenant", name, "--activate", revision)

    def new_key(self, tenant: str, *scopes: str, **options: Any) -> str:
        words = [word for scope in scopes for word in ("--scope", scope)]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        answer = self.gateway.command("key", "create", "--tenant", tenant, "--name", "tests", *words)
        key: str = answer["key"]
        return key

    def quotas(self, tenant: str, text: str) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text)
            file.flush()
            self.gateway.command("tenant", "quotas", tenant, "--set", file.name)

    def post(
        self, body: Any, key: Optional[str] = None, path: str = "/v1/events", replica: int = 0
    ) -> Answer:
        headers = {"x-api-key": key or self.key}
        return ask(self.gateways[replica].url, "POST", path, headers, body)

    def batch(self, events: List[Any], key: Optional[str] = None) -> Answer:
        return self.post({"events": events}, key, "/v1/events/batch")

    def wait_key(self, key: str, replica: int) -> None:
        """Looks, with a request, whether a replica knows a key."""
        eventually(f"replica {replica} knows the key", lambda: self.post({}, key, replica=replica).status == 400)

    def get(self, path: str, key: Optional[str] = None) -> Answer:
        return ask(self.gateway.url, "GET", path, {"x-api-key": key or self.key})


def event(idempotency_key: str, **more: Any) -> Dict[str, Any]:
    """An event as it must be."""
    return {
        "idempotency_key": idempotency_key,
        "timestamp": "2026-11-21T23:30:00-05:00",
        "actor": {"id": "u-1042", "type": "user"},
        "action": {"name": "Document.READ"},
        "resource": {"type": "document", "id": "d-77"},
        **more,
    }
