"""Streaming equals detection in whole videos, computes nothing twice, and refuses what it cannot take."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from stad_lite.data.source import VideoSource
from stad_lite.data.transforms import resize
from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.flow_subnet import system as pipeline
from stad_lite.flow_subnet.stream import STAGES, Account, Stream
from stad_lite.records import Annotations, VideoAnnotation
from tests.flow_subnet.cases import CLASSES, config, video

SIDE = 48


def source(frames: np.ndarray) -> VideoSource:
    count, height, width = frames.shape[:3]
    known = {"a": VideoAnnotation(count, width, height, 10.0, count / 10)}
    flow = np.random.default_rng(5).normal(0, 2, (count, height, width, 2)).astype(np.float32)
    return VideoSource(
        Annotations("noise", CLASSES, known), (height, width), lambda v, n: frames[n], lambda v, n: flow[n]
    )


def made(**changes: Any) -> pipeline.FlowSubnetSystem:
    torch.manual_seed(0)
    return pipeline.build(config(min_score=0.3, nms=0.3, **changes), CLASSES)


def streamed(stream: Stream, frames: np.ndarray) -> list[Any]:
    found = []
    for count, frame in enumerate(frames):
        found += stream.push(frame)
        assert len(found) == count  # one frame behind
    return found + stream.close()


CASES: dict[str, dict[str, Any]] = {
    "two pairs": {},
    "one pair": {"pairs": "one"},
    "the code's pair": {"pairs": "released", "supervision": "none", "convolutions": "separate"},
    "pyramid": {"fusion": "pyramid"},
    "appearance alone": {"fusion": "appearance"},
    "spynet": {"estimator": "spynet"},
    "flow of the source": {"estimator": "given"},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_streaming_equals_detection_frame_by_frame(case, count):
    system, frames = made(**CASES[case]), video(count)
    clips = source(frames)
    whole = pipeline.detect(system, clips).videos["a"]
    numbers = iter(range(count))
    given = CASES[case].get("estimator") == "given"
    estimator = (lambda first, second: clips.flow("a", [next(numbers)])[0]) if given else None
    stream = pipeline.stream(system, estimator)
    found = streamed(stream, frames)
    assert [one.frame for one in found] == list(range(count)) and stream.close() == []
    assert sum(len(one.found) for one in found) == len(whole.frames) > count
    for one in found:
        rows = whole.frames.frame == one.frame
        assert one.found.labels.tolist() == whole.frames.label[rows].tolist()
        np.testing.assert_allclose(one.found.scores, whole.frames.score[rows], rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(one.found.boxes, whole.frames.box[rows], rtol=1e-3, atol=1e-2)
    tubes = stream.tubes()
    assert [(t.label, t.start, t.end) for t in tubes] == [(t.label, t.start, t.end) for t in whole.tubes]
    assert bool(tubes) == (count == 7)
    for ours, theirs in zip(tubes, whole.tubes, strict=True):
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-3, atol=1e-2)


def test_every_pass_is_made_once():
    system, calls = made(), Counter()  # type: ignore[var-annotated]
    net = system.network

    def counted(owner: Any, name: str) -> None:
        kept = getattr(owner, name)

        def call(*inputs: Any) -> Any:
            calls[name] += 1
            return kept(*inputs)

        setattr(owner, name, call)

    counted(net.motion.net, "pyramid")
    counted(net.motion.net, "match")
    net.backbone.register_forward_hook(lambda module, inputs, output: calls.update(images=len(inputs[0])))
    streamed(pipeline.stream(system), video(6))
    # a match more than pairs at either end, where a frame stands for its neighbour
    assert calls == {"pyramid": 6, "match": 7, "images": 12}


def test_what_is_found_does_not_wait_for_later_frames():
    frames = video(7)
    other = frames.copy()
    other[5:] = 0
    found = [streamed(pipeline.stream(made()), part) for part in (frames, other)]
    for before, after in zip(*(part[:4] for part in found), strict=True):
        assert np.array_equal(before.found.boxes, after.found.boxes)
        assert np.array_equal(before.paths, after.paths)
    assert not np.array_equal(found[0][4].found.scores, found[1][4].found.scores)


def test_boxes_are_in_the_pixels_of_the_video():
    large, system = video(5, side=96).repeat(2, 2), made()
    streams = [pipeline.stream(system) for _ in range(2)]
    small = resize(large, SIDE, SIDE)
    found, wide = (streamed(*pair) for pair in zip(streams, (small, large), strict=True))
    for one, other in zip(found, wide, strict=True):
        np.testing.assert_allclose(other.found.boxes, one.found.boxes * [4, 2, 4, 2], rtol=1e-5)
    for one, other in zip(*(stream.tubes() for stream in streams), strict=True):
        np.testing.assert_allclose(other.boxes, one.boxes * [4, 2, 4, 2], rtol=1e-5)


def test_paths_are_those_of_the_tubes():
    stream = pipeline.stream(made())
    found = streamed(stream, video(6))
    lengths = Counter(path for one in found for path in one.paths.tolist() if path >= 0)
    assert sum(count >= 4 for count in lengths.values()) == len(stream.tubes()) > 0


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (np.zeros((48, 49, 3), np.uint8), r"frame 2: .*\(48, 49\) pixels and those before it had \(48, 48\)"),
        (np.zeros((48, 48), np.uint8), "frame 2: .*uint8"),
        (np.zeros((48, 48, 4), np.uint8), "frame 2: .*48, 48, 4"),
        (np.zeros((48, 48, 3), np.float32), "frame 2: .*float32"),
        (np.zeros((0, 48, 3), np.uint8), "frame 2: "),
    ],
)
def test_frames_that_do_not_fit_are_named(frame, told):
    stream = pipeline.stream(made())
    for one in video(2):
        stream.push(one)
    with pytest.raises(FormatError, match=told):
        stream.push(frame)
    assert len(stream.push(video(1)[0])) == 1  # nothing is lost


@pytest.mark.parametrize("size", [(24, 24), (30, 70), (65, 33)])
def test_any_size_is_taken(size):
    frames = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    for one in streamed(pipeline.stream(made()), frames):
        assert (one.found.boxes >= 0).all()
        assert (one.found.boxes <= [size[1], size[0]] * 2).all()


def test_weights_that_are_not_finite_are_told_with_the_frame():
    system = made()
    stream = pipeline.stream(system)
    stream.push(video(1)[0])
    with torch.no_grad():
        system.network.head.scores[0].weight.fill_(torch.nan)
    with pytest.raises(NotFiniteError, match="frame 0"):
        stream.push(video(1)[0])


def test_flow_that_is_given_needs_an_estimator():
    with pytest.raises(FormatError, match="no flow of its own"):
        pipeline.stream(made(estimator="given"))


def test_no_frames_no_tubes():
    stream = pipeline.stream(made())
    assert stream.close() == [] and stream.tubes() == ()


def test_the_account_names_every_stage():
    account = Account()
    streamed(pipeline.stream(made(), account=account), video(3))
    assert tuple(account.seconds) == STAGES and all(spent > 0 for spent in account.seconds.values())
