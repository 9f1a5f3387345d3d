"""The order of equal scores: the two ends hold every order, and are reached."""

import itertools

import numpy as np
import pytest

from stad_lite.metrics import Rules, evaluate
from stad_lite.metrics.precision import average_precision_sorted
from stad_lite.metrics.ties import over_orders, tie_range
from stad_lite.records import Annotations, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.tubes import Tube


def tube(start: int, count: int, x: float, score: float = 0.5) -> Tube:
    return Tube(start, np.tile([x, 0.0, x + 10, 10], (count, 1)), "run", score)


@pytest.fixture
def record() -> tuple[Annotations, Predictions]:
    """A tube of five boxes that tie, of which two are true."""
    video = VideoAnnotation(num_frames=8, width=40, height=20, fps=25.0, tubes=(tube(0, 2, 0),))
    truth = Annotations("tiny", ("run",), {"a": video})
    return truth, Predictions(("run",), {"a": VideoPredictions(tubes=(tube(0, 5, 0),))})


def test_the_ends_are_those_of_all_orders(record):
    scores = np.full(5, 0.5)
    every = [
        100 * average_precision_sorted(np.array(hits), scores, 2, Rules())
        for hits in itertools.permutations([True, True, False, False, False])
    ]
    low, high, stated = tie_range(*record)
    assert (low, high) == pytest.approx((min(every), max(every))) and low < high
    assert stated == evaluate(*record, "frame-map", 0.5).iou[0.5]
    found = list(over_orders(*record, 60, np.random.default_rng(0)))
    assert {round(one, 6) for one in found} <= {round(one, 6) for one in every}
    assert len({round(one, 6) for one in found}) > 3
