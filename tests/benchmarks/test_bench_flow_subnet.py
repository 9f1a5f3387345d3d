"""The benchmark of the flow subnet does what it says; what it measures is not looked at here."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import bench_flow_subnet


@pytest.fixture(autouse=True)
def threads():
    kept = torch.get_num_threads()
    yield
    torch.set_num_threads(kept)


def test_every_part_runs_at_tiny_sizes(tmp_path):
    file = tmp_path / "flow_subnet.json"
    bench_flow_subnet.main(["--small", "--json", str(file)])
    told = json.loads(file.read_text("utf-8"))
    assert list(told) == list(bench_flow_subnet.TITLES.values())
    for part in told.values():
        assert {"hardware", "date", "commit", "torch"} < set(part) and " --only " in part["command"]
    streaming, account, paper = (part["figures"] for part in told.values())
    assert streaming["ratio"] > 0 and streaming["ratio of the flow"] > 0
    shares = [value for name, value in account.items() if name.startswith("share of ")]
    assert len(shares) == 6 and sum(shares) == pytest.approx(100, abs=1)
    assert paper["training step"]["CPU s"] > 0 and paper["default boxes"] > 0


def test_both_ways_find_the_same_boxes():
    system = bench_flow_subnet.build("smoke", ("run", "jump"))
    frames = bench_flow_subnet.noise(4, system.config.size)
    assert bench_flow_subnet.streamed(system, frames) == bench_flow_subnet.recomputed(system, frames) > 0
