"""The exercises of the chapter on polynomial tubes: references against other ways, checks both ways."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from stad_lite.cfad import trajectory
from stad_lite.exercises import polynomial_tubes as ex

CHAPTER = Path(__file__).resolve().parents[2] / "book" / "cfad" / "polynomial_tubes.ipynb"
CHECKS = {
    "gradient_share": ex.check_gradient_share,
    "velocity": ex.check_velocity,
    "window": ex.check_window,
    "order_needed": ex.check_order_needed,
}
WRONG = {
    "gradient_share": lambda power, length: 1 / (power + 1),
    "velocity": lambda theta, time: trajectory.evaluate(theta, time),
    "window": lambda theta, start, end: theta,
    "order_needed": lambda boxes, goal: 1,
}


def test_gradient_share_is_the_quotient_of_the_gradients():
    tube = np.tile([10.0, 10, 30, 40], (12, 1))
    theta = np.zeros((6, 4))
    theta[0] = [1, 2, 3, 4]  # a constant residual
    residual = trajectory.evaluate(theta, trajectory.normalised_time(12))
    gradient = trajectory.powers(trajectory.normalised_time(12), 5).T @ residual
    shares = [ex.gradient_share(j, len(tube)) for j in range(6)]
    np.testing.assert_allclose(gradient / gradient[0], np.tile(np.array(shares)[:, None], (1, 4)))


def test_velocity_is_the_limit_of_differences():
    time, small = np.linspace(0, 1, 7), 1e-6
    ahead = trajectory.evaluate(ex.THETA, time + small)
    behind = trajectory.evaluate(ex.THETA, time - small)
    np.testing.assert_allclose(ex.velocity(ex.THETA, time), (ahead - behind) / (2 * small), atol=1e-6)


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.2, 0.7), (-0.3, 1.4), (1.0, 0.0)])
def test_window_gives_the_part(start, end):
    own = np.linspace(0, 1, 9)
    whole = trajectory.evaluate(ex.THETA, start + (end - start) * own)
    np.testing.assert_allclose(trajectory.evaluate(ex.window(ex.THETA, start, end), own), whole)


def test_order_needed_is_the_first_that_reaches_the_goal():
    time = np.linspace(0, 1, 40)[:, None]
    boxes = np.array([20.0, 20, 50, 80]) + 30 * np.sin(7 * time) * [1, 0, 1, 0]
    order = ex.order_needed(boxes, 0.9)
    overlaps = [trajectory.fit_overlap([boxes], k)[0] for k in range(9)]
    assert overlaps[order] >= 0.9 and max(overlaps[:order]) < 0.9 and 0 < order < 8
    assert ex.order_needed(boxes, 1.1) == 8


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
    [solution] = [block for block in blocks if f"def {name}(" in block]
    names = {"np": np, "trajectory": trajectory}
    exec(solution, names)
    CHECKS[name](names[name])
    assert capsys.readouterr().out.endswith(": right\n")
