"""Initial proposals: counts, places, and how well they meet real boxes."""

import numpy as np
import pytest

from stad_lite.data import ucf101_24
from stad_lite.errors import FormatError, StadError
from stad_lite.step import cuboids


@pytest.mark.parametrize(
    ("name", "count"), [(n, int("".join(filter(str.isdigit, n)))) for n in cuboids.CUBOIDS]
)
def test_each_set_has_as_many_different_boxes_as_its_name_says_inside_the_frame(name, count):
    boxes = cuboids.CUBOIDS[name]
    assert len(np.unique(boxes.round(9), axis=0)) == len(boxes) == count
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-9
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_the_released_codes_loop():
    """NVlabs/STEP data_utils.py: x-major squares of side 1 / scale, a step of side * (1 - overlap) apart."""
    wanted = []
    for side, step in ((0.75, 0.125), (0.5, 0.125)):
        count = round((1 - side) / step) + 1
        starts = [step * i for i in range(count)]
        wanted += [(x, y, x + side, y + side) for x in starts for y in starts]
    np.testing.assert_allclose(cuboids.CUBOIDS["grid34"], wanted)


def test_cuboids_repeat_their_boxes_in_time():
    found = cuboids.cuboids("grid11", (60, 80), 6)
    assert found.shape == (11, 6, 4)
    np.testing.assert_array_equal(found[0], np.tile([0, 0, 80, 60], (6, 1)))
    assert (found == found[:, :1]).all()
    np.testing.assert_array_equal(
        cuboids.cuboids(np.array([[0, 0, 0.5, 1]]), (10, 20), 2)[0, 1], [0, 0, 10, 10]
    )


def test_rectangles_touch_the_edges_and_a_single_one_is_central():
    boxes = cuboids.rectangles(0.4, 0.5, 4, 2)
    assert len(boxes) == 8
    np.testing.assert_allclose([boxes[:, :2].min(0), boxes[:, 2:].max(0)], [[0, 0], [1, 1]])
    np.testing.assert_allclose(cuboids.rectangles(0.5, 0.25, 1, 1), [[0.25, 0.375, 0.75, 0.625]])


@pytest.mark.parametrize("grid", [(0, 1, 1, 1), (1.2, 1, 1, 1), (0.5, 0.5, 0, 1)])
def test_shapes_that_cannot_be_are_refused(grid):
    with pytest.raises(FormatError):
        cuboids.rectangles(*grid)


def test_unknown_names_are_told():
    with pytest.raises(StadError, match="grid12"):
        cuboids.cuboids("grid12", (10, 10), 6)


def test_comparison_by_hand():
    real = np.array([[0, 0, 0.5, 0.5], [0.9, 0.9, 1, 1]])
    sets = {"whole": np.array([[0.0, 0, 1, 1]]), "halves": cuboids.rectangles(0.5, 0.5, 2, 2)}
    found = cuboids.compare(real, sets, threshold=0.2)
    assert found["whole"] == pytest.approx({"boxes": 1, "mean_best_iou": (0.25 + 0.01) / 2, "recall": 0.5})
    assert found["halves"] == pytest.approx({"boxes": 4, "mean_best_iou": (1 + 0.04) / 2, "recall": 0.5})


def test_alternatives_on_real_boxes(stad_data):
    """Every 15th annotated box of UCF101-24."""
    videos = ucf101_24.read_pickle(stad_data / "ucf101_24" / "pyannot.pkl").videos.values()
    real = np.concatenate([tube.boxes for video in videos for tube in video.tubes or ()])[::15]
    found = cuboids.compare(real / [320, 240, 320, 240])
    got = {name: (found[name]["mean_best_iou"], found[name]["recall"]) for name in found}
    wanted = {
        "grid5": (0.264, 0.653),
        "grid11": (0.356, 0.800),
        "quarters11": (0.362, 0.838),
        "thirds11": (0.366, 0.868),
        "tall11": (0.423, 0.797),
        "grid34": (0.374, 0.808),
        "grid109": (0.463, 0.963),
    }
    for name, values in wanted.items():
        assert got[name] == pytest.approx(values, abs=6e-4), name
