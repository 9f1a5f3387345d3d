"""One set of geometry functions for numpy arrays and torch tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stad_lite.errors import FormatError, NotFiniteError

Array = Any
"""A numpy array or a torch tensor; functions return the kind they were given."""


WEIGHTS = "look for NaN among the weights: train again from an earlier checkpoint at a lower rate"
"""What to do where a network's own numbers are not finite."""


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


def as_numpy(tensor: Array) -> np.ndarray:
    """Return a torch tensor as a numpy array, which has no bfloat16: that becomes float32."""
    tensor = tensor.detach().cpu()
    found: np.ndarray = (tensor.float() if tensor.dtype == namespace(tensor).bfloat16 else tensor).numpy()
    return found


def readable(tensor: Array) -> bool:
    """Tell whether a torch tensor's values can be looked at for nothing: on the CPU, outside of compilation.

    Elsewhere a look waits for all that was asked of the device, so shapes are fixed there and what only
    refuses bad input is left out.
    """
    return tensor.device.type == "cpu" and not namespace(tensor).compiler.is_compiling()


def marked(mask: Any) -> tuple[tuple[Any, ...], Any]:
    """Return the places where a torch mask is True, and which of the places count.

    mask: any shape
    returns: indices (n,), one tensor a dimension, and (n,) bool. Where values can be looked at all count;
        elsewhere n does not hang on them: all places of the mask, first those that count

    >>> import torch
    >>> places, counts = marked(torch.tensor([[False, True], [True, False]]))
    >>> [index.tolist() for index in places], counts.tolist()
    ([[0, 1], [1, 0]], [True, True])
    """
    import torch

    if readable(mask):
        places = mask.nonzero(as_tuple=True)
        return places, torch.ones_like(places[0], dtype=torch.bool)
    order = mask.flatten().byte().argsort(descending=True, stable=True)
    return tuple(torch.unravel_index(order, mask.shape)), mask.flatten()[order]


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


def check_finite_frames(
    what: str, video: str, frames: Sequence[int] | np.ndarray, *values: Array, remedy: str = WEIGHTS
) -> None:
    """Refuse NaN and infinities in what has a row for each of some frames.

    A comparison with NaN is False, so that it would be left out in silence as a low score is.

    what: the values are, such as "the flow"
    frames: (n,) their numbers in the video
    values: (n, ...) each; whole numbers are not looked at
    raises: NotFiniteError with the video and the first frame

    >>> check_finite_frames("the flow", "a", [7, 8], np.array([[1.0], [np.nan]]), remedy="estimate it again")
    Traceback (most recent call last):
    stad_lite.errors.NotFiniteError: video a, frame 8: the flow is not finite; estimate it again
    """
    for value in values:
        xp = namespace(value)
        if not (value.dtype.kind == "f" if xp is np else value.is_floating_point()):
            continue
        finite = xp.isfinite(value)
        if not finite.all():
            row = finite.reshape(len(value), -1).all(1).tolist().index(False)
            raise NotFiniteError(f"{what} is not finite", video=video, frame=int(frames[row]), remedy=remedy)


def suppress(
    items: Array, scores: Array, threshold: float, overlap: Callable[[Array, Array], Array]
) -> Array:
    """Return the indices that survive greedy suppression, best first: the loop behind every NMS.

    An item goes when its overlap with a better one that stays is above ``threshold``; equal scores
    keep their order. Items are taken a few at a time: their overlaps with all that follow are one call.

    items: (n, ...) what ``overlap`` takes
    scores: (n,)
    overlap: (k, 1, ...) and (m, ...) -> (k, m)
    returns: (kept,) indices by falling score
    """
    xp = namespace(items, scores)
    if xp is not np and not readable(items):
        return suppress_together(items, scores, threshold, overlap)
    if xp is not np:
        kept = suppress(as_numpy(items), as_numpy(scores), threshold, overlap)
        return xp.as_tensor(kept, device=items.device)
    order = np.argsort(-as_float(scores), kind="stable")  # -1 of an unsigned type would be its largest
    items = as_float(items)[order]
    kept, rest = [], np.arange(len(order))
    while rest.size:
        few, rest = rest[:AT_A_TIME], rest[AT_A_TIME:]
        apart = overlap(items[few, None], items[few]) <= threshold
        stays = np.ones(len(few), dtype=bool)
        for i in range(len(few)):
            if stays[i]:
                stays[i + 1 :] &= apart[i, i + 1 :]
        kept.append(few[stays])
        rest = rest[(overlap(items[few[stays], None], items[rest]) <= threshold).all(0)]
    return order[np.concatenate(kept)] if kept else np.zeros(0, dtype=np.int64)


AT_A_TIME = 16
"""Items that ``suppress`` takes together (benchmarks/bench_nets.py)."""


def suppress_together(
    items: Array, scores: Array, threshold: float, overlap: Callable[[Array, Array], Array]
) -> Array:
    """Return what ``suppress`` does, of torch tensors on their own device: all overlaps at once."""
    # bfloat16 as in ``as_numpy``; of the negative ones what is no number comes last, as in numpy
    items, scores = (
        part.float() if part.itemsize < 4 else part for part in (as_float(items), as_float(scores))
    )
    order = (-scores).argsort(stable=True)
    items = items[order]
    covers = ~(overlap(items[:, None], items[None]) <= threshold)
    return order[settled(covers, covers.new_ones(len(order)))]


def settled(covers: Array, there: Array) -> Array:
    """Tell what stays in greedy suppression, in many groups of torch's at once.

    An item goes where a better one that stays covers it. From the best one downwards each round settles one
    more at least, and most need few; between two looks at whether all is settled there are some rounds,
    for on a GPU each look waits.

    covers: (..., n, n) bool, whether the item of the row overlaps that of the column too much; best first
    there: (..., n) bool
    returns: (..., n) bool
    """
    xp = namespace(covers)
    covers, stays, count = covers.triu(1), there, there.shape[-1]
    if xp.compiler.is_compiling():  # no look at all
        for row in range(count):
            stays = stays & ~(covers[..., row, :] & stays[..., row, None])
        return stays
    between = 1 if readable(there) else ROUNDS
    for done in range(1, count + 1):
        before, stays = stays, there & ~(covers & stays[..., None]).any(-2)
        if done % between == 0 and xp.equal(before, stays):
            break
    return stays


ROUNDS = 6
"""Rounds of ``settled`` between two looks where a look waits for a GPU."""


def number(value: Any, what: str) -> float:
    """Return a Python float; FormatError for what is no number (True is none).

    >>> number(np.float32(0.5), "score")
    0.5
    """
    try:
        if isinstance(value, (bool, np.bool_, str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"{what} is {value!r}", remedy=f"{what} is a number") from None


def whole(value: Any, what: str) -> int:
    """Return a Python int; FormatError for what is no whole number (True is none).

    >>> whole(np.int64(3), "start"), whole(3.0, "start")
    (3, 3)
    """
    try:
        if isinstance(value, (bool, np.bool_, str, bytes)) or int(value) != value:
            raise TypeError
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"{what} is {value!r}", remedy=f"{what} is a whole number") from None


def column(values: Any, what: str) -> np.ndarray:
    """Return numbers as (n,) float64; FormatError for what is no list of numbers.

    >>> column([1, 0.5], "scores")
    array([1. , 0.5])
    """
    try:
        array = np.asarray(values)
        if array.ndim == 1 and (array.dtype.kind in "iuf" or array.size == 0):
            return array.astype(np.float64)
    except ValueError:  # rows of different lengths
        pass
    raise FormatError(f"{what} is no column of numbers", remedy=f"{what} is a list of numbers")


def whole_column(values: Any, what: str) -> np.ndarray:
    """Return whole numbers as (n,) int64; FormatError for what is no list of them.

    >>> whole_column([1.0, 2.0], "frame")
    array([1, 2])
    """
    try:
        array = np.asarray(values)
        if array.ndim == 1 and (array.dtype.kind in "iuf" or array.size == 0):
            with np.errstate(invalid="ignore"):
                integers = array.astype(np.int64)
            if np.array_equal(integers, array):
                return integers
    except ValueError:  # rows of different lengths
        pass
    raise FormatError(f"{what} is no column of whole numbers", remedy=f"{what} is a list of whole numbers")


def flat_rows(values: Any, name: str) -> np.ndarray:
    """Return rows of frame, label and score as (n, 3) float64; FormatError for what is none.

    >>> flat_rows([[3, 0, 0.5]], "flat")
    array([[3. , 0. , 0.5]])
    """
    try:
        rows = np.asarray(values, dtype=np.float64).reshape(-1, 3)
        if np.isfinite(rows).all() and (rows[:, :2] == np.floor(rows[:, :2])).all():
            return rows
    except (TypeError, ValueError):
        pass
    raise FormatError(f"{name} is no table of numbers", remedy="give each row frame, label index and score")


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are equal, looking into numpy arrays.

    >>> same(np.arange(2), np.arange(2)), same(None, np.arange(2))
    (True, False)
    """
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is not None and b is not None and np.array_equal(a, b)
    return bool(a == b)
