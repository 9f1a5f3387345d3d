"""Records made by a programme are checked like those that are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stad_lite import errors
from stad_lite.errors import StadError
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

NAN = float("nan")
BOX = [0.0, 0.0, 2.0, 3.0]


def tube(**changes: Any) -> Tube:
    return Tube(**{"start": 0, "boxes": [BOX], "label": "a", "score": 0.5, **changes})


MADE: dict[str, tuple[Callable[[], object], type, str]] = {
    "uint8 frames": (
        lambda: FrameBoxes([3], [0], np.array([BOX], np.uint8)),
        errors.UnsignedBoxError,
        "uint8.*cast to float64",
    ),
    "no uint8 boxes": (
        lambda: FrameBoxes([], [], np.zeros((0, 4), np.uint8)),
        errors.UnsignedBoxError,
        "uint8",
    ),
    "frame of an inverted box": (
        lambda: FrameBoxes([3, 9], [0, 0], [BOX, [5, 0, 4, 1]]),
        errors.InvertedBoxError,
        "frame 9",
    ),
    "frame of a NaN after an inverted box": (
        lambda: FrameBoxes([3, 9], [0, 0], [[5, 0, 4, 1], [NAN] * 4]),
        errors.NotFiniteError,
        "frame 9",
    ),
    "five corners": (lambda: FrameBoxes([3], [0], [[*BOX, 1]]), errors.FormatError, r"\(1, 5\)"),
    "word corners": (lambda: FrameBoxes([3], [0], [["a"] * 4]), errors.FormatError, "type <U1"),
    "half frames": (lambda: FrameBoxes([0.5], [0], [BOX]), errors.FormatError, "frame.*whole numbers"),
    "boolean labels": (lambda: FrameBoxes([0], [True], [BOX]), errors.FormatError, "label.*whole"),
    "word scores": (lambda: FrameBoxes([0], [0], [BOX], ["a"]), errors.FormatError, "score.*numbers"),
    "few boxes": (lambda: FrameBoxes([0, 1], [0, 0], [BOX]), errors.FormatError, "but 1 of box"),
    "segment in words": (lambda: Segment("a", "1", 2.0), errors.FormatError, "start is '1'"),
    "boolean segment": (lambda: Segment("a", 0.0, True), errors.FormatError, "end is True"),
    "half a size": (lambda: VideoAnnotation(width=0.5), errors.FormatError, "width is 0.5"),
    "mask of frames": (
        lambda: VideoAnnotation(evaluated_frames=[True, False]),
        errors.FormatError,
        "evaluated_frames",
    ),
    "class by number": (lambda: Predictions((1,), {}), errors.FormatError, "name 1 is no string"),
    "video by number": (
        lambda: Predictions((), {1: VideoPredictions()}),
        errors.FormatError,
        "name 1 is no string",
    ),
    "data set by number": (lambda: Annotations(1, ()), errors.FormatError, "name 1 is no string"),
    "unknown label": (
        lambda: Predictions((), {"v": VideoPredictions((tube(),))}),
        errors.UnknownLabelError,
        "video v, tube 0: label 'a'",
    ),
    "label beyond the classes": (
        lambda: Predictions(("a",), {"v": VideoPredictions(None, FrameBoxes([7], [1], [BOX], [0.5]))}),
        errors.UnknownLabelError,
        "video v, frame 7: label 1 is not among the 1 classes; labels are indices",
    ),
    "second tube without score": (
        lambda: Predictions(("a",), {"v": VideoPredictions((tube(), tube(score=None)))}),
        errors.FormatError,
        "video v, tube 1: a predicted tube has no score",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_records_are_checked_when_made(name: str) -> None:
    make, kind, words = MADE[name]
    with pytest.raises(StadError, match=words) as caught:
        make()
    assert type(caught.value) is kind and caught.value.remedy


def test_columns_settle_their_kinds() -> None:
    frames = FrameBoxes([3.0, 4.0], np.array([0, 0], np.uint8), [BOX, BOX], [1, 0], [7, 8])
    kinds = [getattr(frames, name).dtype.kind for name in ("frame", "label", "box", "score", "person")]
    assert kinds == ["i", "i", "f", "f", "i"] and len(frames) == 2


def test_equality_looks_at_everything() -> None:
    frames = FrameBoxes([3], [0], [BOX], [0.5], [7])
    same = FrameBoxes([3], [0], [BOX], [0.5], [7])
    assert frames == same and frames != "frames"
    for other in (
        FrameBoxes([4], [0], [BOX], [0.5], [7]),
        FrameBoxes([3], [1], [BOX], [0.5], [7]),
        FrameBoxes([3], [0], [[0, 0, 2, 4]], [0.5], [7]),
        FrameBoxes([3], [0], [BOX], None, [7]),
        FrameBoxes([3], [0], [BOX], [0.5], None),
    ):
        assert frames != other and other != frames
    record = Annotations("d", (), {"v": VideoAnnotation(ignore=((0, 1),))})
    assert record == Annotations("d", [], {"v": VideoAnnotation(ignore=[[0.0, 1.0]])})
    assert record != Annotations("d", (), {"v": VideoAnnotation(ignore=((0, 2),))})
    assert record != Annotations("d", (), {"w": VideoAnnotation(ignore=((0, 1),))})
    assert Predictions(()) != Annotations("", ())
