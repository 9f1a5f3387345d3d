"""A clip that plays: boxes on their frames, the truth beside them, texts apart, one colour a class."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

from stad_lite.data.drawn import Drawn
from stad_lite.plots import style
from stad_lite.plots.player import STEPS, play
from stad_lite.plots.render import draw_label, overlay
from stad_lite.plots.shown import Shown
from stad_lite.tubes import Tube

CLASSES = ("run", "jump")
GREY = Drawn(np.full((6, 160, 160, 3), 90, np.uint8), 4)
FOUND = Tube(2, np.tile([10.0, 20, 20, 30], (3, 1)), "jump", score=0.5)


def near(image, colour, tolerance=40):
    return np.abs(image.astype(int) - np.array(style.rgb(colour))).max(-1) <= tolerance


def test_a_box_is_seen_where_and_while_the_tube_lasts():
    slides = play(GREY, FOUND, CLASSES)
    for number, slide in enumerate(slides.slides):
        ((content, told),) = slide.pictures
        box = near(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), style.colour(1))
        assert box.any() == (2 <= number < 5)
        if box.any():
            rows, columns = np.nonzero(box[82:])
            assert abs(columns.min() - 40) <= 1 and abs(rows.max() + 82 - 119) <= 1
            assert told == f"Frame {number} of the clip: jump 0.50 at 10 20 20 30."
    page = slides._repr_html_()
    assert f"background:{style.class_colours(CLASSES)['jump']}" in page and "run" not in page
    assert "setInterval" in page and not re.search(r"\bid=", page)


def test_the_truth_is_told_with_the_overlap():
    truth = Tube(0, np.tile([10.0, 20, 20, 30], (6, 1)), "jump")
    slides = play(GREY, FOUND, CLASSES, truth=truth, first_frame=0)
    assert "IoU 1.00" in slides.slides[3].pictures[0][1]
    assert slides.slides[0].pictures[0][1] == "Frame 0 of the clip: no box; in truth jump at 10 20 20 30."
    assert "truth" in slides._repr_html_()


def test_long_clips_are_thinned():
    slides = play(Drawn(np.zeros((100, 8, 8, 3), np.uint8)), (), CLASSES, fps=25)
    assert len(slides.slides) == STEPS and slides.dials["frame"][-1] == "99" and slides.fps == 8


def test_texts_do_not_lie_on_each_other():
    image = np.zeros((256, 256, 3), np.uint8)
    taken = []
    for shift in range(6):
        box = np.array([40.0, 60, 90, 120]) + 2 * shift
        taken.append(draw_label(image, box, "warm-wave 0.93 IoU 0.51", (0, 114, 178), taken))
    for n, (left, top, right, bottom) in enumerate(taken):
        assert 0 <= left < right <= 256 and 0 <= top < bottom <= 256
        assert all(bottom <= o[1] or o[3] <= top or right <= o[0] or o[2] <= left for o in taken[:n])


def test_overlay_draws_all_texts():
    shown = [Shown("run", np.array([4.0, 4, 20, 20])), Shown("jump", np.array([5.0, 5, 21, 21]))]
    image = overlay(GREY.pixels[0], shown, style.class_colours(CLASSES), size=GREY.size)
    assert all(near(image, tone, 8).sum() > 300 for tone in style.class_colours(CLASSES).values())
