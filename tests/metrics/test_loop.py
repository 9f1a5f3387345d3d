"""Agreement with the plain loops on files of some size, and with any size of batch."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.metrics import Rules, evaluate, frames, videos
from tests.metrics import peers
from tests.oracles import metrics_loop


def test_frame_map() -> None:
    truth, ours = peers.frames(seed=7, videos=6)
    tables = [metrics_loop.boxes_by_frame(record.videos, truth.classes) for record in (truth, ours)]
    for threshold in (0.3, 0.5, 0.7):
        found = evaluate(truth, ours, "frame-map", threshold).iou[threshold]
        assert found == pytest.approx(metrics_loop.frame_map(*tables, threshold), abs=1e-9)


def test_video_map() -> None:
    truth, ours = peers.tubes(seed=8)
    found = evaluate(truth, ours, "video-map", "0.1:0.9:0.1").iou
    for threshold, value in found.items():
        assert value == pytest.approx(metrics_loop.video_map(truth, ours, threshold), abs=1e-9)


@pytest.mark.parametrize("rules", [Rules(), Rules(frames="annotated", max_per_frame=2), Rules(ties="file")])
def test_the_size_of_a_batch_does_not_matter(monkeypatch: pytest.MonkeyPatch, rules: Rules) -> None:
    boxes, tubes = peers.frames(videos=6), peers.tubes(videos=8)
    whole = evaluate(*boxes, "frame-map", 0.5, rules), evaluate(*tubes, "video-map", 0.5, rules)
    monkeypatch.setattr(frames, "BATCH", 50)
    monkeypatch.setattr(videos, "CHUNK", 37)
    parts = evaluate(*boxes, "frame-map", 0.5, rules), evaluate(*tubes, "video-map", 0.5, rules)
    assert [one.to_json() for one in parts] == [one.to_json() for one in whole]


def test_frame_map_of_tubes_is_that_of_their_boxes() -> None:
    truth, ours = peers.tubes(videos=6)
    tables = [metrics_loop.boxes_by_frame(record.videos, truth.classes) for record in (truth, ours)]
    shared = evaluate(truth, ours, "frame-map", 0.5, Rules(ties="file"))
    assert shared.num_predictions == sum(len(v) for t in tables[1].values() for v in t.values())
    assert np.isfinite(shared.iou[0.5])
