"""Records for tests: the documented example, and records made by hypothesis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

VIDEO = "Basketball/v_Basketball_g01_c01"
BOXES = [[10.5, 20.0, 200.25, 220.0], [11.0, 20.0, 201.0, 220.0], [12.0, 21.5, 202.0, 221.0]]


def annotations_document() -> dict[str, Any]:
    """The documented annotations, with every key and a class (``spare``) that nothing uses."""
    return {
        "format": "stad-lite/annotations/1",
        "dataset": "ucf101-24",
        "classes": ["Basketball", "spare"],
        "videos": {
            VIDEO: {
                "num_frames": 141,
                "width": 320,
                "height": 240,
                "fps": 25.0,
                "duration": 5.64,
                "tubes": [{"label": "Basketball", "start": 8, "boxes": deepcopy(BOXES)}],
                "frames": {
                    "frame": [3, 9],
                    "label": ["Basketball", "Basketball"],
                    "box": deepcopy(BOXES[:2]),
                    "person": [0, 7],
                },
                "segments": [{"label": "Basketball", "start": 1.2, "end": 3.4}],
                "ignore": [{"start": 0.0, "end": 2.0}],
                "evaluated_frames": [3, 9],
            }
        },
    }


def predictions_document() -> dict[str, Any]:
    """The documented predictions, with every key and a class (``spare``) that nothing uses."""
    return {
        "format": "stad-lite/predictions/1",
        "classes": ["Basketball", "spare"],
        "videos": {
            VIDEO: {
                "tubes": [
                    {
                        "label": "Basketball",
                        "score": 0.9,
                        "start": 8,
                        "boxes": deepcopy(BOXES),
                        "box_scores": [0.9, 0.8, 0.7],
                    }
                ],
                "frames": {
                    "frame": [3, 9],
                    "label": ["Basketball", "Basketball"],
                    "score": [0.5, 0.25],
                    "box": deepcopy(BOXES[:2]),
                },
                "segments": [{"label": "Basketball", "score": 0.75, "start": 1.2, "end": 3.4}],
            }
        },
    }


DOCUMENTS = {"annotations": annotations_document, "predictions": predictions_document}


def put(path: Path, document: Any) -> Path:
    """Write a document as JSON text (NaN and all, as other programs do)."""
    path.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    return path


def changed(document: Any, place: tuple, value: Any) -> Any:
    """The document with another value at a place (``...`` takes the key away)."""
    if not place:
        return value
    part = document
    for key in place[:-1]:
        part = part[key]
    if value is ...:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return document


def places(document: Any, place: tuple = ()) -> Iterator[tuple]:
    """The place of every value in a document, from the outside in."""
    yield place
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in pairs:
        if isinstance(value, (dict, list)):
            yield from places(value, (*place, key))
        else:
            yield (*place, key)


# ------------------------------------------------------------------------------------- by hypothesis

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
scores = st.floats(-1e3, 1e3)


@st.composite
def boxes(draw: st.DrawFn, count: int) -> np.ndarray:
    """(count, 4) valid boxes, also outside the frame and with odd fractions."""
    corner = st.floats(-1e4, 1e4)
    pairs = st.lists(corner, min_size=2, max_size=2, unique=True).map(sorted)
    rows = [(draw(pairs), draw(pairs)) for _ in range(count)]
    return np.array([[x1, y1, x2, y2] for (x1, x2), (y1, y2) in rows]).reshape(-1, 4)


@st.composite
def tubes(draw: st.DrawFn, classes: tuple[str, ...], scored: bool) -> Tube:
    count = draw(st.integers(1, 3))
    box_scores = draw(st.none() | st.lists(scores, min_size=count, max_size=count))
    return Tube(
        draw(st.integers(0, 20)),
        draw(boxes(count)),
        draw(st.sampled_from(classes)),
        draw(scores if scored else st.none() | scores),
        box_scores,
    )


@st.composite
def frame_boxes(draw: st.DrawFn, classes: tuple[str, ...], scored: bool) -> FrameBoxes:
    count = draw(st.integers(0, 3)) if classes else 0

    def column(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=count, max_size=count))

    return FrameBoxes(
        column(st.integers(0, 24)),
        column(st.integers(0, max(len(classes) - 1, 0))),
        draw(boxes(count)),
        column(scores) if scored or draw(st.booleans()) else None,
        column(st.integers(-(2**63), 2**63 - 1)) if draw(st.booleans()) else None,
    )


@st.composite
def segments(draw: st.DrawFn, classes: tuple[str, ...], scored: bool) -> Segment:
    start, end = sorted([draw(numbers), draw(numbers)])
    return Segment(draw(st.sampled_from(classes)), start, end, draw(scores if scored else st.none() | scores))


@st.composite
def content(draw: st.DrawFn, classes: tuple[str, ...], scored: bool) -> dict[str, Any]:
    """Tubes, frames and segments, each absent, empty or filled."""

    def several(element: st.SearchStrategy) -> tuple | None:
        return draw(st.none() | st.lists(element, max_size=2 if classes else 0).map(tuple))

    return {
        "tubes": several(tubes(classes, scored) if classes else st.nothing()),
        "frames": draw(st.none() | frame_boxes(classes, scored)),
        "segments": several(segments(classes, scored) if classes else st.nothing()),
    }


@st.composite
def annotations(draw: st.DrawFn) -> Annotations:
    classes = tuple(draw(st.lists(names, max_size=3, unique=True)))
    positive = st.floats(min_value=1e-300, allow_infinity=False)
    videos = {}
    for name in draw(st.lists(names, max_size=2, unique=True)):
        span = st.lists(numbers, min_size=2, max_size=2).map(sorted).map(tuple)
        videos[name] = VideoAnnotation(
            num_frames=draw(st.none() | st.integers(25, 10**6)),
            width=draw(st.integers(1, 10**4)),
            height=draw(st.integers(1, 10**4)),
            fps=draw(st.none() | positive),
            duration=draw(st.none() | positive),
            ignore=tuple(draw(st.lists(span, max_size=2))),
            evaluated_frames=draw(st.none() | st.lists(st.integers(0, 24), max_size=3)),
            **draw(content(classes, scored=False)),
        )
    return Annotations(draw(names), classes, videos)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    classes = tuple(draw(st.lists(names, max_size=3, unique=True)))
    found = draw(st.lists(names, max_size=2, unique=True))
    return Predictions(
        classes, {name: VideoPredictions(**draw(content(classes, scored=True))) for name in found}
    )
