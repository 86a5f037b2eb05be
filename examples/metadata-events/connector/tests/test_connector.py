"""Lists a real S3 server, posts to the real gateway, and reads the stream: each object once (A12)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

from metadata_connector.__main__ import main

from .gateway import EXAMPLE, Stream, gateway
from .proxy import Proxy
from .s3 import CREDENTIALS, S3Server

_CONNECTOR = EXAMPLE.parents[1] / "sdk/connector/python"
_OBJECTS = 1200
#: Of these on the first page of the list.
_PAGE = 1000


class MetadataConnector(unittest.TestCase):
    s3: S3Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.s3 = cls.enterClassContext_(S3Server())
        client = cls.s3.client()
        client.create_bucket(Bucket="scans")
        for n in range(_OBJECTS):
            client.put_object(Bucket="scans", Key=f"a/{n:05}-{'é' * (n % 40)}.tif", Body=b"x" * (n % 97))

    @classmethod
    def enterClassContext_(cls, context: Any) -> Any:
        """`enterClassContext`, which Python has from 3.11 on."""
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    def setUp(self) -> None:
        self.folder = Path(self.enter(tempfile.TemporaryDirectory()))
        self.stream = Stream()
        self.gateway = self.enter(gateway())
        self.enter(mock.patch.dict(os.environ, CREDENTIALS))
        (self.folder / "key").write_text(self.gateway.api_key)

    def enter(self, context: Any) -> Any:
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def arguments(self, url: str, **more: str) -> List[str]:
        named = {
            "bucket": "scans", "tenant": "edge", "gateway": url, "endpoint-url": self.s3.url,
            "api-key-file": str(self.folder / "key"), "ledger": str(self.folder / "ledger"),
            "max-delay": "0.05", "connections": "32", **more,
        }
        return [f"--{name}={value}" for name, value in named.items()]

    def run_once(self, url: str, **more: str) -> Dict[str, int]:
        """A run that must come to its end; its counts."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(main(self.arguments(url, **more)), 0)
        counts: Dict[str, int] = json.loads(out.getvalue())
        return counts

    def check_stored(self) -> None:
        """Every object that S3 lists is in the stream once, with what S3 says of it."""
        expected = {}
        for page in self.s3.client().get_paginator("list_objects_v2").paginate(Bucket="scans"):
            for row in page["Contents"]:
                expected[row["Key"]] = (row["Size"], row["ETag"].strip('"'))
        stored = self.stream.events()
        self.assertEqual(Counter(event["source"]["key"] for event in stored), Counter(expected.keys()))
        for event in stored:
            source = event["source"]
            self.assertEqual((source["size"], source["eTag"]), expected[source["key"]])
            self.assertEqual((event["tenantId"], event["eventType"]), ("edge", "s3.object"))
        self.assertEqual(len({event["idempotencyKey"] for event in stored}), len(expected))

    def test_a12_each_object_is_stored_once_and_a_second_run_posts_nothing(self) -> None:
        self.assertEqual(self.run_once(self.gateway.url), {"listed": _OBJECTS, "accepted": _OBJECTS})
        self.assertEqual(self.run_once(self.gateway.url), {"listed": _OBJECTS})
        self.check_stored()

    def test_a12_a_new_ledger_posts_under_the_same_keys(self) -> None:
        self.run_once(self.gateway.url)
        counts = self.run_once(self.gateway.url, ledger=str(self.folder / "other"))
        self.assertEqual(counts, {"listed": _OBJECTS, "duplicate": _OBJECTS})
        self.check_stored()

    def test_a12_a_gateway_that_is_busy_is_tried_again(self) -> None:
        with Proxy(self.gateway.url, busy=30) as proxy:
            counts = self.run_once(proxy.url)
            self.assertEqual(proxy.statuses, [503] * 30 + [202] * _OBJECTS)
        self.assertEqual(counts, {"listed": _OBJECTS, "accepted": _OBJECTS})
        self.check_stored()

    def test_a_run_that_is_killed_is_taken_up_by_the_next(self) -> None:
        """Killed while the answer to a request is on its way: its event is stored, and not entered."""
        command = [sys.executable, "-B", "-m", "metadata_connector"]
        path = os.pathsep.join([str(EXAMPLE / "connector"), str(_CONNECTOR / "src")])
        with Proxy(self.gateway.url, hold=_PAGE + 50) as proxy:
            child = subprocess.Popen(
                command + self.arguments(proxy.url), stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
            try:
                self.assertTrue(proxy.held.wait(60))
            finally:
                child.kill()
                child.wait()
        counts = self.run_once(self.gateway.url)
        # The first page was entered; of the second, at least what came before that request is stored.
        self.assertGreaterEqual(counts["duplicate"], 40)
        self.assertEqual(counts["duplicate"] + counts.get("accepted", 0), _OBJECTS - _PAGE)
        self.check_stored()

    def test_a_gateway_that_stays_away_is_told(self) -> None:
        self.gateway.kill()
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            self.assertEqual(main(self.arguments(self.gateway.url, **{"max-elapsed": "0.3"})), 1)
        self.assertEqual(json.loads(out.getvalue()), {"listed": _PAGE, "undelivered": _PAGE})
        self.assertIn("undelivered: scans/a/00000-.tif", errors.getvalue())
        self.gateway.start()
        self.assertEqual(self.run_once(self.gateway.url), {"listed": _OBJECTS, "accepted": _OBJECTS})
        self.check_stored()

    def test_what_is_rejected_is_told_and_not_posted_again(self) -> None:
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            counts = self.run_once(self.gateway.url, tenant="other", prefix="a/0000")
        self.assertEqual(counts, {"listed": 10, "rejected": 10})
        self.assertIn("tenant", errors.getvalue())
        self.assertEqual(self.run_once(self.gateway.url, tenant="other", prefix="a/0000"), {"listed": 10})

    def test_a_token_is_read_from_its_file_for_each_request(self) -> None:
        seen: List[str] = []

        def answer(headers: Dict[str, str]) -> int:
            seen.append(headers["authorization"])
            (self.folder / "token").write_text(f"token-{len(seen)}\n")
            return 401 if len(seen) == 1 else 0

        (self.folder / "token").write_text("token-0\n")
        with Proxy(self.gateway.url, answer=answer, api_key=self.gateway.api_key) as proxy:
            arguments = self.arguments(proxy.url, prefix="a/0000", connections="1")
            arguments = [word for word in arguments if not word.startswith("--api-key-file")]
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                self.assertEqual(main([*arguments, f"--token-file={self.folder / 'token'}"]), 0)
        self.assertEqual(json.loads(out.getvalue()), {"listed": 10, "accepted": 10})
        self.assertEqual(seen, [f"Bearer token-{n}" for n in range(11)])
