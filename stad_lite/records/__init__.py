"""Annotations and predictions, and the two file formats that hold them."""

from stad_lite.records.files import (
    atomic_write,
    read,
    read_annotations,
    read_list,
    read_predictions,
    write,
)
from stad_lite.records.types import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)

__all__ = [
    "Annotations",
    "FrameBoxes",
    "Predictions",
    "Segment",
    "VideoAnnotation",
    "VideoPredictions",
    "atomic_write",
    "read",
    "read_annotations",
    "read_list",
    "read_predictions",
    "write",
]
