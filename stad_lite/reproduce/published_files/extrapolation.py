"""How well tubes of UCF101-24 are foretold by a line, a copy, a replay and a network: *Extrapolation*.

Windows are three clips of ``CLIP`` frames; the first is seen, the other two are foretold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.data import ucf101_24
from stad_lite.data.location import missing_message
from stad_lite.reproduce.drift import CLIP, Forecast, copy_last, fastest, fit_regressor
from stad_lite.reproduce.published_files import ucf_tubes
from stad_lite.reproduce.results import Results
from stad_lite.step.extension import ahead, windows

Tubes = Sequence[np.ndarray]
RULES: dict[str, Forecast] = {
    "Eq. 4": partial(ahead, clip=CLIP),
    "recursive": partial(ahead, clip=CLIP, kind="recursive"),
    "copy last": copy_last,
    "replay": lambda boxes: boxes[..., -CLIP:, :],
}
"""Forecasts that learn nothing."""
SIZE = (320, 240)
"""Width and height of the videos in pixels."""


def measure(results: Results, seed: int = 0) -> list[str]:
    """Add the figures of all tubes; return a sentence where the annotations are not here.

    seed: of the network that learns
    """
    found, tested = ucf_tubes.held_out()
    if not found:
        return [missing_message("ucf101-24")]
    tubes = [tube.boxes for tube in found]
    cut = [windows([boxes], 3 * CLIP, CLIP) for boxes in tubes]
    real, of_tube = np.concatenate(cut), np.repeat(np.arange(len(cut)), [len(some) for some in cut])
    _rules(results, real)
    _line_against_copy(results, real, of_tube, np.array([tube.label for tube in found])[of_tube])
    held_out = tested[of_tube]
    _learnt(results, real[~held_out], real[held_out], seed)
    _best_fits(results, tubes)
    _motion(results, real)
    _annotators(results, real, tubes)
    return []


def foretold(seen: np.ndarray, rule: Forecast, times: int = 2) -> np.ndarray:
    """Return the boxes that a rule puts behind the seen ones: (n, frames, 4) -> (n, times * clip, 4)."""
    boxes = seen
    for _ in range(times):
        boxes = np.concatenate([boxes, rule(boxes)], axis=-2)
    return boxes[..., seen.shape[-2] :, :]


def by_frame(cut: np.ndarray, rule: Forecast) -> np.ndarray:
    """Return the mean IoU at each frame ahead, over windows (n, 3 clips, 4)."""
    return np.asarray(box_ops.iou(foretold(cut[:, :CLIP], rule), cut[:, CLIP:]).mean(axis=0))


def _add(results: Results, name: str, value: Any, unit: str = "IoU", claim: str = "STEP Sec. 3.3") -> None:
    results.add(name, value, unit, "ucf101-24", claim)


def _clips(results: Results, name: str, cut: np.ndarray, rules: Mapping[str, Forecast], claim: str) -> None:
    for rule, forecast in rules.items():
        clips = by_frame(cut, forecast).reshape(2, CLIP).mean(axis=1)
        for words, value in zip(("one clip", "two clips"), clips, strict=True):
            _add(results, f"{name}{rule}, {words} ahead", value, claim=claim)


def _rules(results: Results, real: np.ndarray) -> None:
    _add(results, "windows", len(real), "")
    _clips(results, "", real, RULES, "STEP Eq. 4")
    for name, rule in RULES.items():
        for ahead_by, value in enumerate(by_frame(real, rule), start=1):
            _add(results, f"{name}, {ahead_by} frames ahead", value)


def _line_against_copy(results: Results, real: np.ndarray, of_tube: np.ndarray, labels: np.ndarray) -> None:
    """By how much Eq. 4 overlaps more than the copy one clip ahead. of_tube, labels: (windows,)"""
    line, copy = (
        box_ops.iou(foretold(real[:, :CLIP], RULES[name], 1), real[:, CLIP : 2 * CLIP]).mean(axis=1)
        for name in ("Eq. 4", "copy last")
    )
    better = line - copy
    classes = {name: better[labels == name].mean() for name in ucf101_24.CLASSES}
    for name, value in classes.items():
        _add(results, f"Eq. 4 minus copy, {name}", value)
    count = np.bincount(of_tube)
    tubes = np.bincount(of_tube, better)[count > 0] > 0
    _add(results, "classes in which Eq. 4 beats the copy", sum(v > 0 for v in classes.values()), "")
    _add(results, "tubes on which Eq. 4 beats the copy", tubes.mean(), "share")
    _add(results, "windows on which Eq. 4 beats the copy", (better > 0).mean(), "share")


def _learnt(results: Results, train: np.ndarray, test: np.ndarray, seed: int) -> None:
    """A network learnt from the training videos, beside the rules, also where actors are fast."""
    network = fit_regressor(train[:, :CLIP], train[:, CLIP:], seed=seed)
    groups = {
        "test": np.ones(len(test), dtype=bool),
        "fast when seen": fastest(test[:, :CLIP]),
        "fast in hindsight": fastest(test[:, CLIP - 1 :]),
    }
    for title, chosen in groups.items():
        _clips(results, f"{title}, ", test[chosen], RULES | {"network": network}, "STEP Sec. 3.3")


def best_line(cut: np.ndarray) -> np.ndarray:
    """Return the straight line nearest to the boxes of each window (n, frames, 4), in squared pixels."""
    time = np.arange(cut.shape[1])
    basis = np.stack([np.ones(len(time)), time], axis=1)
    return np.einsum("ij,njk->nik", basis @ np.linalg.pinv(basis), cut)


def _best_fits(results: Results, tubes: Tubes) -> None:
    for length in (6, 12, 18, 30):
        some = windows(tubes, length, CLIP)
        mean = some.mean(axis=1, keepdims=True)
        _add(results, f"best line through {length} frames", box_ops.iou(best_line(some), some).mean())
        _add(results, f"best box for {length} frames", box_ops.iou(mean, some).mean())


def motion(cut: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return the centre's mean step from one frame to another, in sides of the last box seen: (n, 2)."""
    centre = box_ops.xyxy_to_cxcywh(cut)
    side = np.sqrt(centre[:, CLIP - 1, 2] * centre[:, CLIP - 1, 3])[:, None]
    return np.asarray((centre[:, last, :2] - centre[:, first, :2]) / (last - first) / side)


def _motion(results: Results, real: np.ndarray) -> None:
    now = motion(real, 0, CLIP - 1)
    for number, name in ((1, "next"), (2, "second next")):
        then = motion(real, number * CLIP - 1, (number + 1) * CLIP - 1)
        link = np.corrcoef(now.ravel(), then.ravel())[0, 1]
        _add(results, f"correlation with the {name} clip's motion", link, "")
        _add(results, f"regression on the {name} clip's motion", (now * then).sum() / (now**2).sum(), "")


def _annotators(results: Results, real: np.ndarray, tubes: Tubes) -> None:
    """Boxes that stand still from frame to frame, and boxes that Eq. 4 makes impossible."""
    stays = np.concatenate([(np.diff(boxes, axis=0) == 0).all(axis=1) for boxes in tubes])
    _add(results, "steps in which the box does not change", stays.mean(), "share")
    told = foretold(real[:, :CLIP], RULES["Eq. 4"])
    inverted = (told[..., 2:] <= told[..., :2]).any(axis=(1, 2))
    _add(results, "windows with a box turned inside out", int(inverted.sum()), "")
    outside = (told[..., :2] < 0).any(-1) | (told[..., 2:] > SIZE).any(-1)
    _add(results, "foretold boxes that leave the frame", outside.mean(), "share")
