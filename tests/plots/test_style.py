import struct
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from stad_lite.plots import style

# Full dichromacy in linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
SIGHT = {"full": np.eye(3), "protan": np.array(PROTAN), "deutan": np.array(DEUTAN)}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, sight: np.ndarray) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(sight @ linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_palette_stays_apart_for_the_colour_blind(sight: str) -> None:
    seen = [lab(colour, SIGHT[sight]) for colour in style.PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 11


def test_a_common_palette_does_not() -> None:
    seen = [
        lab(f"tab:{name}", SIGHT["deutan"]) for name in ("blue", "orange", "green", "red", "purple", "brown")
    ]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) < 8


def test_every_class_of_a_large_set_has_its_own_colour() -> None:
    table = style.class_colours([f"class {i}" for i in range(24)])
    assert len(set(table.values())) == 24
    assert all(to_rgb(value) for value in table.values())
    assert table["class 3"] == style.class_colours([f"class {i}" for i in range(4)])["class 3"]


def chunks(data: bytes) -> list[bytes]:
    names, place = [], 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        names.append(data[place + 4 : place + 8])
        place += 12 + length
    return names


def test_png_is_the_same_every_time_and_says_nothing_of_its_maker() -> None:
    def draw() -> bytes:
        figure, ax = style.figure(width=3, height=2)
        ax.plot([0, 1, 2], [3, 1, 2])
        return style.png(figure)

    first = draw()
    assert first == draw()
    assert not {b"tEXt", b"tIME", b"iTXt"} & set(chunks(first))
    assert struct.unpack(">II", first[16:24]) == (3 * style.DPI, 2 * style.DPI)


def test_bare_figure_keeps_axes_in_place_when_saved_twice() -> None:
    figure = style.bare_figure(2, 1)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_ylabel("a label that a layout engine would make room for")
    first = style.png(figure)
    assert style.png(figure) == first
    assert ax.get_position().bounds == (0, 0, 1, 1)


def test_import_is_light() -> None:
    heavy = ("torch", "matplotlib.pyplot", "scipy")
    code = f"import sys, stad_lite.plots; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert result.stdout.strip() == "[]"


def test_a_logarithmic_axis_is_labelled_in_plain_figures() -> None:
    """Its usual labels are mathematics, which the style shows letter by letter."""
    style.use()
    _, [usual, plain] = style.figure(2)
    for ax in (usual, plain):
        ax.semilogy([1, 1000])
    style.plain_ticks(plain.yaxis)
    told = [label.get_text() for label in plain.get_yticklabels(which="both")]
    assert {"1", "10", "100", "1000", ""} <= set(told) and not any("$" in text for text in told)
    assert any("$" in label.get_text() for label in usual.get_yticklabels())
