import numpy as np
import pytest

from stad_lite.errors import FormatError
from stad_lite.plots import streams, style


def test_strips_put_every_picture_in_its_place() -> None:
    random = np.random.default_rng(0)
    rows = {name: random.integers(0, 255, (3, 5, 4, 3), dtype=np.uint8) for name in ("clean", "noisy")}
    ax = streams.strips(rows, ("a", "b", "c"), gap=2)
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape == (2 * 7, 3 * 6, 3)
    for i, row in enumerate(rows.values()):
        for j in range(3):
            np.testing.assert_array_equal(sheet[7 * i : 7 * i + 5, 6 * j : 6 * j + 4], row[j])
    assert (sheet[5:7] == 255).all() and (sheet[:, 4:6] == 255).all()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["clean", "noisy"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    np.testing.assert_allclose(ax.get_xticks(), [2, 8, 14])


def test_strips_refuse_what_does_not_fit() -> None:
    picture = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(FormatError, match="rows of shapes"):
        streams.strips({"a": picture, "b": picture[:1]})
    with pytest.raises(FormatError, match="rows of shapes"):
        streams.strips({})
    with pytest.raises(FormatError, match="3 words for 2 pictures"):
        streams.strips({"a": picture}, "abc")


def test_cooperation_draws_a_head_a_stage_and_the_arrows_between() -> None:
    turns = [(("rgb", 1), ("rgb", 0), ("flow", 0)), (("flow", 2), ("flow", 0), ("rgb", 1))]
    ax = streams.cooperation(turns)
    boxes = {text.get_text(): text.get_position() for text in ax.texts if text.get_text()}
    assert boxes["stage 1"] == (1, streams.LANES["rgb"])
    assert boxes["stage 2"] == (2, streams.LANES["flow"])
    helping = {
        (text.xyann, text.xy) for text in ax.texts
        if getattr(text, "arrow_patch", None) and text.arrowprops["color"] == style.colour(5)
    }  # fmt: skip
    assert helping == {((0, 0.0), (1, 1.0)), ((1, 1.0), (2, 0.0)), ((-1, 0.0), (-1, 1.0))}
    fewer = streams.cooperation(turns, image=False)
    assert len(fewer.texts) == len(ax.texts) - 1


def test_cooperation_knows_two_streams() -> None:
    with pytest.raises(FormatError, match="'depth'"):
        streams.cooperation([(("depth", 1), ("rgb", 0), ("flow", 0))])


def test_differences_say_which_intervals_hold_zero() -> None:
    rows = [
        ("up", 2.0, 1.0, 3.0),
        ("open", 0.5, -1.0, 2.0),
        ("down", -2.0, -3.0, -1.0),
        ("one", 1.0, -np.inf, np.inf),
    ]
    ax = streams.differences(rows, xlabel="points")
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [
        (2, 0),
        (0.5, 1),
        (-2, 2),
        (1, 3),
    ]
    tones = [line.get_color() for line in dots]
    assert tones == [style.colour(0), style.GREY, style.colour(5), style.GREY]
    spans = [list(line.get_xdata()) for line in ax.lines if line.get_marker() != "o"][1:]
    assert spans == [[1, 3], [-1, 2], [-3, -1]]  # a single run has none
    assert [label.get_text() for label in ax.get_yticklabels()] == ["up", "open", "down", "one"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    with pytest.raises(FormatError, match="no differences"):
        streams.differences([])


def test_class_tables_mark_the_true_class_and_tell_what_it_gets() -> None:
    chances = {"alone": np.array([0.1, 0.2, 0.3, 0.4]), "with\nhelp": np.array([0.7, 0.1, 0.1, 0.1])}
    figure = streams.class_tables(chances, ("warm-wave", "warm-chop", "cool-wave", "cool-chop"), 2)
    for ax, values in zip(figure.axes, chances.values(), strict=True):
        assert np.asarray(ax.images[0].get_array()).tolist() == values.reshape(2, 2).tolist()
        assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" for value in values]
        assert ax.patches[0].get_xy() == (-0.5, 0.5)
    assert "cool-wave, gets 0.30 alone; 0.10 with help" in figure.get_label()
    with pytest.raises(FormatError, match="classes warm-wave, cool-chop"):
        streams.class_tables(chances, ("warm-wave", "cool-chop"), 0)


def test_bars_stand_beside_what_was_before() -> None:
    ax = streams.bars({"a": (30.0, 40.0), "b": (50.0, 20.0), "c": (5.0, 6.0)}, "right (%)")
    assert [bar.get_height() for bar in ax.patches] == [30, 50, 5]
    assert [line.get_ydata()[0] for line in ax.lines] == [40, 20, 6]
    assert "a 30, line at 40; b 50, line at 20" in ax.figure.get_label()
