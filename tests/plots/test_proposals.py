"""Boxes and spans are drawn where they are."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from stad_lite.errors import FormatError
from stad_lite.plots import proposals


def test_on_frame_tells_found_from_missed() -> None:
    truth = np.array([[1.0, 2, 5, 9], [4.0, 4, 8, 8]])
    ax = proposals.on_frame(
        np.zeros((12, 12, 3), np.uint8), [[0, 0, 3, 4]], truth, np.array([True, False]),
        colour="#123456", title="here",
    )  # fmt: skip
    boxes = [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in ax.patches]
    assert boxes == [(0, 0, 3, 4), (1, 2, 4, 7), (4, 4, 4, 4)]
    assert to_hex(ax.patches[0].get_edgecolor()) == "#123456"
    assert ax.patches[1].get_linestyle() in ("-", "solid")
    assert ax.patches[2].get_linestyle() not in ("-", "solid")
    assert ax.get_title(loc="left") == "here"
    with pytest.raises(FormatError, match="1 answers for 2 true boxes"):
        proposals.on_frame(np.zeros((4, 4, 3), np.uint8), [], truth, np.array([True]))


def test_on_frame_stands_no_boxes() -> None:
    ax = proposals.on_frame(np.zeros((4, 4, 3), np.uint8), [], np.zeros((0, 4)), np.zeros(0, bool))
    assert not ax.patches


def test_cut_curve_draws_scores_and_spans() -> None:
    scores, filtered = np.array([0.1, 0.9, 0.2]), np.array([0.1, 0.2, 0.2])
    ax = proposals.cut_curve(scores, filtered, 0.3, {"truth": [(5, 8)], "kept": []}, start=5)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[5, 0.1], [6, 0.9], [7, 0.2]])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), filtered)
    assert list(ax.lines[2].get_ydata()) == [0.3, 0.3]
    bounds = ax.collections[0].get_paths()[0].get_extents()
    assert (bounds.xmin, bounds.xmax) == (4.5, 7.5)
    assert [text.get_text() for text in ax.texts] == ["truth", "kept"]
    with pytest.raises(FormatError, match="2 filtered scores for 3"):
        proposals.cut_curve(scores, filtered[:2], 0.3, {})


def test_boxes_may_have_a_colour_each() -> None:
    boxes = [[0, 0, 3, 4], [1, 1, 4, 4]]
    ax = proposals.on_frame(
        np.zeros((9, 9, 3), np.uint8),
        boxes,
        np.zeros((0, 4)),
        np.zeros(0, bool),
        colour=["#FF0000", "#0000FF"],
    )
    assert [to_hex(patch.get_edgecolor()) for patch in ax.patches] == ["#ff0000", "#0000ff"]
