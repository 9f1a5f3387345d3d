"""The GPU's benchmark on the CPU at tiny sizes: all of its code, none of its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import bench_gpu, measure
from stad_lite.nets.i3d import I3D


@pytest.fixture(autouse=True)
def settings_of_torch():
    kept = torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    yield
    torch.set_num_threads(kept[0])
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = kept[1:]


def test_without_a_gpu_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench_gpu.main(["--json", str(tmp_path / "gpu.json")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("There is no GPU here") and told.count("\n") == 1
    assert not (tmp_path / "gpu.json").exists()


def test_all_of_it_runs_on_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_gpu, "ENTRIES", {"sp_tad": bench_gpu.ENTRIES["sp_tad"]})
    every = bench_gpu.ways
    monkeypatch.setattr(bench_gpu, "ways", lambda *given: dict(list(every(*given).items())[:7]))
    path = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--small", "--json", str(path)]
    assert bench_gpu.main(words) == 0
    told = json.loads(path.read_text("utf-8"))
    assert told == json.loads(capsys.readouterr().out)
    assert told["command"] == f"python -m benchmarks.bench_gpu {' '.join(words)}"
    assert told["hardware"] and told["date"].startswith("20") and told["commit"]
    (rows,) = told["I3D forward"].values()
    flop, parts = rows.pop("TFLOP"), rows.pop("layers, channels last")
    assert flop > 0 and len(parts) == 16
    assert list(rows)[-2:] == ["CUDA graph", "compiled"] and len(rows) == 7
    for name, row in rows.items():
        assert row["difference"] < (1e-6 if name.startswith("float32") else 0.03), name
        assert row["TFLOP/s"] == pytest.approx(flop / row["ms"] * 1e3, rel=0.01)
    steps = told["training with autocast"]
    assert list(steps) == ["I3D, 1 x 3 x 16 x 64 x 64", "sp_tad, smoke"]
    assert steps["sp_tad, smoke"]["frames"] == 64
    whole = told["whole detectors"]
    ways = whole["SP-TAD, RGB to segments"]["1 windows"]
    assert list(ways) == list(bench_gpu.bench_sp_tad.WAYS)
    assert all(row["frames a second"] > 0 for row in ways.values())
    seen = whole["STEP, RGB and flow to boxes"]["a clip every 6 frames"]
    assert seen["frames a second"] > 0 and 0 < seen["share of the backbone, %"] < 100
    changed = told["a run that changes its device"]
    assert changed["within"] and set(changed["largest difference on the way"].values()) == {0.0}


def test_a_run_that_leaves_the_tolerance_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([[2.0] * 9, [2.0] * 8 + [2.1]])
    monkeypatch.setattr(bench_gpu, "losses", lambda *_: next(found))
    assert bench_gpu.main(["--device", "cpu", "--small", "--only", "resumed"]) == 1


def test_losses_of_a_stopped_run_are_those_of_one_go(tmp_path: Path) -> None:
    stopped = bench_gpu.losses(["cpu"] * 3, 1, tmp_path / "stopped")
    assert len(stopped) == 3 and stopped == bench_gpu.losses(["cpu"], 3, tmp_path / "one")


def test_more_input_channels_change_nothing() -> None:
    torch.manual_seed(0)
    net = I3D(width=0.125).eval()
    clips = torch.randn(1, 3, 8, 32, 32)
    wide = bench_gpu.with_channels(net, 8, 0.125)
    padded = torch.cat([clips, torch.randn(1, 5, 8, 32, 32)], 1)
    with torch.no_grad():
        torch.testing.assert_close(wide(padded), net(clips))


def test_what_a_way_cannot_do_is_told() -> None:
    def broken() -> None:
        raise RuntimeError("no\nkernel")

    row = bench_gpu._tried(broken, 1, torch.device("cpu"), bench_gpu.SMALL, torch.ones(1), 1.0)
    assert row == "not done: no kernel"


def test_the_commit_is_git_s_or_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure.origin("c", "h", at="abc")["commit"] == "abc"
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert measure.origin("c", "h") | {"date": ""} == {
        "hardware": "h", "date": "", "command": "c", "commit": "unknown"
    }  # fmt: skip
