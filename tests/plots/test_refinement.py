"""Boxes and edges are drawn where they are, each kind in its look."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from stad_lite.errors import FormatError
from stad_lite.plots import refinement, style
from stad_lite.tubes import Tube

FRAMES = np.zeros((3, 10, 12, 3), np.uint8)


def drawn(ax) -> list:
    tones = [to_hex(patch.get_edgecolor()).upper() for patch in ax.patches]
    return [(*p.get_xy(), p.get_width(), p.get_height(), t) for p, t in zip(ax.patches, tones, strict=True)]


def test_boxes_are_on_their_frames_and_later_kinds_on_top() -> None:
    coarse = np.array([[1.0, 2, 4, 6], [2.0, 2, 5, 6], [np.nan] * 4])
    several = [np.array([[0.0, 0, 3, 3], [4.0, 4, 8, 9]]), np.zeros((0, 4)), np.array([3.0, 3, 6, 7])]
    picture = refinement.over_frames(FRAMES, {"coarse": coarse, "refined": several}, "abc", columns=2)
    axes = picture.axes
    green, red = (refinement.LOOKS[name]["color"] for name in ("coarse", "refined"))
    assert drawn(axes[0]) == [(1, 2, 3, 4, green), (0, 0, 3, 3, red), (4, 4, 4, 5, red)]
    assert drawn(axes[1]) == [(2, 2, 3, 4, green)]
    assert drawn(axes[2]) == [(3, 3, 3, 4, red)]
    assert [ax.get_title(loc="left") for ax in axes] == ["a", "b", "c", ""]
    assert axes[0].images[0].get_extent() == [0, 12, 10, 0]
    assert [text.get_text() for text in picture.legends[0].texts] == ["coarse", "refined"]


def test_tubes_are_drawn_on_the_frames_that_they_have() -> None:
    long, short = Tube(0, np.array([[0.0, 0, 2, 3]] * 3)), Tube(1, np.array([[1.0, 1, 5, 6]]))
    axes = refinement.along(FRAMES, {"truth": [long, short], "refined": short}, [0, 1]).axes
    black, red = (refinement.LOOKS[name]["color"] for name in ("truth", "refined"))
    assert drawn(axes[0]) == [(0, 0, 2, 3, black)]
    assert drawn(axes[1]) == [(0, 0, 2, 3, black), (1, 1, 4, 5, black), (1, 1, 4, 5, red)]
    assert [ax.get_title(loc="left") for ax in axes] == ["frame 0", "frame 1"]
    assert refinement.boxes_at([short], 2).shape == (0, 4)


def test_edges_are_the_tubes_columns() -> None:
    truth = Tube(3, np.array([[1.0, 2, 5, 9], [2.0, 3, 6, 8]]))
    ax = style.figure()[1]
    refinement.edges({"truth": truth, "refined": Tube(3, truth.boxes + 1)}, ax, column=1)
    lines = [line.get_xydata().tolist() for line in ax.lines]
    assert lines == [[[3, 2], [4, 3]], [[3, 9], [4, 8]], [[3, 3], [4, 4]], [[3, 10], [4, 9]]]
    assert ax.get_ylabel() == "y (pixels)"
    assert [text.get_text() for text in ax.legend().texts] == ["truth", "refined"]


def test_unknown_kinds_and_wrong_numbers_are_refused() -> None:
    with pytest.raises(FormatError, match=r"no look for 'wrong'.*truth, search area"):
        refinement.over_frames(FRAMES, {"wrong": FRAMES})
    with pytest.raises(FormatError, match="coarse: boxes of 2 frames, 3 are shown"):
        refinement.over_frames(FRAMES, {"coarse": np.zeros((2, 4))})
    with pytest.raises(FormatError, match="no look"):
        refinement.edges({"fine": Tube(0, np.array([[0.0, 0, 1, 1]]))}, style.figure()[1])
