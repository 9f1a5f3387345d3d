"""What is drawn: every box where it belongs, one colour a shape, rows of steps, shares in bins."""

import numpy as np
import pytest

from stad_lite.errors import FormatError
from stad_lite.plots import cuboids, style
from stad_lite.step.cuboids import CUBOIDS


def tones(ax):
    from matplotlib.colors import to_hex

    return [to_hex(patch.get_edgecolor()).upper() for patch in ax.patches]


def test_a_panel_a_set_and_a_colour_a_shape() -> None:
    figure = cuboids.box_sets({"ours": CUBOIDS["grid11"], "code": CUBOIDS["grid34"]})
    left, right = figure.axes
    assert (left.get_title(loc="left"), len(left.patches), len(right.patches)) == ("ours", 11, 34)
    assert [len(set(tones(ax))) for ax in figure.axes] == [3, 2]
    assert tones(left)[0] == style.colour(0)  # the largest shape comes first


def test_boxes_stand_where_they_are_told_but_for_the_inset() -> None:
    boxes = np.array([[0.0, 0.0, 0.5, 1.0], [0.25, 0.5, 0.75, 1.0]])
    frame = np.zeros((40, 80, 3), np.uint8)
    (ax,) = cuboids.box_sets({"two": boxes}, frame).axes
    for patch, box in zip(ax.patches, boxes * [80, 40, 80, 40], strict=True):
        corners = np.array([*patch.get_xy(), patch.get_x() + patch.get_width(),
                            patch.get_y() + patch.get_height()])  # fmt: skip
        np.testing.assert_allclose(corners, box, atol=0.03 * 80)
    assert ax.get_xlim()[1] == pytest.approx(81.6) and ax.yaxis_inverted()


def test_empty_panels_are_blank() -> None:
    figure = cuboids.box_sets(dict.fromkeys("abc", CUBOIDS["grid5"]), columns=2)
    assert [ax.axison for ax in figure.axes] == [True, True, True, False]


def test_rows_are_steps_and_marked_proposals_have_colours() -> None:
    frames = np.zeros((2, 20, 30, 3), np.uint8)
    steps = [np.arange(24.0).reshape(3, 2, 4) + k for k in range(3)]
    truth = np.full((2, 2, 4), np.nan)
    truth[0] = [1, 2, 8, 9]
    figure = cuboids.refinement(frames, steps, truth, marked=[1], names=["in", "one"])
    assert len(figure.axes) == 6
    assert [figure.axes[i].get_ylabel() for i in (0, 2, 4)] == ["in", "one", "step 3"]
    patches = figure.axes[3].patches  # the second row's second frame
    assert len(patches) == 2 + 1 + 1  # two grey ones, one truth, one marked
    assert patches[-1].get_xy() == tuple(steps[1][1, 1, :2])
    assert tones(figure.axes[3])[-1] == style.colour(0)
    assert tones(figure.axes[3])[2] == cuboids.TRUTH


def test_histograms_are_shares_with_means_and_thresholds() -> None:
    figure = cuboids.overlap_histograms(
        [np.array([0.0, 0.1, 0.6, 1.0]), np.array([0.9])], threshold=[0.2], bins=2
    )
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == [50, 50]
    assert [bar.get_height() for bar in right.patches] == [0, 100]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["mean 0.42", "threshold 0.2"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["mean 0.90"]


def test_a_step_without_proposals_is_drawn_empty() -> None:
    (ax,) = cuboids.overlap_histograms([np.zeros(0)], threshold=[0.5], bins=4).axes
    assert sum(bar.get_height() for bar in ax.patches) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: cuboids.box_sets({}),
        lambda: cuboids.box_sets({"a": np.zeros((2, 3))}),
        lambda: cuboids.refinement(
            np.zeros((2, 9, 9, 3), np.uint8), [np.zeros((3, 1, 4))], np.zeros((1, 2, 4))
        ),
        lambda: cuboids.refinement(np.zeros((2, 9, 9, 3), np.uint8), [], np.zeros((1, 2, 4))),
        lambda: cuboids.overlap_histograms([]),
        lambda: cuboids.overlap_histograms([np.array([1.5])]),
    ],
)
def test_what_does_not_fit_is_refused(call) -> None:
    with pytest.raises(FormatError):
        call()


def test_rows_of_steps_are_told_with_how_well_they_meet_the_truth() -> None:
    steps = [np.tile(np.array(box, float), (2, 1))[None] for box in ([0, 0, 4, 4], [0, 0, 4, 8])]
    truth = steps[1].copy()
    truth[0, 1] = np.nan
    figure = cuboids.refinement(np.zeros((2, 9, 9, 3), np.uint8), steps, truth, [0], ["in", "out"])
    assert figure.get_label() == (
        "2 frames of a clip in rows (in, out): 1 proposals, 1 true tubes in black, 1 in colour; "
        "these overlap the truth by 0.50, 1.00."
    )
    unmarked = cuboids.refinement(np.zeros((2, 9, 9, 3), np.uint8), steps, truth)
    assert unmarked.get_label().endswith("1 true tubes in black.")


def test_sure_boxes_are_wide_and_unsure_ones_left_out() -> None:
    boxes = np.arange(12.0).reshape(3, 4)
    figure = cuboids.scored(
        np.zeros((9, 9, 3), np.uint8), {"in": boxes, "out": boxes + 1},
        np.array([0.9, 0.1, 0.5]), boxes[:1], least=0.3,
    )  # fmt: skip
    for ax, place in zip(figure.axes, (0, 1), strict=True):
        assert tones(ax)[0] == cuboids.TRUTH and len(ax.patches) == 3
        assert [patch.get_xy() for patch in ax.patches[1:]] == [(place, place + 1), (place + 8, place + 9)]
        assert ax.patches[1].get_linewidth() > ax.patches[2].get_linewidth()
    assert "2 of 3 proposals have a score from 0.3 on; 1 true boxes" in figure.get_label()
