"""The benchmark of all systems beside each other measures them all; how much it measures is not looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import bench_protocol
from stad_lite.catalogue import ENTRIES
from stad_lite.reproduce.experiments import protocol
from stad_lite.training.profile import parameters

KEPT = Path(bench_protocol.__file__).parent / "results" / "protocol.json"
(TITLE,) = bench_protocol.TITLES.values()


@pytest.fixture(autouse=True)
def threads():
    kept = torch.get_num_threads()
    yield
    torch.set_num_threads(kept)


def test_all_systems_are_measured(tmp_path, capsys):
    bench_protocol.main(["--small", "--json", str(tmp_path / "some.json")])
    told = json.loads((tmp_path / "some.json").read_text("utf-8"))
    assert told == json.loads(capsys.readouterr().out)
    rows = told[TITLE]["figures"]
    assert list(rows) == list(ENTRIES)
    assert rows["baseline"]["times the first row's"] == 1
    for row in rows.values():
        assert row["ms"] > 0 and row["GFLOP"] > 0 and row["parameters"] > 0


def test_the_kept_figures_are_of_todays_networks():
    rows = json.loads(KEPT.read_text("utf-8"))[TITLE]["figures"]
    for name, entry in ENTRIES.items():
        system = entry.rebuild(protocol.config_of(name, "lesson"), protocol.clips("smoke", "test").classes)
        assert rows[name]["parameters"] == parameters(system.network)[0], name
