"""Frames drawn larger: boxes stay where they are, and pictures show the large pixels."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from stad_lite.data.drawn import Drawn
from stad_lite.plots import cuboids, live, proposals, refinement, show, streams, tubes
from stad_lite.plots.frames import boxed
from stad_lite.tubes import Tube

SMALL = np.arange(4 * 6 * 8 * 3, dtype=np.uint8).reshape(4, 6, 8, 3)
LARGE = Drawn(SMALL.repeat(4, 1).repeat(4, 2), 4)
BOX = np.array([1.0, 2, 5, 6])
TUBE = Tube(0, np.tile(BOX, (4, 1)), "run")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def first_axes(frames):
    """One axes of each picture that shows frames with boxes."""
    one = frames[0]
    yield cuboids.box_sets({"a": BOX[None] / 8}, one).axes[0]
    yield cuboids.refinement(frames, [np.tile(BOX, (1, 4, 1))], np.tile(BOX, (1, 4, 1))).axes[0]
    yield refinement.along(frames, {"truth": TUBE}, [0, 1]).axes[0]
    yield proposals.on_frame(one, [BOX], BOX[None], np.array([True]))
    yield live.row([one])[0]
    yield show(plt.subplots()[1], one)


def test_boxes_are_where_they_are_on_small_frames():
    for small, large in zip(first_axes(SMALL), first_axes(LARGE), strict=True):
        assert small.images[0].get_extent() == large.images[0].get_extent() == [0, 8, 6, 0]
        assert large.images[0].get_array().shape[:2] == (24, 32)
        assert [p.get_bbox().bounds for p in small.patches] == [p.get_bbox().bounds for p in large.patches]


def test_a_strip_and_rows_have_the_same_places():
    for frames in (SMALL, LARGE):
        (ax,) = tubes.strip(frames, TUBE, columns=2).axes
        assert ax.images[1].get_extent() == pytest.approx([8.24, 16.24, 6, 0])
        assert ax.patches[1].get_bbox().bounds == pytest.approx((9.24, 2, 4, 4))
    small, large = (streams.strips({"a": frames}, gap=1).images[0].get_array() for frames in (SMALL, LARGE))
    assert tuple(4 * side for side in small.shape[:2]) == large.shape[:2]


def test_faint_frames_keep_their_size():
    ax = show(plt.subplots()[1], LARGE[0], faint=True)
    assert ax.images[0].get_array().min() >= 0.39 and ax.get_xlim() == (0, 8)


@pytest.mark.parametrize("frames", [SMALL, LARGE], ids=["small", "large"])
def test_boxes_on_a_frame_have_their_colours_and_leave_its_limits(frames):
    ax = boxed(plt.subplots()[1], frames[0], [(BOX, "red"), (BOX + 20, "blue")], "two")
    first, second = ax.patches
    assert first.get_bbox().extents.tolist() == BOX.tolist() and first.get_edgecolor() == (1, 0, 0, 1)
    assert second.get_edgecolor() == (0, 0, 1, 1) and not first.get_fill()
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_title(loc="left")) == ((0, 8), (6, 0), "two")
