"""How bodies are written whose content types Schemathesis does not know: as they are."""

import json

import schemathesis


@schemathesis.serializer(
    "application/x-ndjson",
    "application/ndjson",
    "text/csv",
    "application/wasm",
    "application/vnd.apache.parquet",
)
def as_it_is(_context, value):
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")
