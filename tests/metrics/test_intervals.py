"""Bootstrap over videos and paired differences."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.metrics import Rules, bootstrap, evaluate, paired_difference
from stad_lite.metrics.inputs import task
from stad_lite.metrics.matching import score
from stad_lite.metrics.scored import class_curves, class_precisions, mean_over_classes
from stad_lite.records import Annotations, Predictions
from tests.metrics import peers


@pytest.fixture(scope="module")
def files() -> tuple[Annotations, Predictions]:
    return peers.tubes()


def repeated(truth: Annotations, ours: Predictions, counts: np.ndarray) -> tuple[Annotations, Predictions]:
    """The records with each video as often as it was drawn, under names of their own."""
    names = [(name, f"{name}#{i}") for name, n in zip(truth.videos, counts, strict=True) for i in range(n)]
    return (
        Annotations(truth.dataset, truth.classes, {new: truth.videos[old] for old, new in names}),
        Predictions(ours.classes, {new: ours.videos[old] for old, new in names}),
    )


@pytest.mark.parametrize("rules", [Rules(), Rules(ties="shared"), Rules(ap="eleven_points")])
def test_a_weight_is_the_same_as_a_repeated_video(
    files: tuple[Annotations, Predictions], rules: Rules
) -> None:
    truth, ours = files
    counts = np.random.default_rng(3).integers(0, 3, len(truth.videos))
    scored = task(truth, ours, rules, "tubes")
    curves = class_curves(score(scored, "tubes", [0.3], rules), len(scored.classes), rules)
    names = list(truth.videos)
    weight = np.array([counts[names.index(name)] for name in scored.videos])
    found = 100 * mean_over_classes(class_precisions(curves[0], rules, weight))
    pair = repeated(truth, ours, counts)
    assert found == pytest.approx(evaluate(*pair, "video-map", 0.3, rules).iou[0.3], abs=1e-9)


def test_interval_holds_the_value_and_the_seed_fixes_it(files: tuple[Annotations, Predictions]) -> None:
    spread = bootstrap(*files, "video-map", (0.2, 0.5), draws=200, seed=1)
    values = evaluate(*files, "video-map", (0.2, 0.5)).iou
    for iou, one in spread.items():
        assert one.value == pytest.approx(values[iou]) and one.low < one.value < one.high
    again = bootstrap(*files, "video-map", (0.2, 0.5), draws=200, seed=1)
    assert spread == again
    assert bootstrap(*files, "video-map", 0.2, draws=200, seed=2)[0.2].low != spread[0.2].low


def test_a_narrower_level_is_a_narrower_interval(files: tuple[Annotations, Predictions]) -> None:
    wide, narrow = (bootstrap(*files, "video-map", 0.5, draws=200, level=level)[0.5] for level in (0.95, 0.5))
    assert narrow.high - narrow.low < wide.high - wide.low


def test_of_equal_files_the_difference_is_nothing(files: tuple[Annotations, Predictions]) -> None:
    truth, ours = files
    one = paired_difference(truth, ours, ours, "video-map", 0.5, draws=50)[0.5]
    assert (one.value, one.low, one.high, one.above) == (0, 0, 0, 0)


def test_pairing_narrows_the_difference(files: tuple[Annotations, Predictions]) -> None:
    truth, ours = files
    videos = {name: video for i, (name, video) in enumerate(ours.videos.items()) if i % 6}
    worse = Predictions(ours.classes, dict(reversed(videos.items())))
    paired = paired_difference(truth, ours, worse, "video-map", 0.5, draws=300)[0.5]
    assert paired.above > 0.9
    alone = [bootstrap(truth, one, "video-map", 0.5, draws=300)[0.5] for one in (ours, worse)]
    assert paired.value == pytest.approx(alone[0].value - alone[1].value)
    assert paired.high - paired.low < sum(one.high - one.low for one in alone)


def test_every_convention_can_be_resampled() -> None:
    segments = peers.segments()
    result = evaluate(*segments, "temporal-map", 0.5, "activitynet", bootstrap=50)
    assert result.interval is not None and result.interval[0.5][0] < result.iou[0.5] < result.interval[0.5][1]
    assert list(result.to_dict()["interval"]) == ["0.5"]
