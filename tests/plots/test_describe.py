"""What a figure shows in words: from what is drawn, or as it is told."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from stad_lite.plots import show, tubes
from stad_lite.plots.describe import LONGEST, describe
from stad_lite.tubes import Tube


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_panels_of_one_kind_are_told_together():
    figure, axes = plt.subplots(1, 3)
    for n, ax in enumerate(axes):
        show(ax, np.zeros((4, 4, 3), np.uint8)).set_title(f"frame {n}", loc="left")
    assert describe(figure) == '3 panels, each with a frame of a clip: "frame 0"; "frame 1"; "frame 2".'


def test_curves_tell_where_they_lead_and_legends_what_is_what():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2, 3], [0.5, np.nan, 0.25], label="ours")
    left.set(xlabel="epoch", ylabel="loss")
    right.bar([0, 1], [2, 3])
    right.set_ylabel("share (%)")
    figure.legend(["a", "b"])
    told = describe(figure)
    assert told == "Curves of loss against epoch; ours from 0.5 to 0.25. bars of share (%). legend: a, b."


def test_marks_without_a_line_are_points():
    figure, ax = plt.subplots()
    ax.plot([1, 2, 3], [3, 1, 2], "o", label="ours")
    ax.set(xlabel="before", ylabel="after")
    ax.legend()
    assert describe(figure) == "Points and areas of after against before; ours."


def test_own_words_win_and_long_ones_end():
    figure, ax = plt.subplots()
    assert describe(figure, "Two people wave at each other.") == describe(figure)
    assert describe(figure) == "Two people wave at each other."
    figure, ax = plt.subplots()
    ax.plot([0, 1, 2], label="word " * 200)
    assert len(describe(figure)) <= LONGEST
    assert describe(plt.figure()) == "An empty figure."


def test_a_strip_tells_its_frames_and_classes():
    tube = Tube(2, np.tile([1.0, 1, 3, 3], (2, 1)), "run")
    figure = tubes.strip(np.zeros((4, 8, 8, 3), np.uint8), tube, first_frame=1)
    assert describe(figure) == "Frames 1, 2, 3, 4 of a clip with the boxes of 1 tube: run."
