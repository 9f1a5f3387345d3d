"""The known scores of the real predictions, to the digits that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stad_lite.metrics import CONVENTIONS, Rules, evaluate
from tests.metrics import real


def test_annotator_frame_map(stad_data: Path) -> None:
    """Public evaluators give 96.70 to 96.76, by their order of the ties within each tube."""
    pair = real.ucf_test(stad_data), real.annotator(stad_data)
    found = {
        ties: evaluate(*pair, "frame-map", 0.5, Rules(ties=ties)).iou[0.5]
        for ties in ("content", "file", "false_first", "true_first")
    }
    assert 96.695 < found["content"] < 96.765
    assert found["content"] == pytest.approx(96.757, abs=5e-4)
    assert found["file"] == pytest.approx(96.757, abs=5e-4)
    assert found["false_first"] == pytest.approx(96.675, abs=1e-3)
    assert found["true_first"] == pytest.approx(96.786, abs=1e-3)


def test_annotator_video_map(stad_data: Path) -> None:
    pair = real.ucf_test(stad_data), real.annotator(stad_data)
    sound = evaluate(*pair, "video-map", "0.2,0.5:0.95")
    assert sound.iou[0.2] == pytest.approx(95.861, abs=5e-4)
    assert sound.iou[0.5] == pytest.approx(93.876, abs=5e-4)
    assert sound.iou[0.75] == pytest.approx(90.700, abs=5e-4)
    assert np.mean(list(sound.iou.values())[1:]) == pytest.approx(89.826, abs=5e-4)
    assert (sound.num_videos, sound.num_truth, sound.num_predictions) == (910, 1315, 1211)
    best_of_all = evaluate(*pair, "video-map", 0.2, Rules(match="best_of_all"))
    assert best_of_all.iou[0.2] == pytest.approx(95.778, abs=5e-4)
    assert evaluate(*pair, "video-map", 0.5, "multisports").iou[0.5] == pytest.approx(93.696, abs=5e-4)


@pytest.mark.parametrize(("iou", "known"), [(0.3, 44.98), (0.5, 25.88), (0.7, 7.43)])
def test_turn_temporal_map(stad_data: Path, iou: float, known: float) -> None:
    """Ties in the order of the file, overlaps as float arithmetic gives them, ambiguous spans unused."""
    result = evaluate(real.thumos(stad_data)[0], real.turn(stad_data, iou), "temporal-map", iou, "thumos14")
    assert result.iou[iou] == pytest.approx(known, abs=5e-3)


def test_an_overlap_of_one_half_hangs_on_rounding(stad_data: Path) -> None:
    rules = CONVENTIONS["thumos14"].segments
    assert rules is not None and rules.digits is None
    exact = Rules(ties="file", ignored_share=None)
    result = evaluate(real.thumos(stad_data)[0], real.turn(stad_data, 0.5), "temporal-map", 0.5, exact)
    assert result.iou[0.5] == pytest.approx(26.017, abs=5e-4)


@pytest.mark.parametrize("convention", ["activitynet", "sound"])
def test_activitynet_fixture(stad_data: Path, convention: str) -> None:
    known = [
        5 / 7,
        5 / 7,
        5 / 7,
        0.6875,
        0.6875,
        0.59722222222,
        0.52083333333,
        0.52083333333,
        0.52083333333,
        0.5,
    ]
    result = evaluate(*real.activitynet_fixture(stad_data), "temporal-map", "0.5:0.95", convention)
    assert list(result.iou.values()) == pytest.approx([100 * value for value in known], abs=1e-8)
    assert result.mean / 100 == pytest.approx(0.6177579365, abs=1e-8)


def test_activitynet_oracle(stad_data: Path) -> None:
    """Its own truth as predictions: 100 unless segments without length can never be found."""
    pair = real.activitynet_oracle(stad_data)
    assert evaluate(*pair, "temporal-map", convention="activitynet").mean == 100
    sound = evaluate(*pair, "temporal-map")
    assert sound.mean == 100 and (sound.num_videos, sound.num_truth) == (4926, 7654)
    never = evaluate(*pair, "temporal-map", convention=Rules(zero_length="never")).mean
    assert 99.85 < never < 99.95
