"""The page on papermill: each of its lines is run, and ends with the exit code that it tells."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 240
"""For one line; each takes less than twenty on an idle machine."""
PAGE = (ROOT / "book" / "papermill.md").read_text("utf-8")
LINES = [
    (line, int(code))
    for block in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line, code in re.findall(r"^(\S.*?)  # (\d)", block, re.MULTILINE)
]
LINES.append((f"{LINES[0][0].split(' -p ')[0]} -p nonsense 1", 1))  # which no printed line may say
SENTENCES = {
    "-p nonsense 1": "parameter nonsense|parameter 'nonsense'",
    "-p late 99": "parameter late is 99; give a whole number from 0 to 23",
    "-p seeds -3": "parameter seeds is -3; give a number from 1",
    "-p seed -1": "no chosen chapter has a parameter 'seed'|seed is -1; give a number from 0",
    "-p data no/such/folder": "no/such/folder: there is no such folder",
}


def test_all_lines_are_found():
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(LINES) - 1 == sum(block.count("\n") for block in blocks) == 8


def run(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line; once more where papermill's event loop has missed a message and waits for good."""
    for _ in range(3):
        try:
            return subprocess.run(
                words, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            continue
    pytest.fail(f"{words} did not end")


@pytest.mark.parametrize(("line", "code"), LINES, ids=lambda value: str(value)[-40:])
def test_a_line_ends_as_it_says(line, code, tmp_path):
    words = shlex.split(line.replace("runs/mine", str(tmp_path / "mine")))
    start = {"papermill": [sys.executable, "-m", "papermill"], "python": [sys.executable]}[words[0]]
    environment = os.environ | {"STAD_PROGRESS": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = run([*start, *words[1:]], environment)
    told = done.stdout + done.stderr
    assert done.returncode == code, told[-2000:]
    for given, sentence in SENTENCES.items():
        if given in line:
            assert re.search(sentence, told), told[-2000:]
