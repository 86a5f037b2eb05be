"""The spool: its format, what a crash leaves behind, and that it is bounded."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import unittest
from collections import deque
from pathlib import Path
from typing import Any, Deque, Dict, List

from tidegate_connector import Client, InvalidEvent, Options, SpoolDamaged, SpoolError
from tidegate_connector.spool import Spool

from .conformance import table
from .server import Got, Server

_SPOOL = table("spool")
_CHILD = """
import sys
from tidegate_connector import Client, Options
client = Client(Options(sys.argv[1], api_key="k", spool=sys.argv[2], batch_age_s=0.001,
                        first_delay_s=0.001, max_delay_s=0.01, spool_bytes=int(sys.argv[3])))
start = int(sys.argv[4])
for n in range(start, start + 1_000_000):
    client.send({"idempotencyKey": f"k-{n}", "n": n})
    print(n, flush=True)
"""


def read_all(spool: Spool) -> List[str]:
    return [event.decode() for _, event in spool.read(10_000, 1 << 30)]


class Format(unittest.TestCase):
    def test_what_is_written(self) -> None:
        written = _SPOOL["written"]
        with tempfile.TemporaryDirectory() as folder:
            spool = Spool(folder, 1 << 20)
            for event in written["events"]:
                self.assertTrue(spool.append(event.encode()))
            spool.sync()
            self.assertEqual((Path(folder) / written["file"]).read_bytes().hex(), written["bytes"])
            spool.close()

    def test_what_is_recovered(self) -> None:
        for case in _SPOOL["recovered"]:
            with self.subTest(case["name"]), tempfile.TemporaryDirectory() as folder:
                self.check(case, Path(folder))

    def check(self, case: Dict[str, Any], folder: Path) -> None:
        for name, bytes_ in case["files"].items():
            (folder / name).write_bytes(bytes.fromhex(bytes_))
        if "position" in case:
            (folder / "position").write_text(case["position"])
        if "error" in case:
            before = {path.name: path.read_bytes() for path in folder.iterdir()}
            with self.assertRaisesRegex(SpoolDamaged, case["error"]):
                Spool(folder, 1 << 20)
            (folder / "lock").unlink()
            self.assertEqual({path.name: path.read_bytes() for path in folder.iterdir()}, before)
            return
        spool = Spool(folder, 1 << 20)
        self.assertEqual(spool.torn_bytes, case["torn_bytes"])
        self.assertEqual(spool.held_events, len(case["events"]))
        self.assertEqual(read_all(spool), case["events"])
        # What is added now stands where it can be read, behind what was recovered.
        spool.append(b'{"new":1}')
        spool.sync()
        self.assertEqual(read_all(spool), ['{"new":1}'])
        spool.close()
        again = Spool(folder, 1 << 20)
        self.assertEqual((read_all(again), again.torn_bytes), ([*case["events"], '{"new":1}'], 0))
        again.close()

    def test_it_belongs_to_one_client(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            spool = Spool(folder, 1 << 20)
            with self.assertRaisesRegex(SpoolError, "in use"):
                Spool(folder, 1 << 20)
            spool.close()
            Spool(folder, 1 << 20).close()


class Model(unittest.TestCase):
    """Against a list: random appends, reads, settlements out of order, and reopenings."""

    def test_nothing_is_lost_and_what_is_settled_in_order_never_returns(self) -> None:
        # What is on the disk after a power cut is not its matter: memory will do.
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        for seed in range(20):
            with self.subTest(seed=seed), tempfile.TemporaryDirectory(dir=memory) as folder:
                self.walk(random.Random(seed), folder)

    def walk(self, dice: random.Random, folder: str) -> None:
        most = dice.choice([4096, 20_000])
        spool = Spool(folder, most)
        waiting: Deque[bytes] = deque()
        open_: Dict[int, bytes] = {}
        settled: set[int] = set()
        number = 0
        for _ in range(300):
            step = dice.random()
            if step < 0.55:
                event = b"%d:" % number + b"x" * dice.randrange(300)
                number += 1
                if spool.append(event):
                    waiting.append(event)
                    spool.sync()
                else:
                    self.assertTrue(waiting or open_, "full, though it holds nothing")
            elif step < 0.75:
                for at, event in spool.read(dice.randrange(1, 8), dice.randrange(1, 2000)):
                    self.assertEqual(event, waiting.popleft())
                    open_[at] = event
            elif step < 0.97 and open_:
                some = [at for at in open_ if at not in settled and dice.random() < 0.6]
                settled.update(some)
                spool.settle(some)
                while open_ and min(open_) in settled:
                    del open_[min(open_)]
            elif step >= 0.97:
                spool.close()
                spool = Spool(folder, most)
                waiting.extendleft(reversed([open_[at] for at in sorted(open_)]))
                open_.clear()
                settled.clear()
            self.assertEqual(spool.held_events, len(waiting) + len(open_))
            self.assertLessEqual(sum(p.stat().st_size for p in Path(folder).glob("*.segment")), most)
        spool.close()


class Bounds(unittest.TestCase):
    def test_a_full_disk_is_told_and_takes_nothing_away(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            spool = Spool(folder, 1 << 20)
            spool.append(b'{"n":1}')
            real, spool._file = spool._file, os.open("/dev/full", os.O_WRONLY)
            full = spool._file
            with self.assertRaises(SpoolError):
                spool.append(b'{"n":2}')
            os.close(full)
            spool._file = real
            spool.close()
            again = Spool(folder, 1 << 20)
            self.assertEqual(read_all(again), ['{"n":1}'])
            again.close()

    def test_an_event_that_never_fits_is_refused(self) -> None:
        with Server(lambda *_: {"status": 503, "text": ""}) as server, tempfile.TemporaryDirectory() as folder:
            with Client(Options(server.url, api_key="k", spool=folder, spool_bytes=4096, close_timeout_s=0)) as client:
                with self.assertRaises(InvalidEvent):
                    client.send({"pad": "x" * 5000})
                client.send({"pad": "x" * 3900})


class Killed(unittest.TestCase):
    def test_what_was_taken_is_delivered_after_kill_9(self) -> None:
        """A child is killed again and again; the server fails now and then."""
        dice = random.Random(7)
        delivered: Dict[str, int] = {}
        lock = threading.Lock()

        def script(index: int, got: Got) -> Dict[str, Any]:
            with lock:
                if index % 7 == 3:
                    return {"status": 503, "text": ""}
                for event in got.events or []:
                    delivered[event["idempotencyKey"]] = delivered.get(event["idempotencyKey"], 0) + 1
            return {"break": True} if index % 11 == 5 else {"status": 202, "receipts": "accepted"}

        with Server(script) as server, tempfile.TemporaryDirectory() as folder:
            taken: List[int] = []
            for _ in range(6):
                start = (taken[-1] if taken else 0) + 1000
                taken.extend(self.run_child(server.url, folder, start, dice.randrange(5, 400)))
            options = Options(server.url, api_key="k", spool=folder, first_delay_s=0.001, max_delay_s=0.01)
            with Client(options) as client:
                self.assertTrue(client.flush(60))
                self.assertEqual(client.held, (0, 0))
        self.assertGreater(len(taken), 100)
        self.assertEqual([n for n in taken if f"k-{n}" not in delivered], [])

    def run_child(self, url: str, folder: str, start: int, lines: int) -> List[int]:
        """Kills it after so many events that it has told as taken; answers all that it has told."""
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, url, folder, str(1 << 20), str(start)],
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stdout is not None
        with child.stdout:
            told = [int(child.stdout.readline()) for _ in range(lines)]
            child.kill()
            told.extend(int(line) for line in child.stdout if line.endswith(b"\n"))
        child.wait()
        return told
