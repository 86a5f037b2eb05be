"""Gateways with the settings, schema and revision of this example, over a real Redis, issuer of tokens, Kinesis
and CloudWatch."""

from __future__ import annotations

import functools
import itertools
import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Optional

import boto3  # type: ignore[import-untyped, unused-ignore]
from harness.asking import Answer, ask
from harness.gateway import Gateway
from harness.services import Services
from metadata_consumer.reader import Reader, Record

EXAMPLE = Path(__file__).resolve().parents[2]
TENANT = "edge"
RAW = "events-raw"
HELD = "events-quarantine"
_AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}

_numbers = itertools.count()


@functools.lru_cache(maxsize=None)
def services() -> Services:
    """They end with the tests."""
    started = Services("redis", "oidc", "kinesis", "cloudwatch")
    kinesis = boto3.client("kinesis", endpoint_url=started.endpoints["kinesalite"], **_BOTO)
    for stream, shards in ((RAW, 3), (HELD, 1)):
        kinesis.create_stream(StreamName=stream, ShardCount=shards)
        kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
    return started


_BOTO = {
    "aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1",
}


def client(service: str) -> Any:
    """A client of Kinesis or CloudWatch."""
    started = services()
    clouds = started.variables["AWS_ENDPOINT_URL_CLOUDWATCH"]
    endpoint = started.endpoints["kinesalite"] if service == "kinesis" else clouds
    return boto3.client(service, endpoint_url=endpoint, **_BOTO)


def variables() -> Dict[str, str]:
    """The variables that name the servers."""
    return {
        **services().variables, **_AWS,
        "AWS_ENDPOINT_URL_KINESIS": services().endpoints["kinesalite"],
    }


def token(**claims: Any) -> str:
    """One of the OIDC server for the tenant of the tests; `claims` stand in place of others."""
    form = {
        "grant_type": "client_credentials", "aud": "tidegate", "scope": "events:write",
        "claims": json.dumps({"tenant_id": TENANT, **claims}),
    }
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(services().tokens, body, timeout=60) as answer:
        text: str = json.load(answer)["access_token"]
    return text


class EdgeGateway(Gateway):
    """With the tenants `edge` and those of `more`, prepared as `start.sh` does it."""

    def __init__(self, settings: Dict[str, str], more: List[str]) -> None:
        super().__init__(EXAMPLE / "gateway.toml", settings)
        try:
            for tenant in (TENANT, *more):
                self.command("tenant", "create", tenant)
                schema = str(EXAMPLE / "ingest-event.schema.json")
                self.command("schema", "put", "--tenant", tenant, "ingest-event", schema)
                self.activate(json.loads((EXAMPLE / "revision.json").read_text()), tenant)
            made = self.command("key", "create", "--tenant", TENANT, "--name", "tests")
            self.api_key: str = made["key"]
        except BaseException:
            self.close()
            raise

    def activate(self, revision: Dict[str, Any], tenant: str = TENANT) -> None:
        path = self.data / "revision.json"
        path.write_text(json.dumps(revision))
        self.command("revision", "apply", "--tenant", tenant, "--activate", str(path))

    def post(self, event: Any, bearer: Optional[str] = None) -> Answer:
        """With a token of the tenant, or another one."""
        headers = {"authorization": f"Bearer {bearer or usual_token()}"}
        return ask(self.url, "POST", "/v1/events", headers, event)


@functools.lru_cache(maxsize=None)
def usual_token() -> str:
    return token()


def gateway(*more_tenants: str, **settings: str) -> EdgeGateway:
    """With keys of its own in Redis. `settings` are variables of its environment, those of Tidegate without their
    prefix."""
    settings.setdefault("REDIS__PREFIX", f"test-{next(_numbers)}:")
    # A disk that is slow for a moment is not what is tested.
    settings.setdefault("REDIS__RESPONSE_TIMEOUT", "5s")
    named = {n if n.startswith("AWS_") else f"TIDEGATE_{n}": value for n, value in settings.items()}
    return EdgeGateway({**variables(), **named}, list(more_tenants))


class Stream:
    """What a stream has got since this was made."""

    def __init__(self, name: str = RAW) -> None:
        self._name = name
        self._kinesis = client("kinesis")
        self._before = {record.shard: record.sequence for record in self._read({})}

    def records(self) -> List[Record]:
        return self._read(self._before)

    def events(self) -> List[Dict[str, Any]]:
        return [json.loads(record.data) for record in self.records()]

    def _read(self, positions: Dict[str, str]) -> List[Record]:
        reader = Reader(self._kinesis, self._name, positions)
        records = reader.poll()
        while reader.is_behind:
            records += reader.poll()
        return records


def s3_event(**more: Any) -> Dict[str, Any]:
    return {
        "idempotencyKey": "k-1", "tenantId": TENANT, "eventType": "s3.object",
        "timestamp": "2026-11-22T08:00:00Z",
        "source": {"bucket": "scans", "key": "a/1.tif", "size": 1042, "eTag": "9e10"}, **more,
    }
