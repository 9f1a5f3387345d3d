"""Actionness: labels by the .5 rule, one classifier a class, trimming that hides nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite.errors import FormatError, StadError
from stad_lite.linking import MedianFilter, median_scores
from stad_lite.pcsc import actionness
from stad_lite.pcsc.actionness import ActionnessDetectors, TubeBoxes
from stad_lite.records import VideoAnnotation
from stad_lite.tubes import Tube

CLASSES = ("run", "jump")


def still(start: int, end: int, label: str = "run", x: float = 0.0) -> Tube:
    box = np.array([[x, 0.0, x + 10, 10.0]])
    return Tube(start, box.repeat(end - start, 0), label, 0.5, np.full(end - start, 0.5))


def test_boxes_are_labelled_frame_by_frame():
    """1 above an overlap of .5 with a true box of the tube's class, on that frame."""
    truth = VideoAnnotation(20, 64, 64, tubes=(still(5, 10), still(0, 20, "jump", x=30.0)))
    frame = np.array([4, 5, 9, 10, 7, 7, 7, 7])
    far = [30.0, 0, 40, 10]
    box = np.array([[0.0, 0, 10, 10]] * 4 + [[0, 0, 10, 5], [0, 0, 10, 5.1], far, far])
    label = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    found = actionness.targets(frame, box, label, truth, CLASSES)
    assert found.tolist() == [0, 1, 1, 0, 0, 1, 0, 1]


def sample(count: int, label: int, seed: int = 0) -> TubeBoxes:
    """Return boxes whose first feature says 1 or 0, the other way round for the second class."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, count)
    features = random.normal(size=(count, 4))
    features[:, 0] = (target * 2 - 1) * (1 if label == 0 else -1) * 2 + features[:, 0]
    return TubeBoxes(features, np.full(count, label), target)


def test_each_class_has_its_own_classifier():
    torch.manual_seed(0)
    detectors = ActionnessDetectors(4, 2)
    counts = actionness.train_actionness(detectors, [sample(200, 0), sample(200, 1)], steps=200, lr=0.02)
    assert counts == (200, 200) and detectors.trained.all()
    for label in (0, 1):
        fresh = sample(300, label, seed=9)
        logits = detectors(torch.as_tensor(fresh.features, dtype=torch.float32))
        right = (logits[:, label] > 0).numpy() == fresh.target
        wrong = (logits[:, 1 - label] > 0).numpy() == fresh.target
        assert right.mean() > 0.9 and wrong.mean() < 0.1


def test_a_class_without_tubes_is_left_out_and_its_tubes_stay_whole():
    detectors = ActionnessDetectors(4, 3)
    before = detectors.layers[-1].weight[1:].clone()
    only_actions = TubeBoxes(np.ones((5, 4)), np.full(5, 2), np.ones(5, dtype=int))
    counts = actionness.train_actionness(detectors, [sample(50, 0), only_actions], steps=5)
    assert counts == (50, 0, 0)
    assert detectors.trained.tolist() == [True, False, False]
    after = detectors.layers[-1].weight[1:]
    assert torch.allclose(after, before, rtol=0.1)  # decay alone has touched them
    tube = still(3, 8)
    along = actionness.scores_along(tube, np.array([3, 5, 7]), np.zeros((3, 4)), 1, detectors)
    assert along.tolist() == [1.0] * 5
    assert actionness.refine([tube], [along], MedianFilter(3, 0.9)).tubes == (tube,)


@pytest.mark.parametrize("boxes", [[], [TubeBoxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, int))]])
def test_nothing_to_learn_from(boxes):
    with pytest.raises(StadError, match="no class has tubes"):
        actionness.train_actionness(ActionnessDetectors(4, 2), boxes)


def test_scores_along_a_tube_are_linear_in_its_holes():
    detectors = ActionnessDetectors(1, 2)
    detectors.trained[1] = True
    with torch.no_grad():
        detectors.layers[-1].weight.copy_(torch.tensor([[-1.0], [1.0]]))  # of the other class, and of its own
        detectors.layers[-1].bias.zero_()
    features = np.array([[0.0], [np.log(3)]])  # probabilities 1/2 and 3/4
    along = actionness.scores_along(still(10, 14), np.array([11, 13]), features, 1, detectors)
    assert along == pytest.approx([0.5, 0.5, 0.625, 0.75])
    with pytest.raises(FormatError, match="no detections"):
        actionness.scores_along(still(10, 14), np.zeros(0, int), features[:0], 1, detectors)


@pytest.mark.parametrize("width", [1, 3, 7, 17])
@pytest.mark.parametrize(("start", "end"), [(0, 20), (12, 30), (20, 40), (0, 40)])
def test_the_median_filter_keeps_a_clean_step(width, start, end):
    """An action longer than half the filter, without noise: begin and end stay where they are."""
    step = np.where((np.arange(40) >= start) & (np.arange(40) < end), 0.9, 0.1)
    assert median_scores(step, width).tolist() == step.tolist()
    refined = actionness.refine([still(100, 140)], [step], MedianFilter(width, 0.5))
    assert [(tube.start, tube.end) for tube in refined.tubes] == [(100 + start, 100 + end)]


def test_a_noisy_step():
    step = np.where((np.arange(40) >= 12) & (np.arange(40) < 30), 0.9, 0.1)
    step[[3, 20, 35]] = 1 - step[[3, 20, 35]]
    refined = actionness.refine([still(0, 40)], [step], MedianFilter(5, 0.5))
    assert [(tube.start, tube.end) for tube in refined.tubes] == [(12, 30)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("empty", ["keep", "drop"])
def test_no_tube_goes_silently(seed, empty):
    random = np.random.default_rng(seed)
    tubes = [still(0, int(n)) for n in random.integers(1, 30, 12)]
    along = [random.random(len(tube)) * 0.8 for tube in tubes]
    refined = actionness.refine(tubes, along, MedianFilter(3, 0.6, empty=empty))
    assert len(refined.tubes) + refined.removed == len(tubes)
    lost = sum(bool((median_scores(scores, 3) < 0.6).all()) for scores in along)
    assert (refined.removed, refined.kept_whole) == ((0, lost) if empty == "keep" else (lost, 0))
