"""The older annotation of UCF101-24's test videos, read as if a detector had said it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from stad_lite.boxes import xywh_to_xyxy
from stad_lite.data.location import find_data
from stad_lite.errors import FormatError
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.tubes import Tube


def find() -> Path | None:
    """Return the file with its tubes, scores and classes, None where it is not."""
    return find_data("ucf101_24", "saha_annotator_as_predictions.json.gz")


def read(path: Path) -> Predictions:
    """Return its tubes; its pixels count from 1, ours from 0.

    raises: FormatError for another file
    """
    videos: dict[str, list[Tube]] = {}
    try:
        table = json.loads(gzip.decompress(path.read_bytes()))
        for row in table["predictions"]:
            boxes = xywh_to_xyxy(np.array(row["boxes_xywh"])) - 1
            tube = Tube(row["start"], boxes, table["classes"][row["label"]], row["score"])
            videos.setdefault(row["video"], []).append(tube)
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
        raise FormatError(f"not the older annotation ({error})", file=path) from None
    return Predictions(
        tuple(table["classes"]), {name: VideoPredictions(tubes=tuple(row)) for name, row in videos.items()}
    )
