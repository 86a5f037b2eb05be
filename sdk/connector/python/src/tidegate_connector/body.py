"""Bodies of requests: events joined to a batch, and compressed where that pays."""

from __future__ import annotations

import gzip
from typing import Callable, Iterable, Iterator, List, Tuple

from .item import Item

_LEAST_COMPRESSED = 1024
#: Gateways refuse what grows too much, as a bomb.
_MOST_RATIO = 100

#: Compresses, or raises where the library is missing.
Encoder = Callable[[bytes], bytes]


def batches(items: Iterable[Item], events: int, size: int) -> Iterator[List[Item]]:
    """Cuts into batches of at most so many events and bytes; a longer event goes alone."""
    batch: List[Item] = []
    taken = 0
    for item in items:
        if batch and (len(batch) >= events or taken + cost(item) > size):
            yield batch
            batch, taken = [], 0
        batch.append(item)
        taken += cost(item)
    if batch:
        yield batch


def cost(item: Item) -> int:
    """Bytes of a batch that the event takes: itself and a comma."""
    return len(item.event.text) + 1


def body(items: Iterable[Item], endpoint: str) -> bytes:
    if endpoint == "single":
        (item,) = items
        return item.event.text
    return b'{"events":[' + b",".join(item.event.text for item in items) + b"]}"


def encoder(encoding: str) -> Encoder:
    """Raises `ValueError` where the encoding needs a library that is not installed."""
    if encoding == "gzip":
        return lambda data: gzip.compress(data, 5)
    if encoding == "zstd":
        return _zstd()
    return lambda data: data


def encoded(data: bytes, encoding: str, encode: Encoder) -> Tuple[bytes, str]:
    """The body as it is sent, and its encoding."""
    if encoding == "identity" or len(data) < _LEAST_COMPRESSED:
        return data, "identity"
    small = encode(data)
    if len(small) >= len(data) or len(small) * _MOST_RATIO < len(data):
        return data, "identity"
    return small, encoding


def _zstd() -> Encoder:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]

        return lambda data: zstd.compress(data)  # type: ignore[no-any-return, unused-ignore]
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError as error:
        raise ValueError("zstd needs Python 3.14 or tidegate-connector[zstd]") from error
    # A compressor must not be used by two threads at once.
    return lambda data: zstandard.ZstdCompressor().compress(data)
