"""The metadata event of an object."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict

EVENT_TYPE = "s3.object"


@dataclass(frozen=True)
class S3Object:
    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime


def metadata_event(found: S3Object, tenant: str) -> Dict[str, Any]:
    """The same for the same content, whenever it is made, so that it can be posted again."""
    return {
        "idempotencyKey": idempotency_key(found),
        "tenantId": tenant,
        "eventType": EVENT_TYPE,
        "timestamp": found.modified.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "source": {
            "bucket": found.bucket,
            "key": found.key,
            "size": found.size,
            "eTag": found.etag,
        },
    }


def idempotency_key(found: S3Object) -> str:
    """Of bucket, key and eTag. Keys of objects may be longer than keys of events, hence a digest."""
    text = json.dumps([found.bucket, found.key, found.etag])
    return "s3-" + hashlib.sha256(text.encode()).hexdigest()
