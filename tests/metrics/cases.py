"""Small random records, drawn by hypothesis, in which ties of scores and overlaps are common."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from stad_lite.metrics import Rules
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

CLASSES = ("run", "jump", "wave")
SCORES = st.sampled_from([0.25, 0.5, 0.75, 1.0])
LABELS = st.sampled_from(CLASSES)


@st.composite
def boxes(draw: Any) -> tuple[float, float, float, float]:
    """A box on a 4 x 4 grid."""
    x, y = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    return float(x), float(y), float(draw(st.integers(x + 1, 4))), float(draw(st.integers(y + 1, 4)))


@st.composite
def frame_boxes(draw: Any, scored: bool, most: int = 6) -> FrameBoxes:
    """Boxes on frames 0 to 2."""
    count = draw(st.integers(0, most))
    rows = [
        (draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(boxes()), draw(SCORES)) for _ in range(count)
    ]
    return FrameBoxes(
        [row[0] for row in rows],
        [row[1] for row in rows],
        np.array([row[2] for row in rows]).reshape(count, 4),
        [row[3] for row in rows] if scored else None,
    )


@st.composite
def tube(draw: Any, scored: bool) -> Tube:
    """A tube of one to four frames."""
    start, length = draw(st.integers(0, 3)), draw(st.integers(1, 4))
    rows = np.array([draw(boxes()) for _ in range(length)])
    return Tube(start, rows, draw(LABELS), draw(SCORES) if scored else None)


@st.composite
def segment(draw: Any, scored: bool) -> Segment:
    """A segment on whole seconds, sometimes without length."""
    start = draw(st.integers(0, 5))
    end = draw(st.integers(start, 6))
    return Segment(draw(LABELS), float(start), float(end), draw(SCORES) if scored else None)


@st.composite
def records(draw: Any, kind: str) -> tuple[Annotations, Predictions]:
    """Truth and predictions of two videos; the predictions list their videos in any order."""

    def content(scored: bool) -> dict[str, Any]:
        if kind == "frames":
            return {"frames": draw(frame_boxes(scored))}
        one = tube(scored) if kind == "tubes" else segment(scored)
        return {kind: tuple(draw(st.lists(one, max_size=4)))}

    size = {"num_frames": 9, "width": 8, "height": 8}
    truth = Annotations("tiny", CLASSES, {name: VideoAnnotation(**size, **content(False)) for name in "ab"})
    order = draw(st.permutations(["a", "b"]))
    return truth, Predictions(CLASSES, {name: VideoPredictions(**content(True)) for name in order})


RULES = st.builds(
    Rules,
    pixel=st.sampled_from([0.0, 1.0]),
    match=st.sampled_from(["best_remaining", "best_of_all"]),
    strict=st.booleans(),
    ap=st.sampled_from(["envelope", "trapezoid", "eleven_points", "hundred_one_points"]),
    ties=st.sampled_from(["content", "shared", "true_first", "false_first"]),
    frames=st.sampled_from(["all", "annotated"]),
    tube_overlap=st.sampled_from(
        ["temporal_times_spatial", "union_mean", "mean_common", "temporal_iou", "volume"]
    ),
    one_frame_overlap=st.booleans(),
    extent_minus_one=st.just(False),
    zero_length=st.sampled_from(["same_point", "never", "always"]),
    classes_without_truth=st.sampled_from(["left_out", "zero"]),
    classes_without_predictions=st.sampled_from(["zero", "left_out"]),
)


def shuffled(predictions: Predictions, generator: np.random.Generator) -> Predictions:
    """The same predictions in another order of file: videos, tubes, segments and boxes."""
    videos = {}
    for name in generator.permutation(list(predictions.videos)).tolist():
        video = predictions.videos[name]
        parts: dict[str, Any] = {}
        if video.frames is not None:
            order = generator.permutation(len(video.frames))
            rows = (getattr(video.frames, column)[order] for column in ("frame", "label", "box", "score"))
            parts["frames"] = FrameBoxes(*rows)
        for kind in ("tubes", "segments"):
            if getattr(video, kind) is not None:
                items = getattr(video, kind)
                parts[kind] = tuple(items[i] for i in generator.permutation(len(items)))
        videos[name] = VideoPredictions(**parts)
    return Predictions(predictions.classes, videos)
