"""The exercises of the chapter on fusion and speed: references against other ways, checks both ways."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stad_lite.anchors import default_boxes
from stad_lite.exercises import fusion_and_speed as ex
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.fusion import combine
from stad_lite.flow_subnet.layout import box_layout
from tests.exercises.references import right_and_silent

CHAPTER = Path(__file__).resolve().parents[2] / "book" / "flow_subnet" / "fusion_and_speed.ipynb"
CHECKS = {
    "boxes_in_all": ex.check_boxes_in_all,
    "split": ex.check_split,
    "longest_wait": ex.check_longest_wait,
    "learn_encoder": ex.check_learn_encoder,
}


def learn_encoder(fields, images):
    net = nn.Conv2d(4, 3, 1)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
    with torch.enable_grad():
        for _ in range(300):
            loss = F.mse_loss(net(fields), images)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net


def untrained(fields, images):
    return nn.Conv2d(4, 3, 1)


def flow_alone(fields, images):
    """The mean of both fields, and no change."""
    net = nn.Conv2d(4, 3, 1, bias=False)
    net.weight.data = torch.tensor([[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0, 0, 0]])[..., None, None]
    return net


WRONG = [
    ("boxes_in_all", lambda side, levels, each: each * sum((side // 2**n) ** 2 for n in range(levels))),
    ("boxes_in_all", lambda side, levels, per_cell: levels * side**2 * per_cell),
    ("split", lambda weight: tuple(np.split(weight, 2, axis=1))),
    ("split", lambda weight: (ex.split(weight)[0], -ex.split(weight)[1])),
    ("longest_wait", lambda ms, fps: max(ms)),
    ("longest_wait", lambda ms, fps: sum(ms) - 1000 / fps * (len(ms) - 1)),
    ("learn_encoder", untrained),
    ("learn_encoder", flow_alone),
]  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_the_reference_is_right_and_silence_is_no_answer(name, capsys):
    right_and_silent(CHECKS[name], learn_encoder if name == "learn_encoder" else getattr(ex, name), capsys)


def test_wrong_answers(capsys):
    for name, answer in WRONG:
        CHECKS[name](answer)
        assert "not right" in capsys.readouterr().out, name


def test_boxes_are_as_many_as_the_detector_has():
    lesson = box_layout(FlowSubnetConfig.lesson())
    assert ex.boxes_in_all(lesson.maps[0], len(lesson.maps), lesson.per_cell[0]) == len(default_boxes(lesson))


def test_both_matrices_say_what_the_one_says():
    torch.manual_seed(0)
    a, m, weight = torch.randn(5), torch.randn(5), torch.randn(5, 10)
    of_sum, of_difference = (torch.as_tensor(part) for part in ex.split(weight.numpy()))
    both = combine(a.view(1, 5, 1, 1), m.view(1, 5, 1, 1), "concat").flatten()
    torch.testing.assert_close(of_sum @ (a + m) + of_difference @ (a - m), weight @ both)


def test_the_longest_wait_is_that_of_a_queue():
    """Millisecond by millisecond: one worker, frames in the order in which they arrive."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        ms, period = generator.integers(1, 90, 8).tolist(), 40
        waiting, doing, left, waits = [], -1, 0, []
        for now in range(2000):
            if doing >= 0 and left == 0:
                waits.append(now - period * doing)
                doing = -1
            if now % period == 0 and now // period < len(ms):
                waiting.append(now // period)
            if doing < 0 and waiting:
                doing = waiting.pop(0)
                left = ms[doing]
            left -= 1
        assert ex.longest_wait(ms, 1000 / period) == max(waits)


@pytest.mark.parametrize("name", CHECKS)
def test_the_chapters_own_solution_is_right(name, capsys):
    cells = nbformat.read(CHAPTER, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    blocks = [b for text in texts for b in re.findall(r"<details>.*?```python\n(.*?)```", text, re.S)]
    assert len(blocks) == len(CHECKS)
    names = {"np": np, "torch": torch, "nn": nn, "F": F}
    for block in blocks:
        exec(block, names)
    CHECKS[name](names[name])
    assert capsys.readouterr().out.endswith(": right\n")
