import numpy as np
import pytest
from scipy import stats

from stad_lite.errors import FormatError
from stad_lite.plots import bars, curves, interval, lines, style


def test_interval_is_students() -> None:
    runs = np.random.default_rng(0).normal(size=(7, 5))
    mean, low, high = interval(runs, 0.9)
    for column in range(5):
        a, b = stats.t.interval(0.9, 6, loc=runs[:, column].mean(), scale=stats.sem(runs[:, column]))
        np.testing.assert_allclose([low[column], mean[column], high[column]], [a, runs[:, column].mean(), b])


def test_interval_skips_missing_runs_and_has_no_width_for_one() -> None:
    mean, low, high = interval(np.array([[1.0, 4.0, np.nan], [3.0, np.nan, np.nan]]))
    assert mean[0] == 2 and low[0] < 2 < high[0]
    assert mean[1] == low[1] == high[1] == 4
    assert np.isnan(mean[2])


def test_curves_draw_mean_and_band() -> None:
    runs = np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]])
    ax = curves([1, 2, 3], {"ours": runs, "one": np.array([5.0, 5.0, 5.0])}, xlabel="order", ylabel="IoU")
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 1], [2, 2], [3, 3]])
    assert [line.get_color() for line in ax.lines] == [style.colour(0), style.colour(1)]
    assert len(ax.collections) == 1  # a single run has no band
    _, low, high = interval(runs)
    bounds = ax.collections[0].get_paths()[0].get_extents()
    np.testing.assert_allclose([bounds.ymin, bounds.ymax], [low.min(), high.max()])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "one"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("order", "IoU")


def test_curves_take_a_given_band_and_colour() -> None:
    bands = {"ours": (np.array([0.0, 0.5]), np.array([3.0, 3.5]))}
    ax = curves([0, 1], {"ours": np.array([1.0, 2.0])}, bands=bands, colours={"ours": "#123456"})
    bounds = ax.collections[0].get_paths()[0].get_extents()
    assert (bounds.ymin, bounds.ymax) == (0, 3.5)
    assert ax.lines[0].get_color() == "#123456"


def test_curves_refuse_the_wrong_length() -> None:
    with pytest.raises(FormatError, match="'ours' has 3 values for 2 places"):
        curves([0, 1], {"ours": np.zeros(3)})


def test_bars_stand_in_groups_at_their_places() -> None:
    ax = bars(np.array([2.5, 7.5]), {"a": [1, 2], "b": [3, 4]}, ylabel="%")
    places = [patch.get_x() + patch.get_width() / 2 for patch in ax.patches]
    np.testing.assert_allclose(places, [1.5, 6.5, 3.5, 8.5])
    assert [patch.get_height() for patch in ax.patches] == [1, 2, 3, 4]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    named = bars(["x", "y", "z"], {"a": [1, 2, 3]})
    assert [label.get_text() for label in named.get_xticklabels()] == ["x", "y", "z"]
    assert named.get_legend() is None
    with pytest.raises(FormatError, match="2 values for 3 places"):
        bars(["x", "y", "z"], {"a": [1, 2]})


def test_scatter_stands_at_the_means_with_the_interval_of_the_second() -> None:
    ax = lines.scatter({"a": ([1, 3], [10, 14]), "b": ([5], [6])}, "error", "mAP", ("none", 7.0))
    points = [container.lines[0].get_xydata()[0].tolist() for container in ax.containers]
    assert points == [[2, 12], [5, 6]]
    _, low, high = lines.interval(np.array([[10.0], [14.0]]))
    bar = ax.containers[0].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bar[:, 1], [low[0], high[0]])
    names = {text.get_text() for text in ax.get_legend().get_texts()}
    assert names == {"a", "b", "none"}
    assert "a 12.0 at 2; b 6.0 at 5" in ax.figure.get_label()
    with pytest.raises(FormatError, match="no point"):
        lines.scatter({})
