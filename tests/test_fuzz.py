"""A short run of ``make fuzz``: damaged files at every reader."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutations import mutated

pytest.importorskip("av")


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--count", "12", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_damages_are_damages_and_come_again() -> None:
    data = b'{"format": "a", "boxes": [1.5, 2, 3]}' * 9
    made = [mutated(data, random.Random(seed)) for seed in range(200)]
    assert made == [mutated(data, random.Random(seed)) for seed in range(200)]
    assert len(set(made)) > 190 and sum(one == data for one in made) < 5
