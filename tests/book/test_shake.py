"""The shake: as large as it says, the same again, on what it says, and never on what is exact."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

import shake
from notebooks import BOOK

SCRIPT = """
import sys
sys.path.insert(0, {tools!r})
import shake
shake.start({seed})
import numpy as np
import torch
{body}
"""


def shaken(body: str, seed: int = 1) -> str:
    """What a script prints in a process of its own that is shaken from its start, warnings as errors."""
    code = SCRIPT.format(tools=str(BOOK / "_tools"), seed=seed, body=body)
    words = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(words, capture_output=True, encoding="utf-8", check=True).stdout


@pytest.mark.parametrize(("kind", "size"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_the_disturbance_is_as_large_as_it_says(kind, size):
    values = np.random.default_rng(0).normal(size=4000).astype(kind)
    change = np.abs(shake._factor(values, 3).astype(np.float64) - 1)
    unit = np.finfo(kind).eps
    assert 0.9 * size - unit < change.max() <= size + unit
    assert 0.4 * size < change.mean() < 0.6 * size
    np.testing.assert_array_equal(shake._factor(values, 3), shake._factor(values.copy(), 3))
    assert (shake._factor(values, 3) != shake._factor(values, 4)).mean() > 0.5


def test_what_is_exact_stays():
    exact = np.array([0.0, 1.0, -2.0, 0.5, 0.75, 1000.0, np.inf, 4095.0], dtype=np.float32)
    assert (shake._factor(exact, 1) == 1).all()
    assert (shake._factor(exact.astype(np.float64), 1) == 1).all()


def test_every_operator_of_the_list_is_there():
    assert [name for name in shake.TORCH if not hasattr(torch.ops.aten, name)] == []
    assert [name for name in shake.NUMPY if not hasattr(np, name)] == []
    assert [name for name in shake.METHODS if not hasattr(np._core._methods, name)] == []


def test_sums_of_torch_and_numpy_are_shaken_forwards_and_backwards():
    body = """
from torch.nn.functional import conv2d
x = torch.linspace(0.1, 1, 300).reshape(3, 100).requires_grad_()
w = torch.linspace(-1, 1, 4 * 1 * 3 * 3).reshape(4, 1, 3, 3)
y = np.sqrt(np.linspace(0.1, 1, 300)).reshape(3, 100)
conv2d(x[None, None], w).square().sum().backward()
a = y[:, :3] + np.eye(3)
for value in (x.sum(1), x @ x.T, conv2d(x[None, None], w), x.grad, torch.einsum('ij,kj->ik', x, x),
              torch.linalg.norm(x), x.softmax(1), y.sum(), y.mean(1), np.sum(y), np.einsum('ij,ij->i', y, y),
              np.linalg.inv(a), np.linalg.svd(a).S, np.linalg.cond(a), np.linalg.norm(y)):
    value = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    print(value.dtype, value.tobytes().hex())
"""
    plain = shaken("shake._factor = lambda values, seed: np.ones_like(values)" + body)
    once, again, other = shaken(body), shaken(body), shaken(body, seed=2)
    assert once == again
    for lines in zip(plain.splitlines(), once.splitlines(), other.splitlines(), strict=True):
        kinds = {line.split()[0] for line in lines}
        assert len(kinds) == 1 and len(set(lines)) == 3, kinds


def test_counts_stay_whole_and_a_condition_beyond_precision_moves():
    body = """
print(torch.ones(1000).sum().item(), np.arange(100).sum(), (np.arange(10) > 4).mean())
powers = np.arange(256.0)[:, None] ** np.arange(9)
print(round(float(np.log10(np.linalg.cond(powers))), 1))
"""
    first, second = shaken(body, 1).splitlines(), shaken(body, 2).splitlines()
    assert first[0] == second[0] == "1000.0 4950 0.5"
    assert first[1] != second[1]
