"""Costs, pairs and holders are drawn where they are."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from stad_lite.errors import FormatError
from stad_lite.plots import matching, style
from stad_lite.plots.describe import describe

COST = np.array([[1.0, 2.0, 6.0], [2.0, 5.0, 9.0]])
TRUTHS = np.array([[1.0, 3.0], [5.0, 9.0]])
PROPOSALS = np.array([[4.0, 9.0], [0.5, 3.0], [7.0, 8.0]])


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_cost_table_writes_every_cost_and_frames_the_pairs() -> None:
    ax = matching.cost_table(COST, [(0, 2), (1, 0)], digits=1, rows=["a", "b"])
    assert texts(ax) == ["1.0", "2.0", "6.0", "2.0", "5.0", "9.0"]
    assert [patch.get_xy() for patch in ax.patches] == [(1.5, -0.5), (-0.5, 0.5)]
    assert [to_hex(p.get_edgecolor()).upper() for p in ax.patches] == [style.colour(2), style.colour(0)]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["t1", "t2", "t3"]
    shade = np.asarray(ax.images[0].get_array())
    assert (shade.argmin(), shade.argmax(), shade.min(), shade.max()) == (0, 5, 0, 1)


def test_cost_table_stands_forbidden_and_equal_costs() -> None:
    shade = np.asarray(matching.cost_table(np.array([[np.inf, 1.0], [2.0, 3.0]])).images[0].get_array())
    np.testing.assert_array_equal(shade, [[1, 0], [0.5, 1]])
    assert not np.asarray(matching.cost_table(np.ones((2, 2))).images[0].get_array()).any()
    assert texts(matching.cost_table(np.full((1, 1), np.inf))) == ["inf"]


def test_lanes_draw_segments_and_ties() -> None:
    ax = matching.lanes(TRUTHS, PROPOSALS, [(0, 1), (1, 0)], notes=["0.9", "0.8", "0.1"])
    bars = [(p.get_x(), p.get_width()) for p in ax.patches if round(p.get_height(), 3) in (0.55, 0.7)]
    wanted = [*TRUTHS, *PROPOSALS]
    np.testing.assert_allclose(bars, [(start, end - start) for start, end in wanted])
    tones = [to_hex(p.get_facecolor()).upper() for p in ax.patches if round(p.get_height(), 3) == 0.55]
    assert tones == [style.colour(1), style.colour(0), style.GREY]
    np.testing.assert_allclose([line.get_xdata() for line in ax.lines], [[7, 6.5], [2, 1.75]])
    assert texts(ax) == ["t1", "t2", " 0.9", " 0.8", " 0.1"]
    told = "2 truths and below 3 proposals, 2 of them tied to a truth, as bars on an axis of time (s)"
    assert describe(ax.figure).startswith(told)


def test_lanes_take_given_colours_and_no_truth() -> None:
    ax = matching.lanes(np.zeros((0, 2)), PROPOSALS, colours=["#000000", "#111111", "#222222"])
    assert [to_hex(p.get_facecolor()) for p in ax.patches] == ["#000000", "#111111", "#222222"]
    assert not ax.lines
    both = matching.lanes(TRUTHS, PROPOSALS, [(0, 1)], truth_colours=["#AAAAAA", "#BBBBBB"])
    bars = [p for p in both.patches if round(p.get_height(), 3) in (0.55, 0.7)]
    tones = [to_hex(p.get_facecolor()).upper() for p in bars]
    assert tones == ["#AAAAAA", "#BBBBBB", "#BBBBBB", style.GREY, style.GREY]


def test_specialists_are_told_from_all_by_colour() -> None:
    places, lengths = np.array([[1.0, 8.0], [3.0, 6.0]]), np.array([[2.0, 4.0], [2.0, 8.0]])
    sure = np.array([[True, True], [True, False]])
    figure = matching.specialists(places, lengths, sure, np.array([[5.0, 1.0], [6.0, 2.0]]), [1, 0])
    first, second = figure.axes[:2]
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("proposal 2", "proposal 1")
    dots = [[line.get_xdata().tolist() for line in ax.lines] for ax in (first, second)]
    assert dots == [[[1, 8, 3], [8], [6]], [[1, 8, 3], [1, 3], [5]]]
    assert "2 at 8 s, 4 s long; 1 at 2 s, 2 s long on average" in figure.get_label()
    with pytest.raises(FormatError, match="no proposal"):
        matching.specialists(places, lengths, sure, np.zeros((2, 2)), [])


def test_holders_follow_the_matched_proposal() -> None:
    segments = np.stack([PROPOSALS, PROPOSALS + 1, PROPOSALS + 2, PROPOSALS + 3])
    holder = np.array([[0, -1], [0, 1], [2, 1], [2, 1]])
    ax = matching.holders(np.array([0, 10, 20, 30]), segments, holder, TRUTHS)
    marked = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(marked[0].get_ydata(), [6.5, 7.5, 9.5, 10.5])
    np.testing.assert_allclose(marked[1].get_ydata(), [np.nan, 2.75, 3.75, 4.75])
    joined = [line for line in ax.lines if to_hex(line.get_color()).upper() == style.colour(0)][:-1]
    assert [line.get_xdata().tolist() for line in joined] == [[0, 10], [20, 30]]  # one line a proposal
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["t1", "t2"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: matching.cost_table(np.zeros(3)),
        lambda: matching.cost_table(np.zeros((0, 2))),
        lambda: matching.cost_table(COST, [(2, 0)]),
        lambda: matching.lanes(TRUTHS, PROPOSALS, [(0, -1)]),
        lambda: matching.lanes(TRUTHS, np.zeros((3, 3))),
        lambda: matching.holders(np.arange(3), np.zeros((2, 3, 2)), np.zeros((2, 2)), TRUTHS),
    ],
)
def test_bad_shapes_are_refused(draw) -> None:
    with pytest.raises(FormatError):
        draw()
