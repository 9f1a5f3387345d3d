"""Two processes take the steps of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stad_lite.training.distributed import first_alone, from_first
from stad_lite.training.loop import fit
from tests.training.tiny import CONFIG, Points, Tiny

REPOSITORY = Path(__file__).resolve().parents[2]


def torchrun(module: str, *words: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a module in processes of one machine, on a free port of the loopback device."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", str(processes), "-m", module, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8", timeout=300
    )


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left that trained together."""
    folder = tmp_path_factory.mktemp("together")
    done = torchrun("tests.training.tiny", "together", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The system that one process trained."""
    system = Tiny(dropout=0.0)
    run = tmp_path_factory.mktemp("alone")
    fit(system, Points(), CONFIG, run, device="cpu", say=lambda _: None)
    return system


def test_two_gloo_processes(together, alone):
    pair = torch.load(together / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert len(pair["random"]) == 2 and pair["step"] == CONFIG.steps
    for name, value in alone.network.state_dict().items():
        torch.testing.assert_close(pair["network"][name], value, rtol=0, atol=1e-5)
    about = json.loads((together / "run" / "run.json").read_text("utf-8"))
    assert about["processes"] == 2


def test_every_process_holds_what_all_gave(together):
    assert json.loads((together / "found.json").read_text("utf-8"))["ranks"] == [0, 1]


def test_all_processes_hear_why_the_first_failed(together):
    found = json.loads((together / "found.json").read_text("utf-8"))  # what the second process heard
    assert found["refusals"] == ["a.txt: the disk is gone; find it"] * 2


def test_one_process_works_for_itself():
    assert first_alone(lambda: 3) == from_first(lambda: 3) == 3
