"""Anchors against enumeration, published counts and formulas, and real boxes."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from stad_lite import anchors, boxes
from stad_lite.data import ucf101_24
from stad_lite.errors import FormatError


def test_grid_anchors_are_the_cells_in_order():
    sizes = np.array([[10.0, 6.0], [4.0, 20.0]])
    got = anchors.grid_anchors(sizes, height=3, width=2, stride=16)
    wanted = [
        [16 * (x + 0.5) - w / 2, 16 * (y + 0.5) - h / 2, 16 * (x + 0.5) + w / 2, 16 * (y + 0.5) + h / 2]
        for y in range(3)
        for x in range(2)
        for w, h in sizes
    ]
    np.testing.assert_allclose(got, wanted)
    assert anchors.grid_anchors(np.ones((6, 2)), 7, 7, 32).shape == (294, 4)  # CFAD's map


def test_ratio_sizes_keep_the_area():
    sizes = anchors.ratio_sizes([32, 64, 128, 256])
    np.testing.assert_allclose(sizes.prod(1), np.repeat([32**2, 64**2, 128**2, 256**2], 3))
    np.testing.assert_allclose(sizes[:, 1] / sizes[:, 0], [0.5, 1, 2] * 4)


def test_temporal_anchors():
    got = anchors.temporal_anchors([16, 24, 32, 48, 64, 80, 96], steps=12, stride=8)
    assert got.shape == (84, 2)
    np.testing.assert_allclose(got.mean(1), np.repeat(4 + 8 * np.arange(12), 7))
    np.testing.assert_allclose(got[:7, 1] - got[:7, 0], [16, 24, 32, 48, 64, 80, 96])


def test_initial_boxes_are_those_of_the_authors_code():
    """The 34: sides 3/4 and 1/2 at multiples of 1/8, x first, as STEP's data/data_utils.py counts them."""
    wanted = [
        [i / 8, j / 8, i / 8 + side, j / 8 + side]
        for side, count in ((0.75, 3), (0.5, 5))
        for i, j in itertools.product(range(count), repeat=2)
    ]
    got = anchors.initial_boxes(anchors.GRID34)
    np.testing.assert_array_equal(got, wanted)
    assert got.min() == 0 and got.max() == 1


@pytest.mark.parametrize(
    ("scale", "overlap", "a_side"),
    [(4 / 3, 5 / 6, 3), (2, 3 / 4, 5), (3, 1 / 2, 5), (4, 1 / 4, 5), (5, 0, 5)],
)
def test_no_row_is_lost_to_rounding(scale, overlap, a_side):
    """The five grids of STEP's anchor modes; at scale 3 its own loop over floats may stop one row early."""
    side = 1 / scale
    got = anchors.square_grid(side, side * (1 - overlap))
    assert len(got) == a_side**2
    assert got.min() == pytest.approx(0, abs=1e-12) and got.max() == pytest.approx(1, abs=1e-12)


def test_grid11():
    got = anchors.initial_boxes(anchors.GRID11)
    np.testing.assert_array_equal(got[:2], [[0, 0, 1, 1], [0.125, 0.125, 0.875, 0.875]])
    centres = {tuple(c) for c in boxes.xyxy_to_cxcywh(got[2:])[:, :2]}
    assert centres == set(itertools.product((0.25, 0.5, 0.75), repeat=2))


def test_initial_boxes_meet_real_ones(stad_data: Path):
    """The figures in ``GRID11``'s note."""
    path = stad_data / "ucf101_24" / "pyannot.pkl"
    if not path.is_file():
        pytest.skip("no UCF101-24 annotations here")
    videos = ucf101_24.read_pickle(path).videos.values()
    real = np.concatenate([tube.boxes for video in videos for tube in video.tubes or ()])[::15]
    shares = real / [320, 240, 320, 240]
    overlap = {
        name: boxes.pairwise_iou(shares, anchors.initial_boxes(grid)).max(1)
        for name, grid in (("11", anchors.GRID11), ("34", anchors.GRID34))
    }
    assert overlap["11"].mean() == pytest.approx(0.356, abs=5e-4)
    assert overlap["34"].mean() == pytest.approx(0.374, abs=5e-4)
    assert (overlap["34"] >= 0.2).mean() == pytest.approx(0.808, abs=5e-4)
    assert (overlap["11"] >= 0.2).mean() == pytest.approx(0.800, abs=5e-4)


def test_default_boxes_by_the_published_loop():
    """RFB Net's table (data/config.py) in the order and with the clip of its prior_box.py."""
    steps, smallest = [8, 16, 32, 64, 100, 300], [30, 60, 111, 162, 213, 264]
    largest, ratios = [60, 111, 162, 213, 264, 315], [[2, 3]] * 4 + [[2]] * 2
    wanted = []
    for level, cells in enumerate([38, 19, 10, 5, 3, 1]):
        for i, j in itertools.product(range(cells), repeat=2):
            x, y = (j + 0.5) / (300 / steps[level]), (i + 0.5) / (300 / steps[level])
            side = smallest[level] / 300
            wanted += [[x, y, side, side], [x, y, *[math.sqrt(side * largest[level] / 300)] * 2]]
            for ratio in ratios[level]:
                wanted.append([x, y, side * math.sqrt(ratio), side / math.sqrt(ratio)])
                wanted.append([x, y, side / math.sqrt(ratio), side * math.sqrt(ratio)])
    got = anchors.default_boxes()
    layout = anchors.RFB300
    assert len(got) == 11620 == sum(n * m * m for n, m in zip(layout.per_cell, layout.maps, strict=True))
    np.testing.assert_allclose(boxes.xyxy_to_cxcywh(got) / 300, np.clip(wanted, 0, 1), atol=1e-12)


def test_kmeans_finds_separate_groups():
    random = np.random.default_rng(0)
    centres = np.array([[20.0, 50.0], [60.0, 40.0], [120.0, 180.0]])
    sizes = np.concatenate([c * np.exp(random.normal(0, 0.05, size=(200, 2))) for c in centres])
    np.testing.assert_allclose(anchors.kmeans_sizes(sizes, 3), centres, rtol=0.03)


@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_kmeans_is_the_best_that_stands_still(clusters):
    """Of all partitions of eight sizes whose means draw just their own parts, the best mean IoU."""
    sizes = np.random.default_rng(3).uniform(5, 60, size=(8, 2))
    best = 0.0
    for labels in map(np.array, itertools.product(range(clusters), repeat=8)):
        if len(set(labels)) == clusters:
            means = np.stack([sizes[labels == c].mean(0) for c in range(clusters)])
            overlap = anchors.shape_iou(sizes[:, None], means)
            if (overlap.argmax(1) == labels).all():
                best = max(best, overlap.max(1).mean())
    got = anchors.shape_iou(sizes[:, None], anchors.kmeans_sizes(sizes, clusters, restarts=20)).max(1)
    assert got.mean() == pytest.approx(best, abs=1e-12)


def test_kmeans_is_repeatable_and_blind_to_units():
    sizes = np.random.default_rng(1).uniform(10, 200, size=(300, 2))
    first = anchors.kmeans_sizes(sizes, 6, seed=4)
    np.testing.assert_array_equal(first, anchors.kmeans_sizes(sizes, 6, seed=4))
    np.testing.assert_allclose(anchors.kmeans_sizes(sizes / 8, 6, seed=4), first / 8)
    assert (np.diff(first.prod(1)) > 0).all()


@pytest.mark.parametrize(
    "sizes", [np.ones((5, 2)), np.zeros((5, 2)), np.ones((5, 3)), np.full((5, 2), np.nan)]
)
def test_what_cannot_be_clustered_is_refused(sizes):
    with pytest.raises(FormatError, match="sizes"):
        anchors.kmeans_sizes(sizes, 2)
