"""The client in time: who waits, for how long, and what is told at the end."""

from __future__ import annotations

import tempfile
import threading
import time
import unittest
from typing import Any, Dict, List

from tidegate_connector import Client, Closed, Full, InvalidEvent, Options, Outcome, Stopped

from .server import Got, Server

_ACCEPTED = {"status": 202, "receipts": "accepted"}


def options(server: Server, **more: Any) -> Options:
    named: Dict[str, Any] = {"api_key": "k", "first_delay_s": 0.001, "max_delay_s": 0.004, **more}
    return Options(server.url, **named)


class Gate:
    """A script that holds its answers back until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.asked = threading.Event()

    def __call__(self, _: int, __: Got) -> Dict[str, Any]:
        self.asked.set()
        self.opened.wait(30)
        return _ACCEPTED


class Backpressure(unittest.TestCase):
    def test_send_waits_for_room_or_tells(self) -> None:
        for kind in ("events", "bytes", "spool"):
            gate = Gate()
            with self.subTest(kind), Server(gate) as server, tempfile.TemporaryDirectory() as folder:
                kinds: Dict[str, Dict[str, Any]] = {
                    "events": {"queue_events": 3},
                    "bytes": {"queue_bytes": 3 * 153},
                    "spool": {"spool": folder, "spool_bytes": 4096},
                }
                more = kinds[kind]
                event = {"idempotencyKey": "k", "pad": "x" * 121}
                with Client(options(server, batch_events=1, connections=1, **more)) as client:
                    taken = 0
                    with self.assertRaises(Full):
                        while True:
                            client.send(event, timeout_s=0.05)
                            taken += 1
                    self.assertEqual(taken, 25 if kind == "spool" else 3)
                    self.assertEqual(client.held[0], taken)
                    waiting = threading.Thread(target=client.send, args=[event])
                    waiting.start()
                    waiting.join(0.05)
                    self.assertTrue(waiting.is_alive(), "it did not wait")
                    gate.opened.set()
                    waiting.join(30)
                    self.assertFalse(waiting.is_alive())
                    self.assertTrue(client.flush(30))
                self.assertEqual(sum(len(got.events or []) for got in server.got), taken + 1)

    def test_what_never_fits_is_refused_at_once(self) -> None:
        with Server(lambda *_: _ACCEPTED) as server:
            with Client(options(server, queue_bytes=100)) as client, self.assertRaises(InvalidEvent):
                client.send({"pad": "x" * 100})


class Batches(unittest.TestCase):
    def test_age_ends_the_wait_for_company(self) -> None:
        with Server(lambda *_: _ACCEPTED) as server:
            with Client(options(server, batch_age_s=0.2)) as client:
                begun = time.monotonic()
                client.send({"n": 1})
                client.send({"n": 2})
                while client.held[0]:
                    time.sleep(0.005)
                self.assertGreaterEqual(time.monotonic() - begun, 0.2)
            self.assertEqual([len(got.events or []) for got in server.got], [2])

    def test_flush_does_not_wait_for_company(self) -> None:
        with Server(lambda *_: _ACCEPTED) as server:
            with Client(options(server, batch_age_s=3600)) as client:
                client.send({"n": 1})
                self.assertTrue(client.flush(30))
                self.assertEqual(client.held, (0, 0))

    def test_connections_work_at_once(self) -> None:
        together = threading.Barrier(3, timeout=30)

        def script(_: int, __: Got) -> Dict[str, Any]:
            together.wait()
            return _ACCEPTED

        with Server(script) as server:
            with Client(options(server, batch_events=1, connections=3)) as client:
                for n in range(6):
                    client.send({"n": n})
                self.assertTrue(client.flush(30))
            self.assertEqual(server.failures, [])
            self.assertEqual(len({got.connection for got in server.got}), 3)


    def test_post_uses_all_connections_and_answers_in_order(self) -> None:
        together = threading.Barrier(3)

        def script(_: int, got: Got) -> Dict[str, Any]:
            together.wait(30)
            return _ACCEPTED

        with Server(script) as server, Client(options(server, batch_events=2, connections=3)) as client:
            for _ in range(2):
                outcomes = client.post({"idempotencyKey": f"k-{n}"} for n in range(6))
                self.assertEqual([outcome.key for outcome in outcomes], [f"k-{n}" for n in range(6)])
                self.assertEqual({outcome.status for outcome in outcomes}, {"accepted"})
            self.assertEqual(len({got.connection for got in server.got}), 3)

    def test_what_a_callback_raises_ends_a_post(self) -> None:
        def broken(_: object) -> None:
            raise KeyError("the metrics are gone")

        with Server(lambda *_: _ACCEPTED) as server:
            client = Client(options(server, batch_events=1, connections=3, on_request=broken))
            with self.assertRaises(KeyError):
                client.post([{"n": n} for n in range(50)])
            self.assertLess(len(server.got), 10)
            client.close()


class Close(unittest.TestCase):
    def test_close_tells_what_was_not_delivered(self) -> None:
        for keep in (False, True):
            gate = Gate()
            told: List[Outcome] = []
            with self.subTest(spool=keep), Server(gate) as server, tempfile.TemporaryDirectory() as folder:
                more = {"spool": folder} if keep else {}
                client = Client(options(server, connections=1, batch_events=2, on_outcome=told.append, **more))
                keys = [client.send({"n": n}) for n in range(5)]
                self.assertTrue(gate.asked.wait(30))
                begun = time.monotonic()
                report = client.close(timeout_s=0.1)
                self.assertLess(time.monotonic() - begun, 5)
                self.assertFalse(report.is_complete)
                lost: List[Outcome] = list(report.undelivered)
                if keep:
                    self.assertEqual((report.spooled, lost, told), (5, [], []))
                else:
                    self.assertEqual((report.spooled, lost), (0, told))
                    self.assertEqual([outcome.key for outcome in lost], keys)
                    self.assertEqual([outcome.attempts for outcome in lost], [1, 1, 0, 0, 0])
                self.assertIs(client.close(), report)
                with self.assertRaises((Closed, Stopped)):
                    client.send({"n": 9})
                gate.opened.set()

    def test_close_delivers_what_it_can(self) -> None:
        with Server(lambda i, _: {"status": 503, "text": ""} if i < 3 else _ACCEPTED) as server:
            client = Client(options(server))
            client.send({"n": 1})
            self.assertTrue(client.close(timeout_s=30).is_complete)


class Stops(unittest.TestCase):
    def test_refused_credentials_stop_and_tell_why(self) -> None:
        told: List[Outcome] = []
        with Server(lambda *_: {"status": 403, "body": {"title": "the API key was revoked"}}) as server:
            with Client(options(server, batch_events=1, connections=1, on_outcome=told.append)) as client:
                client.send({"n": 1})
                self.assertFalse(client.flush(30))
                with self.assertRaisesRegex(Stopped, "revoked"):
                    client.send({"n": 2})
        self.assertEqual([outcome.status for outcome in told], ["undelivered"])

    def test_a_spool_keeps_what_refused_credentials_left(self) -> None:
        answers = [{"status": 401, "body": {"title": "unknown"}}, _ACCEPTED]
        with Server(lambda i, _: answers[i]) as server, tempfile.TemporaryDirectory() as folder:
            with Client(options(server, spool=folder, batch_age_s=3600)) as client:
                client.send({"n": 1})
                client.send({"n": 2})
                self.assertFalse(client.flush(30))
                self.assertEqual(client.close().spooled, 2)
            with Client(options(server, spool=folder)) as client:
                self.assertTrue(client.flush(30))
            self.assertEqual(len(server.got[0].events or []), 2)
            self.assertEqual(server.got[0].events, server.got[1].events)

    def test_a_callback_that_fails_stops_the_client_and_settles_nothing(self) -> None:
        def on_outcome(_: Outcome) -> None:
            raise RuntimeError("the ledger is gone")

        with Server(lambda *_: _ACCEPTED) as server, tempfile.TemporaryDirectory() as folder:
            with Client(options(server, spool=folder, on_outcome=on_outcome)) as client:
                client.send({"n": 1})
                self.assertFalse(client.flush(30))
                with self.assertRaisesRegex(Stopped, "the ledger is gone"):
                    client.send({"n": 2})
                self.assertEqual(client.close().spooled, 1)


class Tokens(unittest.TestCase):
    def test_a_callback_without_a_token_is_asked_again(self) -> None:
        asked: List[bool] = []

        def token(renew: bool) -> str:
            asked.append(renew)
            if len(asked) < 3:
                raise RuntimeError("the issuer is away")
            return "t"

        with Server(lambda *_: _ACCEPTED) as server:
            with Client(Options(server.url, token=token, first_delay_s=0.001)) as client:
                (outcome,) = client.post([{"n": 1}])
            self.assertEqual((outcome.status, asked), ("accepted", [False, False, False]))
            self.assertEqual(server.got[0].headers["authorization"], "Bearer t")


class OptionsAreChecked(unittest.TestCase):
    def test_bounds(self) -> None:
        good: Dict[str, Any] = {"url": "http://h", "api_key": "k"}
        for wrong, word in (
            ({"url": "h:1"}, "address"), ({"url": "ftp://h"}, "address"),
            ({"url": "http://u@h"}, "user name"), ({"url": "http://h?q"}, "query"),
            ({"api_key": None}, "one of"), ({"token": lambda _: "t"}, "one of"),
            ({"api_key": "a\nb"}, "header"), ({"encoding": "br"}, "encoding"),
            ({"batch_events": 0}, "batch_events"), ({"connections": 65}, "connections"),
            ({"spool_bytes": 100}, "spool_bytes"), ({"key_field": ""}, "key_field"),
        ):
            with self.subTest(wrong), self.assertRaisesRegex(ValueError, word):
                Client(Options(**{**good, **wrong}))

    def test_the_key_does_not_show(self) -> None:
        self.assertNotIn("canary", repr(Options("http://h", api_key="canary")))
