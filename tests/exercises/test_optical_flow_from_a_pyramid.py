"""The exercises of the chapter on optical flow: references against other ways, checks both ways."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from stad_lite.exercises import optical_flow_from_a_pyramid as ex
from stad_lite.nets.flow.warping import warp

CHAPTER = Path(__file__).resolve().parents[2] / "book" / "flow_subnet" / "optical_flow_from_a_pyramid.ipynb"
CHECKS = {
    "farthest": ex.check_farthest,
    "doubled": ex.check_doubled,
    "compose": ex.check_compose,
    "there_and_back": ex.check_there_and_back,
}
WRONG = {
    "farthest": lambda depth, reach: reach * 2**depth,
    "doubled": lambda flow: flow.repeat(2, axis=0).repeat(2, axis=1),
    "compose": lambda first, second: first + second,
    "there_and_back": lambda forward, backward, tolerance: np.ones(forward.shape[:2], bool),
}


def test_farthest_is_what_repeated_correction_reaches():
    for depth, reach in ((3, 2), (5, 4)):
        found = 0
        for level in range(depth, 1, -1):
            cells = found / 2**level
            found = int((cells + reach) * 2**level)
        assert ex.farthest(depth, reach) == found


def test_doubled_flow_moves_a_doubled_picture():
    picture = np.random.default_rng(0).random((6, 7))
    flow = np.zeros((6, 7, 2))
    flow[..., 0] = 1.0
    moved = np.roll(picture, 1, axis=1)
    large, large_moved = (image.repeat(2, 0).repeat(2, 1) for image in (picture, moved))
    to = ex.doubled(flow)
    for y in range(12):
        for x in range(12):
            dx, dy = to[y, x].astype(int)
            assert large_moved[y + dy, x + dx] == large[y, x]


def test_composed_flow_follows_every_point():
    first, second = ex._smooth(4), ex._smooth(5)
    got = ex.compose(first, second)
    for y in range(8):
        for x in range(10):
            to_x, to_y = np.clip(x + first[y, x, 0], 0, 9), np.clip(y + first[y, x, 1], 0, 7)
            left, top = min(int(to_x), 8), min(int(to_y), 6)
            a, b = to_x - left, to_y - top
            rows = [(1 - a) * second[top + i, left] + a * second[top + i, left + 1] for i in (0, 1)]
            np.testing.assert_allclose(got[y, x], first[y, x] + (1 - b) * rows[0] + b * rows[1])


def test_there_and_back_finds_a_hidden_strip():
    """The right half stands still, the left half moves right by 2 and hides a strip of it."""
    forward, backward = np.zeros((4, 12, 2)), np.zeros((4, 12, 2))
    forward[:, :6, 0], backward[:, 2:8, 0] = 2.0, -2.0
    assert ex.there_and_back(forward, backward, 0.5).tolist() == [[True] * 6 + [False] * 2 + [True] * 4] * 4


@pytest.mark.parametrize("name", CHECKS)
def test_checks_tell_right_from_wrong_from_unanswered(name, capsys):
    CHECKS[name](getattr(ex, name))
    CHECKS[name](WRONG[name])
    CHECKS[name](lambda *arguments: None)
    right, wrong, unanswered = capsys.readouterr().out.splitlines()
    assert right.endswith(": right")
    assert "not right" in wrong and "hint" in wrong
    assert unanswered.endswith("not answered yet")


@pytest.mark.parametrize("name", CHECKS)
def test_the_chapters_own_solution_is_right(name, capsys):
    cells = nbformat.read(CHAPTER, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    blocks = [b for text in texts for b in re.findall(r"<details>.*?```python\n(.*?)```", text, re.S)]
    names = {"np": np, "torch": torch, "warp": warp}
    for block in blocks:  # later ones use earlier ones
        exec(block, names)
    CHECKS[name](names[name])
    assert capsys.readouterr().out.endswith(": right\n")
