"""Presets give the paths that the released linkers give on the same detections."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from stad_lite.linking import OnlineConfig, TubeletConfig, Tubelets, link_online, link_tubelets
from stad_lite.linking.detections import from_scores
from tests.linking import released

GOLDENS = {
    path.stem: json.loads(path.read_text("utf-8")) for path in (Path(__file__).parent / "goldens").iterdir()
}


def moc(config: TubeletConfig) -> list[list[float]]:
    """Rows of class, start, frames, score and mean box, sorted."""
    linked = link_tubelets(Tubelets(*released.tubelets()), replace(config, tube_nms=None), ("0", "1"))
    rows = [[int(t.label), t.start, len(t), t.score, *t.boxes.mean(0)] for t in linked.tubes]
    return sorted(rows)


def test_moc_links_with_its_negative_weights() -> None:
    golden = GOLDENS["moc"]["tubes"]
    ours = moc(TubeletConfig.moc())
    assert len(ours) == len(golden)
    np.testing.assert_allclose(ours, golden, atol=1e-3)
    mended = moc(TubeletConfig.moc(negative_weights=False))
    assert len(mended) != len(golden) or not np.allclose(mended, golden, atol=1e-3)


def retina(config: OnlineConfig) -> list[list[int]]:
    frame, boxes, scores = released.actors()
    linked = link_online(from_scores(frame, boxes, scores[:, None]), replace(config, nms=None))
    return sorted(sorted(frame[index].tolist()) for index in linked.members)


def test_3d_retinanet_links_actors_and_drops_no_path() -> None:
    golden = GOLDENS["3d-retinanet"]
    assert retina(OnlineConfig.retina3d(released=True)) == golden["paths"]
    clipped = retina(replace(OnlineConfig.retina3d(released=True), unclipped=False))
    assert clipped == golden["paths_with_the_intersection_clipped"] != golden["paths"]
    assert retina(OnlineConfig.retina3d()) == [path for path in clipped if len(path) >= 6]
    frame, boxes, scores = released.actors()
    config = replace(OnlineConfig.retina3d(released=True), nms=None)
    by_class = link_online(from_scores(frame, boxes, np.repeat(scores[:, None], 3, axis=1)), config)
    assert len(by_class.tubes) == 3 * len(golden["paths"])
