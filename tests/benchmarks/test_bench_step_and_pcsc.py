"""The benchmarks of STEP and PCSC do what they say; what they measure is not looked at here."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import bench_pcsc, bench_step, measure
from stad_lite.data.source import VideoSource
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.step import system as pipeline
from stad_lite.step.config import StepConfig
from stad_lite.step.model import decode


@pytest.fixture(autouse=True)
def threads():
    kept = torch.get_num_threads()
    yield
    torch.set_num_threads(kept)


def figures(told):
    for part in told.values():
        assert {"hardware", "date", "commit", "torch"} < set(part) and " --only " in part["command"]
    return {name: part["figures"] for name, part in told.items()}


def test_every_part_runs_at_tiny_sizes(tmp_path, capsys):
    rows = {"backbone, ms", "heads, ms", "decoding, ms", "share of the backbone, %", "frames a second"}
    bench_step.main(["--small", "--json", str(tmp_path / "step.json")])
    told = json.loads((tmp_path / "step.json").read_text("utf-8"))
    assert told == json.loads(capsys.readouterr().out) and list(told) == list(bench_step.TITLES.values())
    curve, counts, _, ava, seen = figures(told).values()
    assert list(curve) == [f"{n} steps, {kind}" for kind in ("one clip", "extended") for n in (1, 3)]
    assert all(rows <= set(row) for row in curve.values())
    assert set(counts) == {"grid5", "grid11"} and ava["classes"] == 60
    fast = seen["a clip every 2 frames"]
    assert fast["frames a second"] > 0 and fast["GFLOP a frame"] > 0

    bench_pcsc.main(["--small", "--json", str(tmp_path / "pcsc.json")])
    stages, by_message, paper = figures(json.loads((tmp_path / "pcsc.json").read_text("utf-8"))).values()
    assert list(stages) == ["0 stages", "2 stages"]
    assert list(by_message) == ["none", "roi", "image", "both"]
    counts = [row["parameters"] for row in by_message.values()]
    assert counts[0] < counts[1] and counts[0] < counts[2]
    assert counts[3] - counts[0] == counts[1] + counts[2] - 2 * counts[0]
    assert paper["training step"]["CPU s"] > 0


def test_a_part_measured_anew_leaves_the_others(tmp_path, capsys):
    file = tmp_path / "some.json"
    measure.report_parts({"a": {"n": 1}, "b": {"n": 2}}, str(file))
    measure.report_parts({"b": {"n": 3}}, str(file))
    assert json.loads(file.read_text("utf-8")) == {"a": {"n": 1}, "b": {"n": 3}}


def test_extension_grows_by_a_clip_on_either_side():
    base = StepConfig.lesson()
    for steps in (1, 2, 3, 4):
        assert bench_step.with_steps(base, steps, True).clips == (1, 3, 5, 7)[:steps]
        assert bench_step.with_steps(base, steps, False).clips == (1,) * steps


@pytest.mark.parametrize("stride", [1, 5])
def test_frames_to_boxes_finds_what_the_pipeline_finds(stride):
    config = replace(StepConfig.smoke(), pretrained="", frozen=False, stride=stride)
    run = bench_step.EndToEnd(config, torch.device("cpu"), stride, classes=3)
    frames = np.random.default_rng(0).integers(0, 256, (16, 48, 48, 3), dtype=np.uint8)
    truth = Annotations("toy", (), {"v": VideoAnnotation(16, 48, 48, fps=10.0)})
    source = VideoSource(truth, (48, 48), lambda _, numbers: frames[numbers])
    ours = run.run("whole", torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()))
    ((_, runs, steps),) = pipeline.look(run.system, source)
    theirs = decode(steps[-1], config)
    assert len(ours) == len(theirs) == len(runs) == 10 // stride + 1
    for one, other in zip(ours, theirs, strict=True):
        assert len(one) == len(other) > 0
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-3)  # the pipeline keeps float16
