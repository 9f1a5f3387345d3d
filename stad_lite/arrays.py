"""One set of geometry functions for numpy arrays and torch tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
"""A numpy array or a torch tensor; functions return the kind they were given."""


def namespace(*arrays: Array) -> Any:
    """Return the module (numpy or torch) that the arrays belong to; torch is never imported here.

    Functions use only names and positional arguments that both modules share.

    >>> namespace(np.zeros(3)).__name__
    'numpy'
    """
    torch = sys.modules.get("torch")
    if torch is not None and any(isinstance(array, torch.Tensor) for array in arrays):
        return torch
    return np


def as_float(array: Array) -> Array:
    """Return the array as floating point (float64 for numpy integers), unchanged if it is already.

    Integer boxes are cast before any sum is taken: in uint8, 200 + 100 is 44.

    >>> as_float(np.array([200, 100], dtype=np.uint8)).sum()
    np.float64(300.0)
    """
    if namespace(array) is np:
        array = np.asarray(array)
        return array if array.dtype.kind == "f" else array.astype(np.float64)
    return array if array.is_floating_point() else array.to(namespace(array).get_default_dtype())


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return the quotient with 0 / 0 = 0: two things without extent do not overlap.

    >>> ratio(np.array([1., 0.]), np.array([4., 0.]))
    array([0.25, 0.  ])
    """
    xp = namespace(numerator, denominator)
    empty = denominator <= 0
    safe = xp.where(empty, xp.ones_like(denominator), denominator)
    return xp.where(empty, xp.zeros_like(denominator), numerator / safe)[()]


def suppress(
    items: Array, scores: Array, threshold: float, overlap: Callable[[Array, Array], Array]
) -> Array:
    """Return the indices that survive greedy suppression, best first: the loop behind every NMS.

    An item goes when its overlap with a better one that stays is above ``threshold``; equal scores
    keep their order.

    items: (n, ...) what ``overlap`` takes
    scores: (n,)
    overlap: (...) and (m, ...) -> (m,)
    returns: (kept,) indices by falling score
    """
    xp = namespace(items, scores)
    if xp is not np:
        kept = suppress(items.detach().cpu().numpy(), scores.detach().cpu().numpy(), threshold, overlap)
        return xp.as_tensor(kept, device=items.device)
    items = as_float(items)
    order = np.argsort(-np.asarray(scores), kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[overlap(items[best], items[order]) <= threshold]
    return np.array(kept, dtype=np.int64)


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are equal, looking into numpy arrays.

    >>> same(np.arange(2), np.arange(2)), same(None, np.arange(2))
    (True, False)
    """
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is not None and b is not None and np.array_equal(a, b)
    return bool(a == b)
