"""One event as it is sent: checked, and with its idempotency key."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any, Mapping, NoReturn, Optional, Union

_MOST_KEY_BYTES = 255
_SPACE = " \t\r\n"


class InvalidEvent(ValueError):
    """It cannot be sent: it is no JSON object, its key is none, or it is too long."""


@dataclass(frozen=True)
class Event:
    text: bytes
    key: Optional[str]


def prepare(event: Union[Mapping[str, Any], str, bytes], key_field: Optional[str]) -> Event:
    """Checks an event and gives it a key where it lacks one. Text goes out as it was written."""
    text, members = _read(event)
    if key_field is None:
        return Event(text.encode(), None)
    if key_field in members:
        return Event(text.encode(), _key(members[key_field], key_field))
    key = str(uuid.uuid4())
    rest = text[1:]
    comma = "" if rest.lstrip(_SPACE).startswith("}") else ","
    return Event(f'{{{json.dumps(key_field)}:"{key}"{comma}{rest}'.encode(), key)


def key_of(text: bytes, key_field: Optional[str]) -> Optional[str]:
    """The key of an event that was prepared before."""
    if key_field is None:
        return None
    member = json.loads(text, parse_int=str, parse_float=str).get(key_field)
    return member if isinstance(member, str) else None


def _read(event: Union[Mapping[str, Any], str, bytes]) -> "tuple[str, dict[str, Any]]":
    try:
        if isinstance(event, bytes):
            text = event.decode()
        elif isinstance(event, str):
            text = event
        else:
            text = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
        members = json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidEvent(f"the event is not valid JSON: {error}") from error
    if not isinstance(members, dict):
        raise InvalidEvent("the event must be a JSON object")
    return text.strip(_SPACE), members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _key(value: Any, key_field: str) -> str:
    # Numbers are read as they are written, so their type is the text's as well.
    if isinstance(value, str) and 0 < len(value.encode()) <= _MOST_KEY_BYTES:
        return value
    raise InvalidEvent(
        f"the member {key_field} must be a text or number of 1 to {_MOST_KEY_BYTES} bytes"
    )
