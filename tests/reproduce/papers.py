"""The papers' own text, for tests that look a figure or a number up in it.

STAD_PAPERS names a folder with one text file a paper (``cfad.txt``, ...), cells of tables parted by tabs.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest


def lines_of(paper: str) -> list[str]:
    """Return a paper's lines without bold marks; the test is skipped where there are no papers."""
    path = Path(os.environ.get("STAD_PAPERS", "")) / f"{paper}.txt"
    if not path.is_file():
        pytest.skip("STAD_PAPERS names no folder with the papers' text")
    return [re.sub(r"</?b>|\*\*", "", line) for line in path.read_text(encoding="utf-8").split("\n")]
