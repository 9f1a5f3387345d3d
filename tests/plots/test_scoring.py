import numpy as np

from stad_lite.metrics.result import Result
from stad_lite.plots import scoring


def test_each_detection_has_its_rank_at_its_box_on_its_frame() -> None:
    true = [(0, [0, 0, 10, 10]), (1, [5, 5, 20, 20])]
    axes = scoring.ranked_boxes(true, [(0.9, 1, [4, 5, 20, 20]), (0.8, 0, [0, 0, 8, 10])], (40, 30))
    assert [[text.get_text() for text in ax.texts] for ax in axes] == [["2"], ["1"]]
    grey, found = axes[1].patches
    assert found.get_bbox().extents.tolist() == [4, 5, 20, 20] and not found.get_fill() and grey.get_fill()
    x, y = axes[1].texts[0].get_position()
    assert 4 <= x <= 20 and 5 <= y <= 20


def test_the_envelope_is_never_under_the_curve() -> None:
    ax = scoring.precision_recall(np.array([True, False, True]), 4)
    (line,) = ax.lines
    assert np.allclose(line.get_xydata(), [[0, 1], [1 / 4, 1], [1 / 4, 1 / 2], [1 / 2, 2 / 3]])
    area, dots = ax.collections
    top = area.get_paths()[0].vertices[:, 1]
    assert np.isclose(top, 2 / 3).any() and not np.isclose(top, 1 / 2).any()
    assert len(np.unique(dots.get_facecolor(), axis=0)) == 2


def test_a_move_of_nothing_has_no_minus() -> None:
    ax = scoring.points_moved({"a": -0.001, "b": 1.5})
    assert [text.get_text() for text in ax.texts] == ["+0.00", "+1.50"]


def test_orders_lie_between_the_ends() -> None:
    ax = scoring.tied([2.0, 2.1, 2.1], {"false first": 1.0, "true first": 4.0, "stated rule": 3.0})
    assert sum(bar.get_height() for bar in ax.patches) == 3
    assert [line.get_xdata()[0] for line in ax.lines] == [1, 4, 3]
    assert ax.get_xlim()[0] < 1 and ax.get_xlim()[1] > 4


def test_kinds_of_error_stand_side_by_side() -> None:
    one = Result("errors", "sound", counts={"wrong_class": 3, "missed": 1}, gain={"wrong_class": 7.0})
    two = Result("errors", "sound", counts={"wrong_class": 0, "missed": 2}, gain={"missed": 1.0})
    counts, gains = scoring.kinds_of_error({"one": one, "two": two})
    assert [[bar.get_width() for bar in group] for group in counts.containers] == [[3, 1], [0, 2]]
    assert [[bar.get_width() for bar in group] for group in gains.containers] == [[7, 0], [0, 1]]
    assert [label.get_text() for label in counts.get_yticklabels()] == ["wrong class", "missed"]
    assert counts.containers[0][0].get_facecolor() == gains.containers[0][0].get_facecolor()
