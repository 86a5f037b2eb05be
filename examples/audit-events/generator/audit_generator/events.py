"""Audit events of a made-up company: who did what to which thing, from where, and how it ended."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterator, Optional

_SERVICES = ("billing", "deploy", "directory", "backup")
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "acme-cli/3.4.1", "okhttp/4.12.0")
_CITIES = (("NL", "Utrecht"), ("DE", "Bremen"), ("US", "Portland"), ("JP", "Osaka"))

#: Resource, its actions with how often each is seen, and what a change of it tells.
_KINDS: Dict[str, Dict[str, int]] = {
    "document": {"document.read": 40, "document.update": 12, "document.delete": 2, "document.share": 6},
    "session": {"user.login": 20, "user.logout": 12, "user.mfa_challenge": 5},
    "role": {"permission.grant": 2, "permission.revoke": 1},
    "api-key": {"key.create": 1, "key.rotate": 1},
    "invoice": {"invoice.export": 4, "invoice.approve": 3},
}


@dataclass(frozen=True)
class Made:
    """An event, and what should become of it."""

    body: Dict[str, Any]
    expected: str


def generate(
    count: int,
    seed: int,
    wrong: float = 0.0,
    unreadable: float = 0.0,
    repeated: float = 0.0,
    now: Optional[datetime] = None,
) -> Iterator[Made]:
    """So many events, the same for the same seed and time. Of them the share `wrong` breaks the rules and is to
    be rejected, `unreadable` has a time in another form and is to be held, `repeated` was made before."""
    dice = random.Random(seed)
    at = now or datetime.now(timezone.utc)
    last: Optional[Dict[str, Any]] = None
    for _ in range(count):
        at -= timedelta(milliseconds=dice.expovariate(1 / 400))
        fate = dice.random()
        if fate < repeated and last is not None:
            yield Made(last, "duplicate")
            continue
        body = _event(dice, at)
        fate -= repeated
        if 0 <= fate < wrong:
            _spoil(dice, body)
            yield Made(body, "rejected")
        elif 0 <= fate < wrong + unreadable:
            body["timestamp"] = at.strftime("%d/%m/%Y %H:%M")
            yield Made(body, "quarantined")
        else:
            last = body
            yield Made(body, "accepted")


def _event(dice: random.Random, at: datetime) -> Dict[str, Any]:
    kind = dice.choices(list(_KINDS), [sum(actions.values()) for actions in _KINDS.values()])[0]
    actions = _KINDS[kind]
    action = dice.choices(list(actions), list(actions.values()))[0]
    country, city = dice.choice(_CITIES)
    is_service = dice.random() < 0.2
    body: Dict[str, Any] = {
        "idempotency_key": str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        "actor": {
            "id": f"svc-{dice.choice(_SERVICES)}" if is_service else f"u-{dice.randint(1000, 1400)}",
            "type": "service" if is_service else "user",
        },
        # Systems do not agree on how names of actions are written.
        "action": {"name": action.upper() if dice.random() < 0.3 else action},
        "resource": {"type": kind, "id": f"{kind}-{dice.randint(1, 5000)}"},
        "outcome": dice.choices(["success", "denied", "failure"], [93, 5, 2])[0],
        "context": {
            "ip": f"10.{dice.randint(0, 63)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}",
            "user_agent": dice.choice(_AGENTS),
            "location": {"country": country, "city": city},
        },
    }
    # One in twenty leaves the time to the gateway.
    if dice.random() < 0.95:
        body["timestamp"] = at.isoformat(timespec="milliseconds")
    if action.endswith(".update"):
        body["changes"] = [{"field": "title", "before": "Draft", "after": f"Report {dice.randint(1, 99)}"}]
    return body


def _spoil(dice: random.Random, body: Dict[str, Any]) -> None:
    outer, inner = dice.choice((("actor", "id"), ("action", "name"), ("resource", "type"), ("resource", "id")))
    how = dice.randrange(3)
    if how == 0:
        del body[outer][inner]
    elif how == 1:
        body[outer][inner] = dice.randint(1, 99)
    else:
        body[outer][inner] = ""
