"""What real data brings: sides that are no multiple of 64, first and last frames, frames that change size.

What a stream refuses tells ``test_stream``, which frames stand for missing ones ``test_sequences``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stad_lite import records
from stad_lite.cli import main
from stad_lite.data.source import VideoSource, open_source
from stad_lite.errors import FormatError
from stad_lite.flow_subnet import system as pipeline
from stad_lite.flow_subnet.config import FlowSubnetConfig, schedule
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.training.loop import fit
from stad_lite.training.profile import profile
from stad_lite.tubes import Tube
from tests.data.test_video import encode
from tests.flow_subnet.cases import CLASSES, config, video

DEEP = {"flow_depth": 6, "flow_width": 0.05, "flow_reach": 1}
"""A PWC-Net of all levels, whose input is a multiple of 64."""


def source(count: int, side: int = 48) -> VideoSource:
    """One video with an actor on all its frames, and flow."""
    tube = Tube(0, np.tile([side / 6, side / 8, side / 2, 0.9 * side], (count, 1)), "jump")
    known = {"a": VideoAnnotation(count, side, side, 10.0, count / 10, tubes=(tube,))}
    frames, flow = video(count, side), np.ones((count, side, side, 2), np.float32)
    return VideoSource(
        Annotations("noise", CLASSES, known), (side, side), lambda v, n: frames[n], lambda v, n: flow[n]
    )


def made(**changes: Any) -> pipeline.FlowSubnetSystem:
    torch.manual_seed(0)
    return pipeline.build(config(min_score=0.0, frozen_items=0, **changes), CLASSES)


def learnt(system: pipeline.FlowSubnetSystem, clips: VideoSource) -> dict[str, float]:
    """The terms on all annotated frames, after their gradients were seen to be finite."""
    data = pipeline.training_set(system, clips)
    terms = system.loss(pipeline.collate([data[place] for place in range(len(data))]))
    torch.stack(list(terms.values())).sum().backward()
    gradients = [p.grad for p in system.network.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(grad).all() for grad in gradients)
    return {name: float(value.detach()) for name, value in terms.items()}


def streamed(system: pipeline.FlowSubnetSystem, clips: VideoSource) -> list[Any]:
    flow = iter(range(clips.num_frames("a")))
    given = system.config.estimator == "given"
    stream = pipeline.stream(system, (lambda a, b: clips.flow("a", [next(flow)])[0]) if given else None)
    found = [one for frame in clips.frames("a", range(clips.num_frames("a"))) for one in stream.push(frame)]
    return found + stream.close()


def detected(system: pipeline.FlowSubnetSystem, clips: VideoSource) -> np.ndarray:
    """The frames that boxes are on, the same at once and as they come, and inside of the frame."""
    rows = pipeline.detect(system, clips).videos["a"].frames
    assert (rows.box >= 0).all() and (rows.box <= clips.size[0]).all()
    for one in streamed(system, clips):
        whole = rows.box[rows.frame == one.frame]
        np.testing.assert_allclose(one.found.boxes, whole, rtol=1e-3, atol=1e-2)
    return np.unique(rows.frame)


@pytest.mark.parametrize("side", [36, 52, 72, 100])
def test_sides_that_are_no_multiple_of_64(side):
    """The flow network sees the next multiple; boxes and flow are in the frames' own pixels."""
    system = made(size=(side, side), **DEEP)
    assert system.network.motion.input_size(side, side) == ((128, 128) if side > 64 else (64, 64))
    assert set(learnt(system, source(3, side))) == {"class", "box", "flow"}
    assert detected(system, source(3, side)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("changes", [{}, {"pairs": "one"}, {"estimator": "given"}], ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_videos_of_one_frame_and_of_two_are_learnt_from_and_looked_at(count, changes):
    """All their frames are first or last ones."""
    system = made(**changes)
    terms = learnt(system, source(count))
    assert all(np.isfinite(value) for value in terms.values()) and terms["class"] > 0
    assert detected(system, source(count)).tolist() == list(range(count))


def test_videos_of_another_size_are_refused_before_they_are_read():
    system, other = made(), source(3, 64)
    for use in (pipeline.training_set, pipeline.detect):
        with pytest.raises(FormatError, match=r"\(64, 64\).*\(48, 48\)"):
            use(system, other)


@pytest.fixture
def changing(tmp_path: Path) -> Path:
    """A file whose frames become larger after the fourth."""
    parts = [encode(tmp_path / f"{side}.h264", video(4, side), "libx264").read_bytes() for side in (32, 48)]
    path = tmp_path / "own" / "both.h264"
    path.parent.mkdir()
    path.write_bytes(b"".join(parts))
    return path


def test_a_file_whose_frames_change_size_is_named_by_every_verb(changing, tmp_path, capsys, monkeypatch):
    """``train`` and ``predict`` refuse it, and ``stream`` where it comes to the frame."""
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    told = "frame 4: the size changes from 32x32 to 48x48"
    tube = Tube(0, np.tile([4.0, 4, 20, 28], (8, 1)), "jump")
    known = {"both": VideoAnnotation(8, 32, 32, 25.0, 8 / 25, tubes=(tube,))}
    records.write(Annotations("own", CLASSES, known), changing.parent / "annotations.json")
    with pytest.raises(FormatError, match=told):
        open_source(changing.parent, size=(48, 48))
    run = tmp_path / "run"
    line = ["train", "flow_subnet", "--profile", "smoke", "--device", "cpu", "--set", "model.pretrained="]
    assert main([*line, "--data", str(changing.parent), "--out", str(tmp_path / "none")]) == 2
    assert main([*line, "--out", str(run), "--set", "data.clips=1", "--set", "train.steps=1"]) == 0
    assert main(["predict", str(run), str(changing), "--out", str(tmp_path / "p.json")]) == 2
    assert main(["stream", str(run), str(changing), "--device", "cpu"]) == 2
    errors = capsys.readouterr().err
    assert errors.count(told) == 3 and errors.count("both.h264") >= 3


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_norm_that_sees_one_value_is_told_at_the_start(tmp_path, batch):
    """The last map has one cell, as the paper's; one sequence leaves its batch norm a single value."""
    system = made(norm="batch", size=(24, 24), levels=4, box_shares=(0.2, 0.3, 0.4, 0.6, 0.8))
    assert system.config.map_sides[-1] == FlowSubnetConfig.paper().map_sides[-1] == 1
    data, plan = (
        pipeline.training_set(system, source(3, 24)),
        replace(schedule("smoke"), steps=1, batch=batch),
    )
    how: dict[str, Any] = {"collate": pipeline.collate, "device": "cpu", "say": str}
    if batch > 1:
        assert fit(system, data, plan, tmp_path, **how).steps == 1
        return
    with pytest.raises(FormatError, match="single value") as caught:
        fit(system, data, plan, tmp_path, **how)
    assert "2 items or more" in caught.value.remedy and "group norm" in caught.value.remedy
    with pytest.raises(FormatError, match="single value"):
        profile(system, pipeline.collate([data[0]]), plan, rounds=1)
