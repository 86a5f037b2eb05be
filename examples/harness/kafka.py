"""A real Apache Kafka, one broker, and its own command-line tools as readers that know nothing of the gateway."""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from .asking import PATIENCE_S, eventually
from .outages import Server, free_port

#: Between the parts of what the console consumer prints; JSON has it in no place.
_BETWEEN = "\x1f"
_BETWEEN_HEADERS = "\x1e"
_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
_SHOWN = [
    *(f"--formatter-property=print.{part}=true" for part in ("partition", "offset", "headers", "key")),
    f"--formatter-property=key.separator={_BETWEEN}",
    f"--formatter-property=headers.separator={_BETWEEN_HEADERS}",
]


def java(main: str, *words: str) -> List[str]:
    """One of Kafka's programs, by its class."""
    jars = os.environ.get("TIDEGATE_TEST_KAFKA")
    if not jars:
        raise RuntimeError("TIDEGATE_TEST_KAFKA does not name the folder of Kafka's jars")
    return [
        "java", "-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
        "-cp", f"{jars}/*", main, *words,
    ]


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    key: str
    headers: Dict[str, str]
    value: str

    @property
    def json(self) -> Any:
        return json.loads(self.value)


@dataclass(frozen=True)
class Batch:
    compression: str
    size: int
    """In bytes, compressed."""
    is_idempotent: bool
    """Its producer numbers what it writes, which wants acks=all."""


class Topics:
    """The topics of a broker, by Kafka's own tools."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._readers: Dict[str, Reader] = {}

    def create(self, topic: str, partitions: int = 4, **settings: str) -> None:
        """`settings` of the topic, with `_` for `.`."""
        configs = [f"--config={name.replace('_', '.')}={value}" for name, value in settings.items()]
        self._tool(
            "org.apache.kafka.tools.TopicCommand", "--create", "--topic", topic,
            "--partitions", str(partitions), *configs,
        )

    def alter(self, topic: str, **settings: str) -> None:
        changes = ",".join(f"{name.replace('_', '.')}={value}" for name, value in settings.items())
        self._tool(
            "kafka.admin.ConfigCommand", "--alter", "--topic", topic, "--add-config", changes
        )

    def count(self, topic: str) -> int:
        """Records that the topic has had; 0 where it is not there."""
        said = self._tool("org.apache.kafka.tools.GetOffsetShell", "--topic", topic, fails=True)
        return sum(int(end) for end in re.findall(rf"^{re.escape(topic)}:\d+:(\d+)$", said, re.M))

    def read(self, topic: str) -> List[Record]:
        """All that the topic holds, by partition and offset."""
        count = self.count(topic)
        if count == 0:
            return []
        said = self._tool(
            _CONSUMER, "--topic", topic, "--from-beginning", "--max-messages", str(count),
            "--timeout-ms", str(int(PATIENCE_S * 1000)), *_SHOWN,
        )
        # Not `splitlines`, which has more ends of lines than the consumer.
        records = [_record(line) for line in said.split("\n") if line.startswith("Partition:")]
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def wait_for(self, topic: str, ids: List[str]) -> List[Record]:
        """The records of these events, by the ids of their receipts, as soon as all are there. A reader
        follows the topic meanwhile and afterwards."""
        wanted = set(ids)
        if topic not in self._readers:
            self._readers[topic] = Reader(self.bootstrap, topic)
        reader = self._readers[topic]

        def look() -> List[Record]:
            found = [r for r in reader.records() if r.headers.get("tidegate-event-id") in wanted]
            return found if {r.headers["tidegate-event-id"] for r in found} == wanted else []

        return eventually(f"{len(wanted)} events in {topic}", look) if wanted else []

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _tool(self, main: str, *words: str, fails: bool = False) -> str:
        command = java(main, "--bootstrap-server", self.bootstrap, *words)
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL,
            timeout=2 * PATIENCE_S,
        )
        if done.returncode and not fails:
            raise RuntimeError(f"{main} {words}: {done.stdout}{done.stderr}")
        return done.stdout


def _record(line: str) -> Record:
    partition, offset, headers, key, value = line.split(_BETWEEN, 4)
    pairs = [pair.split(":", 1) for pair in headers.split(_BETWEEN_HEADERS)]
    return Record(
        partition=int(partition.removeprefix("Partition:")),
        offset=int(offset.removeprefix("Offset:")),
        key=key,
        headers={pair[0]: pair[1] for pair in pairs if len(pair) == 2},
        value=value,
    )


class Reader:
    """A console consumer that follows a topic from its beginning."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._lines: List[str] = []
        words = ["--bootstrap-server", bootstrap, "--topic", topic, "--from-beginning", *_SHOWN]
        self._process = subprocess.Popen(
            java(_CONSUMER, *words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
        )
        atexit.register(self.close)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip("\n"))

    def records(self) -> List[Record]:
        """Those that it has seen up to here."""
        return [_record(line) for line in list(self._lines) if line.startswith("Partition:")]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Kafka(Server):
    """A broker that a test stops and starts again."""

    def __init__(self) -> None:
        super().__init__()
        controller = free_port()
        self._properties = self.folder / "server.properties"
        self._properties.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}\n"
            f"controller.listener.names=CONTROLLER\nlog.dirs={self.data}\n"
            "offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\noffsets.topic.num.partitions=4\n"
            "group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n"
        )
        format_words = ["format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA", "--config"]
        subprocess.run(
            java("kafka.tools.StorageTool", *format_words, str(self._properties)),
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )
        self.topics = Topics(self.bootstrap)
        self.start()

    def close(self) -> None:
        self.topics.close()
        super().close()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def command(self) -> List[str]:
        told = "-Dorg.apache.logging.log4j.level=INFO"
        words = java("kafka.Kafka", str(self._properties))
        return [words[0], told, *words[1:]]

    def serves(self) -> bool:
        return "Kafka Server started" in self.log()

    def batches(self, topic: str) -> List[Batch]:
        """The batches of a topic as they stand on the broker's disk."""
        found: List[Batch] = []
        for segment in sorted(self.data.glob(f"{topic}-[0-9]*/*.log")):
            said = subprocess.run(
                java("org.apache.kafka.tools.DumpLogSegments", "--files", str(segment)),
                capture_output=True, check=True, text=True, stdin=subprocess.DEVNULL,
            ).stdout
            for line in said.splitlines():
                named = dict(re.findall(r"(\w+): (\S+)", line))
                if "compresscodec" in named:
                    is_idempotent = int(named["producerId"]) >= 0
                    batch = Batch(named["compresscodec"], int(named["size"]), is_idempotent)
                    found.append(batch)
        return found
