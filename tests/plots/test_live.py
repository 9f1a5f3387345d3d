"""Pictures of a detector at work: what is drawn where, in whose colour, and what is refused."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from stad_lite.errors import FormatError
from stad_lite.plots import live, style

CLASSES = ("run", "jump", "sit")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_images_stand_in_lines_in_pixels_of_their_own():
    images = [np.full((4, 6, 3), 10 * n, np.uint8) for n in range(3)] + [np.ones((8, 8))] * 3
    axes = live.row(images, list("abcdef"), rows=2)
    assert [ax.get_title(loc="left") for ax in axes] == list("abcdef")
    assert [ax.images[0].get_array().flat[0] for ax in axes[:3]] == [0, 10, 20]
    assert axes[0].images[0].get_extent() == [0, 6, 4, 0]
    tops = [ax.get_subplotspec().rowspan.start for ax in axes]
    assert tops == [0, 0, 0, 1, 1, 1]
    for wrong, rows in (([], 1), (images[:5], 2)):
        with pytest.raises(FormatError, match="images"):
            live.row(wrong, rows=rows)


def test_boxes_have_the_colours_of_their_classes():
    ax = live.boxes(plt.subplots()[1], np.array([[1.0, 2, 5, 9], [0, 0, 2, 3]]), [2, 0], CLASSES)
    tones = style.class_colours(CLASSES)
    assert [patch.get_bbox().extents.tolist() for patch in ax.patches] == [[1, 2, 5, 9], [0, 0, 2, 3]]
    assert [to_hex(p.get_edgecolor()).upper() for p in ax.patches] == [tones["sit"], tones["run"]]
    style.class_legend(ax.figure, CLASSES)
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == list(CLASSES)


def test_paths_end_at_the_frame_that_is_shown():
    scores = {(1, 0): np.array([[2.0, 3, 5], [0.1, 0.2, 0.3]]), (0, 4): np.array([[4.0], [0.9]])}
    ax = live.paths(scores, 3, plt.subplots()[1], CLASSES, end=8)
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[2, 0.1], [3, 0.2]], []]
    assert [line.get_color() for line in ax.lines] == [style.colour(1), style.colour(0)]
    assert ax.get_xlim() == (0, 8)


def test_stages_fill_the_whole():
    accounts = {"one": {"flow": 3.0, "head": 1.0}, "two": {"flow": 1.0, "head": 1.0}}
    ax = live.stages(accounts)
    bars = [(patch.get_x(), patch.get_width()) for patch in ax.patches]
    assert bars == [(0, 75), (75, 25), (0, 50), (50, 50)]
    assert [text.get_text() for text in ax.texts] == ["one", "two"]
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["flow", "head"]
    with pytest.raises(FormatError, match="no account"):
        live.stages({})
