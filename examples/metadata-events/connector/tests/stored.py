"""What the gateway has stored: the Parquet files that its manifest names, read by another library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pyarrow.parquet  # type: ignore[import-untyped, unused-ignore]


def accepted(storage: Path) -> List[Dict[str, Any]]:
    """The events as they were posted."""
    events: List[Dict[str, Any]] = []
    for line in (storage / "manifest.jsonl").read_text().splitlines():
        for file in json.loads(line)["entry"]["files"]:
            if file["path"].startswith("accepted/"):
                table = pyarrow.parquet.ParquetFile(storage / file["path"]).read(["original"])
                events.extend(json.loads(text) for text in table.column("original").to_pylist())
    return events
