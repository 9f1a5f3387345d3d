"""Two processes take the steps of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stad_lite.training.distributed import predict
from stad_lite.training.loop import fit
from tests.training.tiny import CONFIG, Points, Tiny

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_gloo_processes(tmp_path):
    if not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.tiny", "together", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    system = Tiny(dropout=0.0)
    fit(system, Points(), CONFIG, tmp_path / "alone", device="cpu", say=lambda _: None)
    pair = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert len(pair["random"]) == 2 and pair["step"] == CONFIG.steps
    for name, value in system.network.state_dict().items():
        torch.testing.assert_close(pair["network"][name], value, rtol=0, atol=1e-5)

    found = torch.load(tmp_path / "predictions.pt", weights_only=True)
    expected = torch.tensor(predict(system, Points(count=7), device="cpu"))
    assert found.shape == (7,)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
