from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb

from stad_lite.errors import FormatError
from stad_lite.plots import style, tubes
from stad_lite.plots.frames import as_drawn
from stad_lite.records import VideoAnnotation
from stad_lite.tubes import Tube

CLASSES = ("run", "jump", "wave")


def pixels(figure: Any) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def extent(image: np.ndarray, colour: str, tolerance: int = 12) -> tuple[int, int, int, int] | None:
    """The smallest box around all pixels of a colour."""
    near = np.abs(image - np.round(np.array(to_rgb(colour)) * 255)).max(-1) <= tolerance
    if not near.any():
        return None
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def moving(start: int = 0, count: int = 6, label: str = "run") -> Tube:
    boxes = np.array([[4, 10, 14, 30]] * count) + np.arange(count)[:, None] * [3, 1, 3, 1]
    return Tube(start, boxes.astype(float), label)


GREY = np.full((6, 40, 40, 3), 90, np.uint8)


def test_strip_draws_each_box_where_it_is() -> None:
    tube = moving(start=1, count=4)
    figure = tubes.strip(GREY, tube, columns=3, width=6.0)
    image = pixels(figure)
    scale = image.shape[1] / (3 * 41.2 - 1.2)  # three frames of 40 pixels, gaps of 1.2
    for number in range(6):
        x, y = (round(v * 41.2 * scale) for v in (number % 3, number // 3))
        tile = image[y : y + int(40 * scale), x : x + int(40 * scale)]
        found = extent(tile, style.colour(0))
        if tube.start <= number < tube.end:
            assert found is not None
            np.testing.assert_allclose(np.array(found) / scale, tube.boxes[number - 1], atol=0.6)
        else:
            assert found is None


def test_strip_numbers_frames_from_the_video() -> None:
    figure = tubes.strip(GREY, moving(start=103), rows=1, columns=3, first_frame=100)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["100", "102", "105"]
    assert len(ax.patches) == 1  # only frame 105 lies in the tube
    assert (ax.patches[0].get_y(), ax.patches[0].get_height()) == (12, 20)


def test_strip_shows_the_frames_themselves() -> None:
    frames = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.full((1, 8, 8, 3), 40, np.uint8)
    image = pixels(tubes.strip(frames, columns=6, width=6.0))
    columns = ((np.arange(6) * 8.24 + 4) / (6 * 8.24 - 0.24) * image.shape[1]).astype(int)
    np.testing.assert_array_equal(image[image.shape[0] // 2, columns, 0], np.arange(6) * 40)


def test_colours_follow_the_classes() -> None:
    table = style.class_colours(CLASSES)
    drawn = [moving(label="wave"), moving(label="run"), Tube(0, [[1, 1, 5, 5]], "unheard of")]
    figure = tubes.strip(GREY[:1], drawn, classes=CLASSES)
    edges = [to_hex(patch.get_edgecolor()).upper() for patch in figure.axes[0].patches]
    assert edges == [table["wave"], table["run"], style.GREY]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["run", "wave"]
    assert [to_hex(h.get_facecolor()).upper() for h in legend.legend_handles] == [table["run"], table["wave"]]


def test_pictures_are_the_same_every_time() -> None:
    def all_pictures() -> list[bytes]:
        tube = moving()
        figures = (
            tubes.strip(GREY, tube, classes=CLASSES),
            tubes.traces(tube, fit=moving(), keys=[0, 3])[0].figure,
            tubes.prism(GREY, tube).figure,
        )
        return [style.png(figure) for figure in figures]

    assert all_pictures() == all_pictures()


def test_frames_may_be_floats_or_grey() -> None:
    same = as_drawn(np.full((2, 3, 4), 0.5)).pixels
    assert same.shape == (2, 3, 4, 3) and same.dtype == np.uint8 and (same == 128).all()


@pytest.mark.parametrize(
    "frames",
    [np.zeros((2, 3, 8, 8), np.uint8), np.zeros((0, 8, 8, 3), np.uint8), np.full((1, 2, 2, 3), 90.0)],
)
def test_bad_frames_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(FormatError):
        tubes.strip(frames)


def test_traces_follow_the_edges() -> None:
    tube, fit = moving(start=2), moving(start=3, count=4)
    x, y = tubes.traces(tube, fit=fit)
    for ax, columns in ((x, (0, 2)), (y, (1, 3))):
        for line, source, column in zip(ax.lines, (tube, tube, fit, fit), columns * 2, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), source.frames)
            np.testing.assert_array_equal(line.get_ydata(), source.boxes[:, column])
    assert y.yaxis_inverted() and not x.yaxis_inverted()
    assert [text.get_text() for text in y.get_legend().get_texts()] == ["truth", "fit"]


def test_traces_mark_key_timestamps_on_the_edges() -> None:
    tube = moving(start=2)
    (ax,) = tubes.traces(tube, coordinates="x", keys=[2, 4.5])
    low, high = ax.lines[2:]
    np.testing.assert_array_equal(low.get_xydata(), [[2, 4], [4.5, 11.5]])
    np.testing.assert_array_equal(high.get_xydata(), [[2, 14], [4.5, 21.5]])


def test_traces_take_boxes_one_axes_and_classes() -> None:
    _, ax = plt.subplots()
    panels = tubes.traces(moving().boxes, ax, coordinates="y")
    assert panels[0] is ax
    tubes.traces([moving(label="jump")], ax, coordinates="y", classes=CLASSES)
    assert ax.yaxis_inverted()
    assert ax.lines[-1].get_color() == style.class_colours(CLASSES)["jump"]
    with pytest.raises(FormatError, match="2 axes"):
        tubes.traces(moving(), plt.subplots(1, 2)[1], coordinates="x")


def test_prism_stands_in_frame_x_y_space() -> None:
    tube = moving(start=101, count=4)
    ax = tubes.prism(GREY, tube, slices=3, first_frame=100)
    assert ax.get_xlim() == (100, 106) and ax.get_ylim() == (0, 40) and ax.get_zlim() == (40, 0)
    rails = next(c for c in ax.collections if type(c).__name__ == "Line3DCollection")
    corner = np.asarray(rails._segments3d[0])
    np.testing.assert_array_equal(corner[:, 0], tube.frames)
    np.testing.assert_array_equal(corner[:, 1:], tube.boxes[:, :2])
    assert extent(pixels(ax.figure), style.colour(0), tolerance=30) is not None


def test_prism_draws_a_tube_of_one_frame() -> None:
    ax = tubes.prism(GREY, Tube(0, [[1.0, 1, 5, 5]]))
    assert extent(pixels(ax.figure), style.colour(0), tolerance=30) is not None


def test_spread_keeps_the_ends() -> None:
    assert tubes.spread(5, None).tolist() == tubes.spread(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert tubes.spread(100, 3).tolist() == [0, 50, 99]


def test_without_footage_boxes_and_the_way_of_their_centres_lie_on_grey() -> None:
    video = VideoAnnotation(num_frames=6, width=40, height=32, tubes=(moving(),))
    figure = tubes.on_grey(video, columns=3)
    image, ax = pixels(figure), figure.axes[0]
    assert [im.get_array().shape for im in ax.images] == [(32, 40, 3)] * 3
    assert {int(value) for im in ax.images for value in np.unique(im.get_array())} == {205}
    (first, second, _) = ax.lines
    assert first.get_xydata()[0].tolist() == [9, 20] and second.get_xydata()[0, 0] == 9 + 40 * 1.03
    assert extent(image, style.colour(0)) is not None and "Grey" in figure.get_label()
    with pytest.raises(FormatError, match="no size"):
        tubes.on_grey(VideoAnnotation(num_frames=6, tubes=()))
