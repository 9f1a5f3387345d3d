"""Exercises of the chapter on extrapolation against anticipation: reference answers and their checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from stad_lite.exercises.checks import check_function, check_made

__all__ = [
    "check_weights",
    "check_final_step",
    "check_pays",
    "check_best_share",
    "check_train_extension",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def weights(horizon: int, clip: int) -> np.ndarray:
    """Return how much each seen box counts in the box that Eq. 4 puts so many frames ahead.

    horizon: frames ahead, 1 or more
    clip: K >= 2 seen frames
    returns: (clip,) weights that sum to 1, the oldest box first
    Source: STEP Eq. 4.

    >>> weights(2, 3)
    array([-1.,  0.,  2.])
    """
    answer = np.zeros(clip)
    answer[0] = -horizon / (clip - 1)
    answer[-1] = 1 + horizon / (clip - 1)
    return answer


def final_step(steps: np.ndarray) -> float:
    """Return the step a frame to which the recursive extrapolation tends.

    steps: (K - 1,) differences between neighbouring seen positions, the oldest first
    returns: their mean, in which step j counts j times
    Source: the recursion of NVlabs/STEP tube_utils.py, which keeps sum(j * step j) as it goes.

    >>> final_step(np.array([1.0, 4.0]))
    3.0
    """
    numbers = np.arange(1, len(steps) + 1)
    return float((numbers * np.asarray(steps, dtype=np.float64)).sum() / numbers.sum())


def pays(speed: float, acceleration: float, horizon: int, clip: int) -> bool:
    """Tell whether Eq. 4 misses a constantly accelerated point by less than holding its last place does.

    speed: at the last seen frame, pixels a frame
    acceleration: pixels a frame, a frame
    horizon: frames ahead
    clip: K >= 2 seen frames
    Source: STEP Eq. 4 on x(t) = speed t + acceleration t^2 / 2.

    >>> pays(1.0, 0.0, 6, 6), pays(1.0, -0.5, 6, 6)
    (True, False)
    """
    missed = abs(acceleration * horizon * (horizon + clip - 1) / 2)
    held = abs(speed * horizon + acceleration * horizon**2 / 2)
    return missed < held


def best_share(seen: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of Eq. 4's motion that comes closest to the truth in squared pixels.

    seen: (n, K, 4) xyxy pixels
    truth: (n, m, 4) the frames that follow
    returns: the one number b for which last + b * horizon * step misses least, 0 where nothing moved

    >>> x = np.arange(4.0)[None, :, None] + [0, 0, 2, 2]
    >>> best_share(x[:, :2], x[:, 2:])
    1.0
    """
    seen, truth = np.asarray(seen, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    last = seen[:, -1:]
    horizons = np.arange(1, truth.shape[1] + 1)[:, None]
    motion = horizons * (last - seen[:, :1]) / (seen.shape[1] - 1)
    total = float((motion**2).sum())
    return float((motion * (truth - last)).sum()) / total if total else 0.0


def _walks(count: int, frames: int, seed: int) -> np.ndarray:
    """Boxes whose steps resemble the steps before them a little: (count, frames, 4)."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(count, frames, 4))
    for i in range(1, frames):
        steps[:, i] += 0.6 * steps[:, i - 1]
    return np.array([100.0, 80, 140, 160]) + steps.cumsum(1)


def check_weights(answer: Callable[[int, int], Any]) -> None:
    """Exercise 1."""
    cases = {
        "two boxes are seen": [(horizon, 2) for horizon in (1, 6, 12)],
        "boxes lie between the two that count": [(horizon, 6) for horizon in (1, 6, 12)],
    }
    check_function("weights", answer, weights, cases, hint="only two boxes count, and the weights sum to 1")


def check_final_step(answer: Callable[[np.ndarray], Any]) -> None:
    """Exercise 2."""
    cases = {
        "only the last step moves": [(np.array([0.0, 0, 0, 0, 1]),)],
        "only the first step moves": [(np.array([1.0, 0, 0, 0, 0]),)],
        "all steps differ": [(np.array([2.0, -1.5, 4]),)],
    }
    check_function("final_step", answer, final_step, cases, hint="how long does each step stay in the mean?")


def check_pays(answer: Callable[[float, float, int, int], Any]) -> None:
    """Exercise 3."""
    kinds = {"it brakes": (-0.4, -0.05), "its speed is constant": (0.0,), "it gets faster": (0.3,)}
    cases = {
        words: [(v, a, horizon, 6) for v in (0.0, 0.7, 2.0) for a in some for horizon in (1, 6, 12)]
        for words, some in kinds.items()
    }
    check_function("pays", answer, pays, cases, hint="compare |a| h (h + K - 1) / 2 with |v h + a h^2 / 2|")


def check_best_share(answer: Callable[[np.ndarray, np.ndarray], Any]) -> None:
    """Exercise 4."""
    walks = [_walks(40, 18, seed) for seed in range(3)]
    cases = {
        f"{ahead} frames follow": [(walk[:, :6], walk[:, 6 : 6 + ahead]) for walk in walks]
        for ahead in (1, 6, 12)
    }
    check_function("best_share", answer, best_share, cases, hint="set the derivative of the sum to zero")


def check_train_extension(answer: Callable[..., Any]) -> None:
    """Exercise 5: the answer is trained on some walks and tried on others."""

    def given(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        walk = torch.as_tensor(_walks(400, 9, seed), dtype=torch.float32)
        return (walk[:, :6] - walk[:, 5:6]).flatten(1), walk[:, 8] - walk[:, 5]

    seen, moved = given(seed=1)
    by_equation = -seen[:, :4] * 3 / 5
    holds = {
        "it gives four numbers for each window": lambda net: net(seen).shape == moved.shape,
        "on unseen walks it misses by less than Eq. 4 (squared pixels)": lambda net: (
            ((net(seen) - moved) ** 2).mean() < ((by_equation - moved) ** 2).mean()
        ),
        "and by less than standing still": lambda net: ((net(seen) - moved) ** 2).mean() < (moved**2).mean(),
    }
    hint = "a linear layer against the mean squared error; a small step at the end"
    check_made("train_extension", answer, given(seed=0), holds, hint)
