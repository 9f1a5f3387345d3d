"""Slides: one picture a stop, what they show in words, and the same page every time."""

from __future__ import annotations

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from stad_lite.errors import FormatError
from stad_lite.plots.slides import MOST, stepped, webp

SOURCE = re.compile(r'alt="([^"]*)" src="data:image/webp;base64,([^"]*)"')


def draw(level, name="a", shift=0):
    print(f"{name} at {level}")
    plt.plot([shift, 1, level], label=name)
    plt.ylabel("height")
    plt.show()


def test_each_stop_has_its_picture_and_its_text():
    slides = stepped(draw, level=[1, 2.5, 4], name=["a", "b"], shift=3)
    page = slides._repr_html_()
    assert slides.dials == {"level": ("1", "2.5", "4"), "name": ("a", "b")}
    assert re.findall("<pre>(.*?)</pre>", page) == [f"{n} at {v}" for v in (1, 2.5, 4) for n in "ab"]
    found = SOURCE.findall(page)
    assert [told for told, _ in found] == [
        f"At level {v:g}, name {n}: Curves of height; {n} from 3 to {v:g}." for v in (1, 2.5, 4) for n in "ab"
    ]
    assert len({content for _, content in found}) == 3
    assert Image.open(io.BytesIO(base64.b64decode(found[0][1]))).format == "WEBP"
    assert page.count('class="stad-slide" style="display:none"') == 5
    assert [*re.findall(r'data-stops="([^"]*)"', page)] == ["1|2.5|4", "a|b"]
    assert plt.get_fignums() == []
    assert page == stepped(draw, level=[1, 2.5, 4], name=["a", "b"], shift=3)._repr_html_()


def test_the_first_slide_can_be_another():
    page = stepped(draw, start=2, level=[1, 2, 3])._repr_html_()
    assert 'max="2" value="2"' in page and "<output>3</output>" in page
    assert page.index('class="stad-slide">') > page.rindex("display:none")


@pytest.mark.parametrize("dials", [{}, {"level": 3}, {"level": []}, {"level": list(range(MOST + 1))}])
def test_too_many_or_no_stops_are_refused(dials):
    with pytest.raises(FormatError, match="dials"):
        stepped(draw, **dials)


def test_lines_stay_exact_and_photographs_become_small():
    lines = np.full((64, 64, 3), 255, np.uint8)
    lines[::8] = 0
    assert (np.asarray(Image.open(io.BytesIO(webp(lines)))) == lines).all()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert len(webp(noise)) < noise.size / 2
