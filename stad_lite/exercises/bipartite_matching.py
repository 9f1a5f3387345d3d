"""Checks and reference answers of the chapter on bipartite matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from stad_lite.exercises.checks import check_function, check_value
from stad_lite.matching import hungarian

__all__ = [
    "check_is_proved",
    "check_unchanged",
    "check_shared_score",
    "check_several_each",
    "check_learned_score",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


TOLERANCE = 1e-9


def is_proved(
    cost: np.ndarray, pairs: Sequence[tuple[int, int]], truth_prices: np.ndarray, proposal_prices: np.ndarray
) -> bool:
    """Tell whether prices prove that no one-to-one assignment is cheaper than these pairs.

    cost: (n, g), n >= g
    pairs: a proposal for each truth, as (proposal, truth)
    truth_prices: (g,)
    proposal_prices: (n,) none above 0: a proposal that no truth takes is paid for by nobody

    >>> cost = np.array([[1.0, 2.0], [2.0, 5.0]])
    >>> is_proved(cost, [(1, 0), (0, 1)], np.array([2.0, 3.0]), np.array([-1.0, 0.0]))
    True
    """
    fair = (cost >= truth_prices + proposal_prices[:, None] - TOLERANCE).all()
    total = sum(cost[p, t] for p, t in pairs)
    bound = truth_prices.sum() + proposal_prices.sum()
    return bool(fair and (proposal_prices <= TOLERANCE).all() and abs(total - bound) <= 1e-6)


def shared_score(count: int, alpha: float) -> float:
    """Return the score that proposals learn which look alike, by cross-entropy that weighs "yes" by alpha.

    count: how many look alike; one of them is told "yes"
    alpha: weight of "yes", 1 - alpha is that of "no"

    >>> shared_score(4, 0.5)
    0.25
    """
    return alpha / (alpha + (1 - alpha) * (count - 1))


def several_each(cost: np.ndarray, copies: int) -> list[tuple[int, int]]:
    """Return the cheapest assignment of ``copies`` proposals to each truth, sorted pairs (proposal, truth).

    cost: (n, g), n >= copies * g
    """
    repeated = torch.as_tensor(cost).repeat_interleave(copies, dim=1)
    found = hungarian(repeated[None], [repeated.shape[1]])
    return sorted((int(p), int(t) // copies) for p, t in zip(found.proposal, found.truth, strict=True))


def _proof_cases() -> dict[str, list[tuple[Any, ...]]]:
    cost = np.array([[1.0, 2.0, 6.0], [2.0, 5.0, 9.0], [3.0, 4.0, 4.0]])
    best, other = [(1, 0), (0, 1), (2, 2)], [(0, 0), (2, 1), (1, 2)]
    truths, proposals = np.array([2.0, 3.0, 4.0]), np.array([-1.0, 0.0, 0.0])
    wide, pair = np.array([[1.0], [3.0]]), [(1, 0)]
    return {
        "the prices prove it": [
            (cost, best, truths, proposals),
            (wide, [(0, 0)], np.array([1.0]), np.array([0.0, 0.0])),
        ],
        "an entry is cheaper than its two prices": [(cost, best, truths + 1.0, proposals)],
        "the prices add up to less than the pairs cost": [(cost, best, truths - 1.0, proposals)],
        "a cheaper assignment exists": [(cost, other, truths, proposals)],
        "a proposal has a price above 0": [(wide, pair, np.array([1.0]), np.array([0.0, 2.0]))],
    }


def check_is_proved(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    hint = "three conditions: no entry below its two prices, none above 0 for a proposal, the sums agree"
    check_function("is_proved", answer, is_proved, _proof_cases(), hint=hint)


def check_unchanged(answer: Any) -> None:
    """Exercise 2."""
    hint = "some proposals stay without a truth, no truth stays without a proposal"
    check_value("which changes keep the matching", answer, [True, False, True, True], hint=hint)


def check_shared_score(answer: Callable[[int, float], Any]) -> None:
    """Exercise 3."""
    cases = {
        "a proposal stands alone": [(1, 0.25), (1, 0.8)],
        "both words weigh the same": [(m, 0.5) for m in (2, 4, 9)],
        "one word weighs more": [(m, alpha) for m in (2, 4, 9) for alpha in (0.25, 0.8)],
    }
    hint = "set the derivative by p of -alpha log p - (1 - alpha) (m - 1) log(1 - p) to 0"
    check_function("shared_score", answer, shared_score, cases, hint=hint)


def check_several_each(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    random = np.random.default_rng(3)
    sizes = ((6, 2, 1), (6, 2, 3), (9, 3, 2), (5, 1, 4))
    tables = [(random.normal(size=(n, g)), copies) for n, g, copies in sizes]
    cases = {"each truth takes one": tables[:1], "each truth takes several": tables[1:]}

    def ordered(cost: np.ndarray, copies: int) -> Any:
        given = answer(cost, copies)
        return given if given is None or given is ... else sorted((int(p), int(t)) for p, t in given)

    check_function("several_each", ordered, several_each, cases, hint="let each truth stand several times")


def check_learned_score(answer: Callable[[int, float], Any]) -> None:
    """Exercise 5: what gradient descent ends at is what the derivative says."""
    cases = {
        "both words weigh the same": [(2, 0.5), (4, 0.5)],
        "one word weighs more": [(2, 0.75), (4, 0.25), (9, 0.8)],
    }
    hint = "one number with gradients, its sigmoid, the loss of exercise 3; make steps until nothing changes"
    check_function("learned_score", answer, shared_score, cases, tolerance=0.01, hint=hint)
