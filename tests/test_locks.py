"""Two processes at one file: sweeps lose no row, and a run's folder takes one run at a time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stad_lite.errors import StadError
from stad_lite.locks import held
from stad_lite.reproduce.rows import read_sweep
from stad_lite.training import run_folder
from stad_lite.training.loop import fit
from tests.training.tiny import CONFIG, Points, Tiny

ROWS = 12
ADDING = f"""
import sys
from stad_lite.reproduce.rows import Row, keep_row
for seed in range({ROWS}):
    keep_row("toy", "smoke", Row(sys.argv[2], seed, {{}}, {{"map": 1.0}}), sys.argv[1])
"""


def test_sweeps_at_once_lose_no_row(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ADDING, str(tmp_path)]
    adding = [subprocess.Popen([*command, f"variant{i}"]) for i in range(3)]
    assert [one.wait(timeout=300) for one in adding] == [0, 0, 0]
    kept = read_sweep("toy", "smoke", tmp_path)
    assert len({(row.variant, row.seed) for row in kept.rows}) == 3 * ROWS


def test_a_folder_takes_one_run_at_a_time(tmp_path: Path) -> None:
    run, config = tmp_path / "run", replace(CONFIG, steps=4)
    with run_folder.alone(run / "checkpoints"):
        with pytest.raises(StadError, match="another process is at work here; let that run end"):
            fit(Tiny(), Points(), config, run, device="cpu", say=str)
        assert not (run / "config.json").exists()
    fit(Tiny(), Points(), config, run, device="cpu", say=str)
    steps = [line["step"] for line in run_folder.read_metrics(run)]
    assert steps == sorted(set(steps))


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from stad_lite.locks import held\n"
        "with held(sys.argv[1]): print(flush=True); time.sleep(600)"
    )
    holding = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert holding.stdout is not None and holding.stdout.readline()
    with (
        pytest.raises(StadError, match="another process is at work here; wait for it"),
        held(tmp_path / "lock"),
    ):
        pass
    holding.kill()
    holding.wait(timeout=60)
    holding.stdout.close()
    with held(tmp_path / "lock", patience=10):
        pass
