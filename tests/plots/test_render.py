from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.data import video
from stad_lite.errors import MissingFileError, UnknownVideoError
from stad_lite.plots import render, style
from stad_lite.plots.shown import Shown, boxes_at
from stad_lite.records import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.tubes import Tube

pytest.importorskip("av")

CLASSES = ("run", "jump")
FRAMES = np.full((8, 96, 128, 3), 40, np.uint8)
BOXES = np.array([[20 + 4 * t, 30, 60 + 4 * t, 80] for t in range(5)], dtype=float)


def predictions(name: str = "a", end: int = 5) -> Predictions:
    tubes = (Tube(2, BOXES[:end], "jump", 0.9), Tube(0, [[90.0, 60, 120, 90]], "run", 0.2))
    return Predictions(CLASSES, {name: VideoPredictions(tubes=tubes)})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video.write(tmp_path_factory.mktemp("films") / "a.mp4", FRAMES, fps=12.5)


def extent(image: np.ndarray, colour: str, tolerance: int = 60) -> list[int] | None:
    near = np.abs(image.astype(int) - style.rgb(colour)).max(-1) < tolerance
    if not near.any():
        return None
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_boxes_are_drawn_half_open() -> None:
    image = np.zeros((10, 12, 3), np.uint8)
    render.draw_box(image, np.array([2.0, 3, 7, 9]), (9, 9, 9))
    expected = np.zeros((10, 12), bool)
    expected[3:9, 2:7] = True
    expected[4:8, 3:6] = False
    np.testing.assert_array_equal(image.any(-1), expected)


@pytest.mark.parametrize(
    "box", [[-5, -5, 4, 4], [8, 8, 30, 30], [-9, -9, 99, 99], [20, 20, 30, 30], [3, 3, 3.2, 3.2]]
)
def test_boxes_that_leave_the_image_are_cut(box: list[float]) -> None:
    canvas = np.zeros((110, 130, 3), np.uint8)
    image = np.zeros((10, 12, 3), np.uint8)
    render.draw_box(image, np.array(box, float), (9, 9, 9), 2)
    render.draw_box(canvas, np.array(box, float) + 10, (9, 9, 9), 2)
    np.testing.assert_array_equal(image, canvas[10:20, 10:22])


def test_overlay_writes_text_on_the_classes_colour_and_leaves_its_input() -> None:
    image = np.zeros((96, 128, 3), np.uint8)
    out = render.overlay(image, [Shown("jump", np.array([20.0, 40, 60, 80]), 0.5)], {"jump": "#FF0000"})
    assert not image.any()
    label = out[40 - 9 : 40]
    assert (label == [255, 0, 0]).all(-1).any() and (label > 200).all(-1).any()  # red bar, white letters
    assert extent(out[40:], "#FF0000", 2) == [20, 0, 60, 40]


def test_labels_fit_into_the_image() -> None:
    for box in ([0, 0, 10, 10], [120, 90, 128, 96], [-20, -20, 300, 300]):
        image = np.zeros((96, 128, 3), np.uint8)
        render.draw_label(image, np.array(box, float), "a very long name of a class indeed 0.99", (255, 0, 0))
        assert image.any()
    assert (render.text_mask("IoU", 12) == render.text_mask("IoU", 12)).all()
    assert render.text_mask("IoU", 12).shape[0] == 12
    assert render.text_mask("much longer", 12).shape[1] > render.text_mask("IoU", 12).shape[1]


def test_what_was_linked_is_shown_once() -> None:
    """A single frame's box that a tube of its class has, too, is that box; one of another class is not."""
    tube = Tube(2, BOXES, "jump", 0.9)
    frames = FrameBoxes([3, 3, 3], [1, 0, 1], np.array([BOXES[1], BOXES[1], BOXES[1] + 9]), [0.8, 0.7, 0.6])
    shown = boxes_at(VideoPredictions(tubes=(tube,), frames=frames), CLASSES, 3)
    assert [(one.label, one.score) for one in shown] == [("jump", 0.9), ("run", 0.7), ("jump", 0.6)]


def test_rendered_video_has_its_boxes_where_they_are(source: Path, tmp_path: Path) -> None:
    out = render.render_video(source, predictions(), tmp_path / "out.mp4", least=0.5)
    info = video.probe(out)
    assert (info.num_frames, info.width, info.height, info.fps) == (8, 128, 96, 12.5)
    colour = style.class_colours(CLASSES)["jump"]
    for number, image in enumerate(video.read(out)):
        found = extent(image[30:], colour)
        if 2 <= number < 7:
            x1, y1, x2, y2 = BOXES[number - 2] - [0, 30, 0, 30]
            np.testing.assert_allclose(found, [x1, y1, x2, y2], atol=2)
        else:
            assert found is None
        assert extent(image, style.class_colours(CLASSES)["run"]) is None  # its score is too low


def test_filters_truth_and_sizes(source: Path, tmp_path: Path) -> None:
    truth = Annotations(
        "t", CLASSES, {"a": VideoAnnotation(8, 256, 192, tubes=(Tube(2, BOXES * 2, "jump"),))}
    )
    path = records.write(predictions(), tmp_path / "p.json.gz")
    out = render.render_video(source, path, tmp_path / "o.mp4", truth=truth, only={"run"}, size=(192, 256))
    frames = video.read(out)
    run = extent(frames[0][30:], style.class_colours(CLASSES)["run"])  # below its label
    np.testing.assert_allclose(run, [45, 0, 60, 15], atol=2)  # 90, 60, 120, 90 at half the size
    white = extent(frames[4], "#FFFFFF", 110)
    np.testing.assert_allclose(white, BOXES[2], atol=2)
    assert extent(frames[4][30:], style.class_colours(CLASSES)["jump"]) is None


def test_nothing_is_written_on_bad_input(source: Path, tmp_path: Path) -> None:
    two = Predictions(CLASSES, {**predictions("b").videos, **predictions("c").videos})
    with pytest.raises(UnknownVideoError, match="video a"):
        render.render_video(source, two, tmp_path / "o.mp4")
    with pytest.raises(MissingFileError):
        render.render_video(tmp_path / "gone.mp4", predictions(), tmp_path / "o.mp4")
    assert list(tmp_path.iterdir()) == []


def test_boxes_beyond_the_video_are_reported(tmp_path: Path) -> None:
    short = video.write(tmp_path / "a.mp4", FRAMES[:5])
    with pytest.warns(UserWarning, match="reach frame 6 but the video has 5 frames"):
        render.render_video(short, predictions(), tmp_path / "o.mp4")
    assert video.probe(tmp_path / "o.mp4").num_frames == 5
