"""The GPU's benchmark on the CPU at tiny sizes: the code of every part and system, none of its figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import bench_gpu, gpu_parts
from benchmarks.bench_gpu import figure_of, main, measured, read, rows, table
from benchmarks.gpu_parts import PARTS, SMALL
from stad_lite.catalogue import ENTRIES
from stad_lite.nets.i3d import I3D
from stad_lite.reproduce import origin

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def settings_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    kept = torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    yield
    torch.set_num_threads(kept[0])
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = kept[1:]


def test_without_a_gpu_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--json", str(tmp_path / "gpu.json")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("There is no GPU here") and told.count("\n") == 1
    assert not (tmp_path / "gpu.json").exists()


@pytest.mark.parametrize("part", [name for name in PARTS if name not in ("forward", "resumed")])
def test_every_part_runs_on_the_cpu(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the systems in bfloat16; none of the rows says that it was not done."""
    monkeypatch.setattr(gpu_parts.bench_sp_tad, "WAYS", gpu_parts.bench_sp_tad.WAYS[:4])
    found = dict(rows(part, CPU, SMALL))
    assert found and json.loads(json.dumps(found)) == found
    left_out = [name for name, row in found.items() if str(row).startswith("not done")]
    assert left_out == []
    if part.startswith("system"):
        rates = [found["smoke"][call] for call in ("prediction", "training step")]
        assert all(max(value for key, value in rate.items() if "a second" in key) > 0 for rate in rates)
    if part.startswith("run"):
        assert found["times the CPU"] > 0


def test_the_systems_are_all_there() -> None:
    assert {f"{kind} {name}" for kind in ("system", "run") for name in ENTRIES} < set(PARTS)
    assert sum(seconds for _, seconds in PARTS.values()) < 1200
    assert {part for _, part, *_ in bench_gpu.GOALS} < set(PARTS)


def test_ways_of_i3d(monkeypatch: pytest.MonkeyPatch) -> None:
    every = gpu_parts.ways
    left = ("compiled, 4 input channels", "compiled, graphs", "8 input channels")
    monkeypatch.setattr(
        gpu_parts, "ways", lambda *given: {k: v for k, v in every(*given).items() if k not in left}
    )
    found = {name.rpartition(" x 32, ")[2]: row for name, row in rows("forward", CPU, SMALL)}
    assert found.pop("TFLOP") > 0 and list(found)[-1] == "compiled" and len(found) == 8
    for name, row in found.items():
        assert row["difference"] < (1e-6 if name.startswith("float32") else 0.03), name


def test_a_run_that_changes_its_device() -> None:
    ((_, changed),) = rows("resumed", CPU, SMALL)
    assert changed["within"] and set(changed["largest difference on the way"].values()) == {0.0}


def rows_of(_: Any, __: Any):
    yield "first", {"frames a second": 2.5}
    raise RuntimeError("no\nkernel")


def test_a_part_that_fails_keeps_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARTS, "step", (rows_of, 1))
    assert list(rows("step", CPU, SMALL)) == [
        ("first", {"frames a second": 2.5}),
        ("failed", "not done: RuntimeError: no kernel"),
    ]


@pytest.mark.parametrize(
    ("script", "last"),
    [
        ("import time; time.sleep(60)", ("stopped", "not done in 2 s")),
        ("raise SystemExit('no device')", ("failed", "not done: no device")),
        ("print('a warning')", ("first", 1)),
    ],
)
def test_a_process_that_ends_badly_is_a_row(script: str, last: tuple[str, Any], monkeypatch) -> None:
    lines = f"print('[\"first\", 1]', flush=True); {script}"
    popen = bench_gpu.subprocess.Popen
    monkeypatch.setattr(
        bench_gpu.subprocess, "Popen", lambda _, **named: popen([sys.executable, "-c", lines], **named)
    )
    found = list(measured("step", "cpu", True, 2))
    assert found[0] == ("first", 1) and found[-1] == last


def test_figures_are_written_as_they_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "gpu.json", []

    def told(name, device, small, seconds):
        yield "a clip every 6 frames", {"frames a second": 2000.0}
        seen.append(json.loads(path.read_text("utf-8"))["parts"])
        yield "failed", "not done"

    monkeypatch.setattr(bench_gpu, "measured", told)
    words = ["--device", "cpu", "--small", "--only", "step", "--json", str(path)]
    assert main(words) == 0
    assert seen == [{"step": {"a clip every 6 frames": {"frames a second": 2000.0}}}]
    kept = json.loads(path.read_text("utf-8"))
    assert kept["parts"]["step"]["failed"] == "not done" and kept["hardware"] and kept["commit"]
    assert kept["command"] == f"python -m benchmarks.bench_gpu {' '.join(words)}"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'step: a clip every 6 frames: {"frames a second": 2000.0}'
    assert any(line.split()[:3] == ["STEP,", "a", "clip"] and "2,000" in line for line in lines)


def test_the_table_sets_figures_beside_goals() -> None:
    found = {
        "sp_tad": {"8 windows, a": {"frames a second": 5.0}, "b": {"frames a second": 200_000}, "c": "x"}
    }
    assert figure_of(found["sp_tad"], ("*", "frames a second")) == 200_000
    assert figure_of({"x": "not done"}, ("x", "y")) is None
    _, first, second, *_ = table(found)
    assert first.split()[-5:] == ["200,000", "100,000", "5,574", "(V100)", "reached"]
    assert second.split()[-3:] == ["-", "40,000", "-"]
    assert list(read(["noise", '["a", 1]\n', "3"])) == [("a", 1)]


def test_a_run_that_leaves_the_tolerance_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([[2.0] * 9, [2.0] * 8 + [2.1]])
    monkeypatch.setattr(gpu_parts, "losses", lambda *_: next(found))
    monkeypatch.setattr(bench_gpu, "measured", lambda name, *_: rows(name, CPU, SMALL))
    assert main(["--device", "cpu", "--small", "--only", "resumed"]) == 1


def test_losses_of_a_stopped_run_are_those_of_one_go(tmp_path: Path) -> None:
    stopped = gpu_parts.losses(["cpu"] * 3, 1, tmp_path / "stopped")
    assert len(stopped) == 3 and stopped == gpu_parts.losses(["cpu"], 3, tmp_path / "one")


def test_more_input_channels_change_nothing() -> None:
    torch.manual_seed(0)
    net = I3D(width=0.125).eval()
    clips = torch.randn(1, 3, 8, 32, 32)
    wide = gpu_parts.with_channels(net, 8, 0.125)
    padded = torch.cat([clips, torch.randn(1, 5, 8, 32, 32)], 1)
    with torch.no_grad():
        torch.testing.assert_close(wide(padded), net(clips))


def test_what_a_way_cannot_do_is_told() -> None:
    def broken() -> None:
        raise RuntimeError("no\nkernel")

    row = gpu_parts._tried(broken, 1, CPU, SMALL, torch.ones(1), 1.0)
    assert row == "not done: no kernel"


def test_the_commit_is_git_s_or_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert origin.origin("c", "h", at="abc")["commit"] == "abc"
    monkeypatch.setattr(origin, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert origin.origin("c", "h") | {"date": ""} == {
        "hardware": "h", "date": "", "command": "c", "commit": "unknown"
    }  # fmt: skip
