"""Suppression on a device, all at once, against the loop over items that runs on the CPU."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stad_lite import arrays, boxes, segments
from stad_lite.arrays import ROUNDS, settled, suppress, suppress_together
from stad_lite.baselines import dense
from stad_lite.baselines.config import DenseConfig
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.merging import together
from stad_lite.sp_tad.windows import FoundSegments, Window, merged, timeline
from stad_lite.step import model
from stad_lite.step.config import StepConfig
from stad_lite.step.model import Answer, found_by


def crowd(rng: np.random.Generator, count: int, frames: tuple[int, ...] = ()) -> np.ndarray:
    """Boxes on a coarse grid, so that overlaps and ties abound; some are without extent or inverted."""
    low = rng.integers(0, 8, (count, *frames, 2))
    return np.concatenate([low, low + rng.integers(-1, 6, low.shape)], -1).astype(float)


def chain(count: int) -> np.ndarray:
    """Each box covers the next alone: every second one stays, and rounds settle one after another."""
    left = 3.0 * np.arange(count)
    return np.stack([left, 0 * left, left + 9, 0 * left + 1], -1)


@pytest.mark.parametrize("seed", range(40))
def test_boxes_are_those_of_the_loop(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    items = chain(5 * ROUNDS) if seed == 0 else crowd(rng, seed)
    scores = rng.integers(0, 6, len(items)) / 6 if seed else -np.arange(len(items), dtype=float)
    for threshold in (0.0, 0.3, 0.5, 1.0):
        expected = boxes.nms(items, scores, threshold).tolist()
        given = torch.tensor(items), torch.tensor(scores)
        assert suppress_together(*given, threshold, boxes.iou).tolist() == expected
        with monkeypatch.context() as patch:
            patch.setattr(arrays, "readable", lambda _: False)
            assert boxes.nms(*given, threshold).tolist() == expected


def test_tubelets_are_those_of_the_loop() -> None:
    rng = np.random.default_rng(0)
    items, scores = crowd(rng, 50, (4,)), rng.random(50)
    expected = suppress(items, scores, 0.2, boxes.tubelet_iou).tolist()
    found = suppress_together(torch.tensor(items), torch.tensor(scores), 0.2, boxes.tubelet_iou)
    assert found.tolist() == expected and 1 < len(expected) < 50


def test_groups_know_nothing_of_each_other_and_compilation_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    tables = torch.tensor(np.stack([crowd(rng, 30) for _ in range(4)]))
    covers, there = boxes.pairwise_iou(tables, tables) > 0.3, torch.tensor(rng.random((4, 30)) < 0.8)
    alone = torch.stack([settled(*one) for one in zip(covers, there, strict=True)])
    assert torch.equal(settled(covers, there), alone) and not alone[~there].any()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(settled(covers, there), alone)


@pytest.mark.parametrize("seed", range(8))
def test_soft_suppression_is_that_of_the_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 12, 30)
    items = np.stack([start, start + rng.integers(1, 9, 30)], -1).astype(float)
    scores, labels = rng.integers(0, 9, 30) / 9, rng.integers(0, 3, 30)
    for sigma in (0.001, 0.5):
        order, values = segments.soft_nms(items, scores, sigma, 0.05, labels, 20)
        given = (torch.tensor(part) for part in (items, scores))
        places, found = segments.soft_picks(*given, sigma, 0.05, torch.tensor(labels), 20)
        there = found >= 0.05
        assert places[there].tolist() == order.tolist() and not there[len(order) :].any()
        np.testing.assert_allclose(found[there], values, rtol=1e-12)


def test_videos_are_merged_at_once_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    system = SimpleNamespace(config=SpTadConfig.smoke(), classes=("a", "b", "c"))
    lines = {name: timeline(name, num_frames=100, fps=10.0) for name in ("long", "short", "none")}
    found = {}
    for name, windows in (("long", 3), ("short", 1), ("none", 0)):
        found[name] = [
            FoundSegments(
                Window(name, 20 * i, 40), np.sort(rng.random((9, 2)), 1), rng.random(9), rng.integers(0, 3, 9)
            )
            for i in range(windows)
        ]
    expected = merged(found, lines, system).videos
    ours = together(torch.device("cpu"), found, lines, system)
    assert list(ours) == list(expected) and len(ours["long"].segments or ()) > 9
    for name, video in expected.items():
        for one, other in zip(ours[name].segments, video.segments, strict=True):
            assert replace(one, score=0.0) == replace(other, score=0.0)
            assert one.score == pytest.approx(other.score, rel=1e-12)


@pytest.mark.parametrize("regressions", [1, 3])
def test_clips_are_decoded_at_once_as_one_by_one(regressions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    config = replace(StepConfig.smoke(), keep=7, min_score=0.3)
    tubelets = torch.tensor(crowd(rng, 2 * 11 * 18 * regressions)).reshape(2, 11, 18, regressions, 4) * 4
    scores = torch.tensor(rng.random((2, 11, 3)))
    answer = Answer(tubelets[..., 0, :], scores, tubelets, scores.argmax(-1), None, None)
    expected = found_by(answer, config)
    monkeypatch.setattr(model, "readable", lambda _: False)
    for one, other in zip(found_by(answer, config), expected, strict=True):
        assert len(other) == 7
        for part in ("boxes", "labels", "scores"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_cells_are_suppressed_window_by_window() -> None:
    rng = np.random.default_rng(0)
    config = DenseConfig(keep=5, min_score=0.2, nms=0.3)
    actionness = torch.tensor(rng.random((3, 6, 6)))
    offered = torch.tensor(crowd(rng, 3 * 2 * 36)).reshape(3, 2, 6, 6, 4)
    expected = []
    for window in range(3):
        score = actionness[window].flatten()
        order = score.argsort(descending=True)[:20]
        rows = offered[window].flatten(1, 2)[:, order].transpose(0, 1)
        good = (score[order] >= 0.2) & (rows[..., 2:] > rows[..., :2]).all(-1).all(-1)
        kept = order[good][suppress(rows[good], score[order][good], 0.3, boxes.tubelet_iou)[:5]]
        expected += [[window, int(cell) // 6, int(cell) % 6] for cell in kept]
    assert dense._best(actionness, offered, config).tolist() == expected
