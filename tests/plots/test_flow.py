import colorsys

import numpy as np
import pytest

from stad_lite.errors import FormatError
from stad_lite.plots import flow as flow_plots
from stad_lite.plots import style


def circle(count: int = 360, length: float = 1.0) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return length * np.stack([np.cos(angle), np.sin(angle)], -1)


def test_no_motion_is_white_and_unknown_black() -> None:
    image = flow_plots.colours(np.array([[[0.0, 0.0], [np.nan, 1.0]]]), length=3)
    assert image.tolist() == [[[255, 255, 255], [0, 0, 0]]]


def test_directions_have_the_named_hues() -> None:
    right, down, left, up = flow_plots.colours(circle(4), length=1).astype(int)
    assert right[0] == right.max() and right.argmin() in (1, 2)
    assert down[2] == down.min() and min(down[:2]) > 140  # yellow: red and green without blue
    assert left[0] == left.min()  # cyan: without red
    assert up[1] == up.min()  # violet: without green


def test_hue_turns_once_with_direction() -> None:
    hues = np.array([colorsys.rgb_to_hsv(*(c / 255))[0] for c in flow_plots.colours(circle(36), 1.0)])
    steps = (np.diff(np.append(hues, hues[0])) + 0.5) % 1 - 0.5
    assert np.isclose(abs(steps.sum()), 1, atol=1e-6)
    assert (np.sign(steps) == np.sign(steps.sum())).all()


def test_full_length_fits_into_srgb_for_every_direction() -> None:
    hue = np.linspace(0, 2 * np.pi, 360)
    ones = np.ones_like(hue)
    image = flow_plots._srgb((1 - flow_plots.DARKENING) * ones, flow_plots.CHROMA * ones, hue)
    lightness = image @ [0.2126, 0.7152, 0.0722]
    assert image.min() > 0 and image.max() < 1  # nothing was cut off
    assert lightness.max() - lightness.min() < 0.1


def test_colour_grows_with_length_and_saturates() -> None:
    ramp = np.stack([np.linspace(0, 10, 11), np.zeros(11)], -1)
    saturation = np.ptp(flow_plots.colours(ramp, length=5).astype(int), axis=-1)
    assert (np.diff(saturation[:6]) > 0).all()
    assert (saturation[5:] == saturation[5]).all()


def test_wheel_shows_the_coded_field_and_its_key() -> None:
    field = np.zeros((20, 30, 2))
    field[5:10, 5:10] = [4, 0]
    ax = flow_plots.wheel(field)
    np.testing.assert_array_equal(ax.images[0].get_array(), flow_plots.colours(field, 4.0))
    (key,) = ax.child_axes
    assert key.texts[0].get_text() == "4 px"
    disc = key.images[0].get_array()
    assert disc[64, 64, :3].tolist() == [1, 1, 1] and disc[0, 0, 3] == 0  # white centre, no corners
    np.testing.assert_allclose(disc[64, 127, :3] * 255, flow_plots.colours([1.0, 0.0], 1.0), atol=3)
    assert style.png(ax.figure) == style.png(flow_plots.wheel(field).figure)


def test_full_length_ignores_outliers_and_gaps() -> None:
    field = np.ones((100, 100, 2)) * [3, 4]
    field[0, 0], field[0, 1] = 1000, np.nan
    assert flow_plots.full_length(field) == 5
    assert flow_plots.full_length(np.zeros((2, 2, 2))) == 1e-6


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(FormatError, match="shape"):
        flow_plots.colours(np.zeros((2, 4, 4)))


def test_fields_stand_behind_their_frames_at_one_length() -> None:
    long, short = np.full((4, 6, 2), 3.0), np.full((4, 6, 2), 1.0)
    axes = flow_plots.fields({"exact": long, "found": short}, {"frame": np.zeros((4, 6, 3), np.uint8)})
    assert [ax.get_title(loc="left") for ax in axes] == ["frame", "exact", "found"]
    shown = np.asarray(axes[2].images[0].get_array())
    np.testing.assert_array_equal(shown, flow_plots.colours(short, flow_plots.full_length(long)))
    assert [len(ax.child_axes) for ax in axes] == [0, 1, 0]  # one wheel
    with pytest.raises(FormatError, match="no flow"):
        flow_plots.fields({})
