"""API keys as rows of the table `api_keys` in PostgreSQL, also rows that another program has written (D2)."""

from __future__ import annotations

import hashlib
import time
import unittest
from typing import Any

from harness.asking import Answer, ask, eventually

from .rig import Rig, event, sql


class Keys(unittest.TestCase):
    rig: Rig

    @classmethod
    def setUpClass(cls) -> None:
        cls.rig = Rig(KEYS__LAST_USED_INTERVAL="200ms")
        cls.addClassCleanup(cls.rig.close)
        cls.rig.tenant("globex")

    def row(self, key: str, **columns: Any) -> None:
        """A row as another system has it: the key itself is known to its owner alone."""
        row = {
            "id": f"row-{key}",
            "key_hash": "\\x" + hashlib.sha256(key.encode()).hexdigest(),
            "tenant_id": "globex",
            "name": "taken over",
            "scopes": "events:write events:read",
            "created_at": int(time.time() * 1000),
            **columns,
        }
        names, values = ", ".join(row), ", ".join(f"'{value}'" for value in row.values())
        sql(self.rig.database, f"INSERT INTO api_keys ({names}) VALUES ({values})")

    def until(self, key: str, status: int, body: Any) -> Answer:
        """The answer, once the row is in force."""

        def look() -> Any:
            answer = self.rig.post(body, key)
            return answer if answer.status == status else None

        answer: Answer = eventually(f"{key} is answered {status}", look)
        return answer

    def test_d2_a_row_known_by_its_hash_alone_authenticates_for_its_tenant(self) -> None:
        self.row("legacy-1")
        answer = self.until("legacy-1", 202, event("d2-1"))
        self.assertEqual(answer.headers["x-ratelimit-limit"], "10000")
        path = f"/v1/events/{answer.json['event_id']}"
        self.assertEqual(self.rig.get(path, "legacy-1").status, 200)
        # It is the event of the key's tenant, and of nobody else.
        self.assertEqual(self.rig.get(path).status, 404)
        used = "SELECT last_used_at FROM api_keys WHERE id = 'row-legacy-1'"
        (last_used,) = eventually("the use is noted", lambda: [t for t in sql(self.rig.database, used) if t])
        self.assertLess(abs(int(last_used) - time.time() * 1000), 600_000)

    def test_d2_what_the_gateway_stores_is_a_hash(self) -> None:
        key = self.rig.new_key("acme", "events:write")
        digest = hashlib.sha256(key.encode()).hexdigest()
        found = f"SELECT scopes, rate_limit, is_active FROM api_keys WHERE key_hash = '\\x{digest}'"
        self.assertEqual(sql(self.rig.database, found), ["events:write|10000|1"])
        row = f"SELECT api_keys::text FROM api_keys WHERE key_hash = '\\x{digest}'"
        self.assertNotIn(key, "".join(sql(self.rig.database, row)))

    def test_d2_unknown_and_expired_keys_are_401(self) -> None:
        self.row("expired", expires_at=int(time.time() * 1000) - 1000)
        for key in ("nobody-knows-this", "expired", self.rig.key[:-1]):
            answer = self.rig.post(event("d2-2"), key)
            self.assertEqual(answer.status, 401, key)
            self.assertEqual(answer.json["type"], "urn:tidegate:problem:unauthenticated")
        without = ask(self.rig.gateway.url, "POST", "/v1/events", {}, event("d2-2"))
        self.assertEqual(without.status, 401)
        self.row("short", expires_at=int(time.time() * 1000) + 5_000)
        self.until("short", 202, event("d2-3"))
        self.until("short", 401, event("d2-3"))

    def test_d2_revoked_keys_and_those_without_the_scope_are_403(self) -> None:
        self.row("revoked")
        self.until("revoked", 202, event("d2-4"))
        sql(self.rig.database, "UPDATE api_keys SET is_active = 0 WHERE id = 'row-revoked'")
        self.until("revoked", 403, event("d2-4"))
        self.row("reader", scopes="events:read")
        refused = self.until("reader", 403, event("d2-5"))
        self.assertIn("events:write", refused.json["detail"])
        self.row("writer", scopes="events:write")
        taken = self.until("writer", 202, event("d2-6"))
        path = f"/v1/events/{taken.json['event_id']}"
        self.assertEqual(self.rig.get(path, "writer").status, 403)
        self.assertEqual(self.rig.get(path, "reader").json["event_id"], taken.json["event_id"])
