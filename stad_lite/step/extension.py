"""Temporal extension: where a tubelet is likely to be in the clips before and after it (STEP Sec. 3.3).

``extrapolate`` follows the motion of the tubelet's outermost clip in a straight line (Eq. 4);
``anticipate`` adds residuals that a network has learnt (Eq. 5); ``replicate`` holds the outermost box.
Each gives one clip before and one after; ``concatenate`` joins them to the tubelet in order of time.
Functions take numpy arrays or torch tensors and return the same kind; nothing is cut to the frame
(``stad_lite.boxes.clip`` does that).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.arrays import Array, as_float, namespace
from stad_lite.errors import FormatError

KINDS = ("closed", "recursive")
"""The two readings of Eq. 4: ``closed`` is the paper's and the default, ``recursive`` its authors' code's."""


def _checked(tubelets: Array, clip: int, least: int) -> Array:
    if tubelets.ndim < 2 or tubelets.shape[-1] != 4 or clip < least or tubelets.shape[-2] < clip:
        raise FormatError(
            f"tubelets of shape {tuple(tubelets.shape)} cannot be extended by clips of {clip} frames",
            remedy=f"give tubelets (..., frames, 4) and a clip of {least} up to that many frames",
        )
    return as_float(tubelets)


def ahead(tubelets: Array, clip: int, kind: str = "closed") -> Array:
    """Return the tubelets of the next clip, along the straight line of the last clip's motion.

    tubelets: (..., frames, 4) xyxy pixels, frames >= clip
    clip: K >= 2 frames of a clip, those whose motion is followed and those that are given
    kind: ``closed`` draws one line through the first and last box of the last clip (the default, the
        paper's); ``recursive`` adds one frame at a time by the same rule, so the line turns with the
        boxes just added (the authors' code). On straight motion both are exact; else they differ
        from the second frame on.
    returns: (..., clip, 4)
    raises: FormatError
    Source: STEP Eq. 4; NVlabs/STEP tube_utils.py for the recursion.

    >>> x = np.array([0., 1., 4.])[:, None] + [0, 0, 2, 2]
    >>> ahead(x, 3)[:, 0], ahead(x, 3, "recursive")[:, 0]
    (array([ 6.,  8., 10.]), array([ 6.  ,  8.5 , 10.75]))
    """
    tubelets = _checked(tubelets, clip, 2)
    last, before = tubelets[..., -1:, :], tubelets[..., -clip, None, :]
    if kind == "closed":
        xp = namespace(tubelets)
        numbers = [[k / (clip - 1)] for k in range(1, clip + 1)]
        part = np.array(numbers) if xp is np else tubelets.new_tensor(numbers)
        return last + part * (last - before)
    if kind == "recursive":
        frames = [tubelets[..., i, :] for i in range(-clip, 0)]
        for _ in range(clip):
            frames.append(frames[-1] + (frames[-1] - frames[-clip]) / (clip - 1))
        return namespace(tubelets).stack(frames[clip:], -2)
    raise FormatError(f"no extrapolation is called {kind!r}", remedy=f"choose from {', '.join(KINDS)}")


def _reversed(tubelets: Array) -> Array:
    return tubelets[..., ::-1, :] if namespace(tubelets) is np else tubelets.flip(-2)


def extrapolate(tubelets: Array, clip: int, kind: str = "closed") -> tuple[Array, Array]:
    """Return the clips before and after the tubelets by linear extrapolation.

    tubelets: (..., frames, 4) xyxy pixels
    clip: K >= 2 frames of a clip
    kind: as in ``ahead``
    returns: two (..., clip, 4), both in order of time; the one before mirrors the one after
    raises: FormatError
    Source: STEP Eq. 4 and the sentence after it.

    >>> before, after = extrapolate(np.arange(3.)[:, None] + [0, 0, 2, 2], 3)
    >>> before[:, 0], after[:, 0]
    (array([-3., -2., -1.]), array([3., 4., 5.]))
    """
    return _reversed(ahead(_reversed(tubelets), clip, kind)), ahead(tubelets, clip, kind)


def replicate(tubelets: Array, clip: int) -> tuple[Array, Array]:
    """Return the clips before and after the tubelets as copies of their first and last boxes.

    tubelets: (..., frames, 4) xyxy pixels
    clip: K >= 1 frames of a clip
    returns: two (..., clip, 4)
    raises: FormatError
    Source: the replication that STEP Sec. 3.3 argues against.
    """
    return _held(_checked(tubelets, clip, 1), clip)


def _held(tubelets: Array, clip: int) -> tuple[Array, Array]:
    still = tubelets[..., :clip, :] * 0
    return tubelets[..., :1, :] + still, tubelets[..., -1:, :] + still


def anticipate(
    offsets: Array, residuals: tuple[Array, Array], clip: int, start: str = "clip"
) -> tuple[Array, Array]:
    """Return the offsets of the clips before and after the tubelets from learnt residuals.

    The offsets of the outermost clip plus a residual are offsets from that clip's proposals: frame k of
    the clip before is told from frame k of the first clip, and so is the clip after from the last one. So a
    residual of zero plays the outermost clip again. From a ``copy`` each frame is told from the outermost
    frame alone, and a residual of zero holds that frame's box (``outermost`` gives the proposals).

    offsets: (..., frames, sides) the regression L of this step, without units (``boxes.encode``); sides are 4
        for each box that is regressed
    residuals: f_-1(x) and f_+1(x), each (..., clip, sides), in the same units
    start: ``clip``, as Eq. 5 is written, or ``copy`` (ours)
    returns: L_-1 and L_+1, two (..., clip, sides)
    Source: STEP Eq. 5.

    >>> line = np.arange(5.0)[:, None]
    >>> [found[:, 0].tolist() for found in anticipate(line, (np.zeros((2, 1)), np.ones((2, 1))), 2)]
    [[0.0, 1.0], [4.0, 5.0]]
    """
    first, last = outermost(offsets, clip, start)
    before, after = residuals
    return first + before, last + after


def outermost(tubelets: Array, clip: int, start: str = "clip") -> tuple[Array, Array]:
    """Return what the clips before and after are told from: the outermost clips, or one frame held.

    tubelets: (..., frames, sides)
    start: ``clip`` or ``copy``, as in ``anticipate``
    returns: two (..., clip, sides)
    """
    if start == "copy":
        return _held(tubelets, clip)
    return tubelets[..., :clip, :], tubelets[..., -clip:, :]


def concatenate(before: Array, tubelets: Array, after: Array) -> Array:
    """Return the extended tubelets, in order of time: B_-1, B, B_+1.

    before, after: (..., clip, 4)
    tubelets: (..., frames, 4)
    returns: (..., frames + 2 clip, 4)
    Source: STEP Sec. 3.3.

    >>> clip = np.zeros((6, 4))
    >>> concatenate(clip - 1, clip, clip + 1).shape
    (18, 4)
    """
    return namespace(tubelets).concatenate([before, tubelets, after], -2)


def windows(tubes: Sequence[np.ndarray], length: int, stride: int) -> np.ndarray:
    """Return all windows of so many frames of all tubes; a shorter tube has none.

    tubes: each (t, 4), t of its own
    length, stride: frames
    returns: (n, length, 4), tube by tube

    >>> windows([np.zeros((20, 4)), np.zeros((11, 4))], length=12, stride=6).shape
    (2, 12, 4)
    """
    found = [
        tube[start : start + length] for tube in tubes for start in range(0, len(tube) - length + 1, stride)
    ]
    return np.stack(found).astype(np.float64) if found else np.zeros((0, length, 4))


def overlap_ahead(
    seen: np.ndarray, truth: np.ndarray, clip: int, predict: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return how well the clips after a tubelet are foretold, one clip after another.

    Each further clip is foretold from the ones foretold before it, as the steps of STEP do it.

    seen: (n, frames, 4) true boxes up to now, xyxy pixels
    truth: (n, clips * clip, 4) true boxes of the clips that follow
    predict: (n, frames, 4) -> (n, clip, 4), such as ``ahead`` with its clip length
    returns: (n, clips) mean box IoU of each clip
    """
    found = []
    for start in range(0, truth.shape[1], clip):
        foretold = predict(seen)
        found.append(box_ops.iou(foretold, truth[:, start : start + clip]).mean(1))
        seen = np.concatenate([seen, foretold], 1)
    return np.stack(found, 1)
