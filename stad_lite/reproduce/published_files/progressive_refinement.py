"""How well sets of coarse boxes meet the boxes of UCF101-24: the chapter *Progressive refinement*."""

from __future__ import annotations

import numpy as np

from stad_lite.data.location import missing_message
from stad_lite.reproduce.published_files import ucf_tubes
from stad_lite.reproduce.results import Results
from stad_lite.step.cuboids import compare

EVERY = 15
"""One of so many boxes is looked at."""
SIZE = (320, 240)
"""Width and height of the videos in pixels."""


def measure(results: Results) -> list[str]:
    """Add how many boxes each set meets; return a sentence where the annotations are not here."""
    tubes = ucf_tubes.every()
    if not tubes:
        return [missing_message("ucf101-24")]
    boxes = np.concatenate([tube.boxes for tube in tubes])[::EVERY]
    for name, row in compare(boxes / [*SIZE, *SIZE], threshold=0.2).items():
        for what, value, unit in (
            ("recall at .2", 100 * row["recall"], "%"),
            ("mean best IoU", row["mean_best_iou"], "IoU"),
        ):
            results.add(f"{name}, {what}", value, unit, "ucf101-24", "STEP Sec. 3.1, Fig. 2")
    return []
