"""Key timestamps: the frames that decide a tube's shape, labelled greedily (CFAD Eq. 5).

A tube of n frames has N stamps, the frames nearest to s_i (n - 1) with s_i = i / (N - 1). Short
tubes have fewer distinct stamps than N; duplicates are merged. The tube is rebuilt by interpolation
through the boxes at the chosen stamps, and judged by the mean box IoU over its native frames.

``greedy_keys`` is the reference, one tube with ``scipy.interpolate``. ``stad_lite.cfad.labeller``
gives the same keys for thousands of tubes at once.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.errors import StadError
from stad_lite.tubes import interpolate

TIE = 1e-9
"""Overlaps that differ by less count as equal, and the earliest stamp wins. Still actors make exact
ties common; without a tolerance the last bit of the arithmetic would choose the label."""


def stamps(length: int, count: int) -> np.ndarray:
    """Return the distinct frames that carry the sampled features of a tube.

    length: frames of the tube
    count: N >= 2 sampled features
    returns: (m,) rising frames from 0 to length - 1, m <= count; halves are rounded to the even frame
    Source: CFAD Sec. 3.3, s_i = i / (N - 1).

    >>> stamps(31, 4), stamps(3, 16)
    (array([ 0, 10, 20, 30]), array([0, 1, 2]))
    """
    if count < 2:
        raise StadError(f"{count} stamps cannot hold both end points", remedy="give N >= 2")
    # The quotient of two whole numbers: halves are exact, and round() sends them to the even frame.
    return np.unique(np.rint(np.arange(count) * (length - 1) / (count - 1)).astype(np.int64))


def rebuild(boxes: np.ndarray, keys: np.ndarray, kind: str = "spline") -> np.ndarray:
    """Return the tube interpolated through its boxes at the key frames.

    boxes: (n, 4) any linear box format
    keys: (m,) rising frames
    kind: ``spline`` (piece-wise cubic, as the paper chooses) or ``linear``
    returns: (n, 4)
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    return interpolate(keys, boxes[keys], np.arange(len(boxes)), kind)


def overlap(boxes: np.ndarray, keys: np.ndarray, kind: str = "spline") -> float:
    """Return the IOU of Eq. 5: mean box IoU of the rebuilt tube with the tube, over its frames.

    boxes: (n, 4) xyxy pixels
    keys: (m,) rising frames
    """
    return float(box_ops.iou(rebuild(boxes, keys, kind), boxes).mean())


def greedy_step(boxes: np.ndarray, keys: np.ndarray, free: np.ndarray, kind: str = "spline") -> int:
    """Return the frame s* of Eq. 5: the free stamp whose addition helps most.

    boxes: (n, 4) xyxy pixels
    keys: (m,) rising frames that are keys already
    free: (f,) rising stamps to choose from
    """
    gains = np.array([overlap(boxes, np.sort(np.append(keys, stamp)), kind) for stamp in free])
    return int(free[np.argmax(gains >= gains.max() - TIE)])


def greedy_keys(boxes: np.ndarray, count: int = 16, epsilon: float = 0.8, kind: str = "spline") -> list[int]:
    """Return the key frames of one tube in the order in which the greedy labelling takes them.

    It starts from both end points and appends the best stamp until the overlap is larger than
    epsilon, or every stamp is a key.

    boxes: (n, 4) xyxy pixels
    count: N sampled features
    epsilon: overlap beyond which the labelling stops
    kind: ``spline`` or ``linear``
    returns: frames; the first two are the ends
    Source: CFAD Eq. 5 (epsilon = .8; N = 16 on UCF101-24, 6 on JHMDB-21, 8 on UCFSports).

    >>> still = np.tile([0., 0., 4., 4.], (20, 1))
    >>> greedy_keys(still)
    [0, 19]
    """
    all_stamps = stamps(len(boxes), count)
    chosen = [int(all_stamps[0])] + [int(all_stamps[-1])] * (len(all_stamps) > 1)
    while len(chosen) < len(all_stamps) and overlap(boxes, np.sort(chosen), kind) <= epsilon + TIE:
        chosen.append(greedy_step(boxes, np.sort(chosen), np.setdiff1d(all_stamps, chosen), kind))
    return chosen


def uniform_keys(length: int, count: int, keys: int) -> np.ndarray:
    """Return key frames at a fixed step over the stamps: the baseline "uniform" of Fig. 4b.

    length: frames of the tube
    count: N sampled features
    keys: how many to take; all stamps where there are fewer
    returns: (keys,) rising frames; with two or more, both ends among them
    """
    all_stamps = stamps(length, count)
    keys = min(keys, len(all_stamps))
    return all_stamps[np.rint(np.linspace(0, len(all_stamps) - 1, keys)).astype(np.int64)]


def random_keys(length: int, count: int, keys: int, generator: np.random.Generator) -> np.ndarray:
    """Return the two ends and randomly drawn stamps between them: the baseline "random" of Fig. 4b.

    The paper does not say whether its random draw keeps the ends; here it does, as the greedy
    labelling does, so that all schemes differ in the inner stamps only.

    length, count, keys: as in ``uniform_keys``
    returns: (keys,) rising frames
    """
    all_stamps = stamps(length, count)
    keys = min(keys, len(all_stamps))
    if keys < 2 or len(all_stamps) < 2:
        return all_stamps[:keys]
    inner = generator.choice(all_stamps[1:-1], size=keys - 2, replace=False)
    return np.sort(np.concatenate([all_stamps[[0, -1]], inner]))


def best_keys(boxes: np.ndarray, count: int, keys: int, kind: str = "spline") -> tuple[np.ndarray, float]:
    """Return the best key frames of a given number, found by trying all: what greedy falls short of.

    boxes: (n, 4) xyxy pixels
    count: N sampled features, small: there are (N - 2 over keys - 2) choices
    keys: how many to take, both ends among them
    returns: (keys,) rising frames and their overlap
    raises: StadError for more than 100,000 choices
    """
    all_stamps = stamps(len(boxes), count)
    keys = min(max(keys, 2), len(all_stamps))
    if len(all_stamps) < 3 or keys == len(all_stamps):
        return all_stamps, overlap(boxes, all_stamps, kind)
    choices = list(combinations(all_stamps[1:-1].tolist(), keys - 2)) if _few(len(all_stamps), keys) else []
    if not choices:
        raise StadError(f"too many ways to choose {keys} of {len(all_stamps)} stamps", remedy="lower N")
    trials = [np.array([all_stamps[0], *inner, all_stamps[-1]]) for inner in choices]
    overlaps = np.array([overlap(boxes, trial, kind) for trial in trials])
    best = int(np.argmax(overlaps >= overlaps.max() - TIE))
    return trials[best], float(overlaps[best])


def _few(available: int, keys: int) -> bool:
    from math import comb

    return comb(available - 2, keys - 2) <= 100_000
