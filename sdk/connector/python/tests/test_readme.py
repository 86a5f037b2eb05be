"""What the README shows, run against the real gateway."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List

from .gateway import Gateway

_README = Path(__file__).resolve().parents[1] / "README.md"


class Readme(unittest.TestCase):
    def test_what_it_shows_runs(self) -> None:
        blocks: List[str] = re.findall(r"```python\n(.*?)```", _README.read_text(), re.DOTALL)
        self.assertEqual(len(blocks), 2)
        with Gateway() as gateway, tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "api-key").write_text(gateway.api_key + "\n")
            names: Dict[str, Any] = {}
            out = io.StringIO()
            for block in blocks:
                for shown, real in (
                    ("http://127.0.0.1:8080", gateway.url),
                    ('"api-key"', repr(f"{folder}/api-key")),
                    ("/var/spool/readings", f"{folder}/spool"),
                ):
                    block = block.replace(shown, real)
                with contextlib.redirect_stdout(out):
                    exec(compile(block, "README.md", "exec"), names)
        self.assertEqual(out.getvalue().count(" accepted "), 2, out.getvalue())
        self.assertTrue(names["report"].is_complete)
