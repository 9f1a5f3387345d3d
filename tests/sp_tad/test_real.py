"""The published prediction files and annotations through the same code as our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stad_lite.data import activitynet13, thumos14
from stad_lite.metrics import evaluate
from stad_lite.plots.matching import lanes
from stad_lite.records import exchange
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.windows import Window, slide, timeline, to_seconds, window_truth
from stad_lite.systems.truth import segments_of

PAPER = SpTadConfig.paper()


@pytest.mark.parametrize(("iou", "known"), [(0.3, 44.98), (0.5, 25.88), (0.7, 7.43)])
def test_thumos_predictions_are_read_scored_and_drawn(stad_data: Path, iou: float, known: float) -> None:
    """TURN with SCNN's scores, one published file a threshold."""
    truth = thumos14.load(stad_data / "thumos14", "test").record
    file = stad_data / f"thumos14/predictions/TURN-FLOW-16_SCNN_thumos14_iou{iou}.txt.gz"
    found = exchange.read(file, "thumos14", "predictions").record
    result = evaluate(truth, found, "temporal-map", iou, "thumos14")
    assert result.iou[iou] == pytest.approx(known, abs=0.06)  # equal scores stand in another order
    name = next(video for video, one in found.videos.items() if one.segments)
    spans = [
        np.array([(s.start, s.end) for s in rows])
        for rows in (truth.videos[name].segments, found.videos[name].segments[:5])
    ]
    ax = lanes(*spans)
    assert len(ax.patches) >= len(spans[0]) + len(spans[1])


def test_activitynet_predictions_are_read_and_scored(stad_data: Path) -> None:
    """The sample of the evaluation server repeats the truth with score 1."""
    truth = activitynet13.load(stad_data / "activitynet", "validation").record
    file = stad_data / "activitynet/sample_detection_prediction.json.gz"
    found = exchange.read(file, "activitynet", "predictions", truth).record
    result = evaluate(truth, found, "temporal-map", convention="activitynet")
    assert result.mean > 99 and result.num_videos > 4000


def test_windows_of_the_paper_on_thumos(stad_data: Path) -> None:
    """Claims tad-n and tad-durations on the windows that training takes, 256 frames every 30th."""
    truth = thumos14.load(stad_data / "thumos14", "validation").record
    lengths, most = [], 0
    for name, video in truth.videos.items():
        if video.duration is None:
            continue
        line = timeline(name, round(video.duration * 30), 30.0, PAPER.fps)
        rows = segments_of(video, 30.0)
        for window in slide(line, PAPER.window, PAPER.train_stride):
            inside, labels = window_truth(window, line, rows, truth.classes, PAPER.truth_share)
            lengths.append(inside[:, 1] - inside[:, 0])
            most = max(most, len(labels))
            seconds = to_seconds(inside, window, line)
            assert (seconds[:, 1] <= line.duration + 1e-6).all() and (seconds[:, 1] > seconds[:, 0]).all()
    every = np.concatenate(lengths)
    assert len(every) > 10_000 and 20 <= most < PAPER.proposals
    assert 0.7 < (every < 0.25).mean() < 0.95


def test_a_whole_video_of_activitynet_is_one_window(stad_data: Path) -> None:
    truth = activitynet13.load(stad_data / "activitynet", "validation").record
    config = SpTadConfig.paper("activitynet")
    most, kept, rows = 0, 0, 0
    for name, video in list(truth.videos.items())[:500]:
        line = timeline(name, round(video.duration * 25), 25.0, squeeze=config.window)
        window = Window(name, 0, config.window)
        inside, _ = window_truth(window, line, video.segments, truth.classes)
        most, kept, rows = max(most, len(inside)), kept + len(inside), rows + len(video.segments)
    assert kept > 0.99 * rows and most < config.proposals
