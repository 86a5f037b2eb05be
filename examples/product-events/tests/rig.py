"""The service with the settings and the revision of this example, over a real Kafka."""

from __future__ import annotations

import atexit
import functools
import itertools
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from harness.asking import Answer, ask
from harness.gateway import Gateway
from harness.kafka import Kafka, Record

EXAMPLE = Path(__file__).resolve().parents[1]

_numbers = itertools.count()


@functools.lru_cache(maxsize=None)
def broker() -> Kafka:
    """The Kafka that tests share which do not stop it; it ends with them."""
    kafka = Kafka()
    atexit.register(kafka.close)
    return kafka


class Rig:
    """A service with topics of its own, prepared as `start.sh` does it. `variables` are those of its environment."""

    def __init__(self, kafka: Optional[Kafka] = None, **variables: str) -> None:
        self.kafka = kafka or broker()
        self.topic = f"events-{next(_numbers)}"
        for topic in (self.topic, f"{self.topic}.dlq", f"{self.topic}.held"):
            self.kafka.topics.create(topic)
        settings = {"KAFKA_SERVER": self.kafka.bootstrap, "KAFKA_TOPIC": self.topic, **variables}
        self.gateway = Gateway(EXAMPLE / "gateway.toml", settings)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.gateway.close()

    def _prepare(self) -> None:
        command = self.gateway.command
        command("tenant", "create", "web")
        command("schema", "put", "--tenant", "web", "product-event", str(EXAMPLE / "product-event.schema.json"))
        command("revision", "apply", "--tenant", "web", "--activate", str(EXAMPLE / "revision.json"))

    def post(self, event: Any, headers: Optional[Mapping[str, str]] = None) -> Answer:
        return ask(self.gateway.url, "POST", "/events", headers, event)

    def get(self, path: str, headers: Optional[Mapping[str, str]] = None) -> Answer:
        return ask(self.gateway.url, "GET", path, headers)

    def records(self) -> List[Record]:
        """All that is in the topic now."""
        return self.kafka.topics.read(self.topic)


def event(**more: Any) -> Dict[str, Any]:
    return {
        "user_id": "u-1", "event_name": "signup", "metadata": {"plan": "free"},
        "timestamp": "2026-11-22T09:00:00Z", **more,
    }
