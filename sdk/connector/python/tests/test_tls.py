"""Over TLS: who is trusted, who a gateway wants to see a certificate of, and what is said where that fails.
The certificates are made by `openssl`."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any, Tuple

from tidegate_connector import Client, Options, Outcome

from .server import Server

_ACCEPTED = {"status": 202, "receipts": "accepted"}


class Tls(unittest.TestCase):
    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        """An authority, and certificates that it has signed."""
        kept = tempfile.TemporaryDirectory()
        cls.addClassCleanup(kept.cleanup)
        cls.folder = Path(kept.name)
        cls.openssl("req -x509 -subj /CN=authority -days 2 -out ca.pem", "ca.key")
        for name, extension in (
            ("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")
        ):
            (cls.folder / "extension").write_text(extension)
            cls.openssl(f"req -subj /CN={name} -out request", f"{name}.key")
            cls.openssl(
                "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
                f" -extfile extension -out {name}.pem"
            )

    @classmethod
    def openssl(cls, words: str, new_key: str = "") -> None:
        """With a new key, where its file is named."""
        new = f"-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {new_key}" if new_key else ""
        subprocess.run(
            ["openssl", *words.split(), *new.split()], cwd=cls.folder, check=True, capture_output=True
        )

    def server(self, asks: bool) -> Server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.folder / "ca.pem")
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
        return Server(lambda *_: _ACCEPTED, context)

    def post(self, url: str, **more: Any) -> Tuple[Outcome, Outcome]:
        options = Options(url, api_key="k", max_attempts=2, first_delay_s=0.001, batch_events=1, **more)
        with Client(options) as client:
            one, other = client.post([{"n": 1}, {"n": 2}])
        return one, other

    def test_only_those_who_are_trusted_see_an_event(self) -> None:
        with self.server(asks=False) as server:
            for outcome in self.post(server.url):
                self.assertEqual(outcome.status, "undelivered")
                self.assertIn("CERTIFICATE_VERIFY_FAILED", outcome.why)
            outcomes = self.post(server.url, ca_file=self.folder / "ca.pem", connections=1)
            self.assertEqual([outcome.status for outcome in outcomes], ["accepted"] * 2)
            # One connection serves both.
            self.assertEqual(len({got.connection for got in server.got}), 1)
            named = server.url.replace("127.0.0.1", "localhost")
            (outcome, _) = self.post(named, ca_file=self.folder / "ca.pem")
            self.assertIn("CERTIFICATE_VERIFY_FAILED", outcome.why)
            self.assertEqual(len(server.got), 2)

    def test_a_gateway_that_asks_for_a_certificate_gets_it(self) -> None:
        with self.server(asks=True) as server:
            for outcome in self.post(server.url, ca_file=self.folder / "ca.pem"):
                self.assertEqual(outcome.status, "undelivered")
            self.assertEqual(server.got, [])
            identity = (self.folder / "client.pem", self.folder / "client.key")
            outcomes = self.post(server.url, ca_file=self.folder / "ca.pem", identity=identity)
            self.assertEqual([outcome.status for outcome in outcomes], ["accepted"] * 2)

    def test_files_that_cannot_be_used_are_named(self) -> None:
        own, other = self.folder / "client.pem", self.folder / "server.key"
        plain, none = self.folder / "plain.txt", self.folder / "none.pem"
        plain.write_text("no PEM")
        for more, part in (
            ({"ca_file": none}, "none.pem"), ({"ca_file": plain}, "plain.txt"),
            ({"identity": (own, none)}, "none.pem"), ({"identity": (plain, other)}, "plain.txt"),
            ({"identity": (own, other)}, "server.key"),
        ):
            with self.assertRaisesRegex(ValueError, part):
                Client(Options("https://gateway", api_key="k", **more))
        with self.assertRaisesRegex(ValueError, "https"):
            Client(Options("http://gateway", api_key="k", ca_file=own))
