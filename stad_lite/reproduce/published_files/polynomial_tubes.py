"""How well polynomials describe the tubes of UCF101-24: the chapter *Polynomial tubes*.

Tubes are lists of boxes (frames, 4); targets are their offsets from an anchor each, the mean of the first six
boxes (``cfad.trajectory.encode_tube``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.cfad import trajectory
from stad_lite.data import ucf101_24
from stad_lite.data.location import missing_message
from stad_lite.reproduce.oracles import ORDERS
from stad_lite.reproduce.published_files import ucf_tubes
from stad_lite.reproduce.results import Results

LENGTHS = ((1, 50), (50, 100), (100, 200), (200, 1000))
"""Groups of tubes by their frames."""
STEPS = 1_000
"""Of gradient descent on a tube."""
Tubes = Sequence[np.ndarray]


def measure(results: Results) -> list[str]:
    """Add what polynomials of order 0 to 8 reach on all tubes; return a sentence where they are not here."""
    found, held_out = ucf_tubes.held_out()
    if not found:
        return [missing_message("ucf101-24")]
    tubes = [tube.boxes for tube in found]
    labels = np.array([tube.label for tube in found])
    overlap = np.stack([trajectory.fit_overlap(tubes, order) for order in ORDERS])
    _orders(results, overlap)
    _lengths(results, overlap, np.array([len(tube) for tube in tubes]))
    _classes(results, overlap, labels)
    _upper_bounds(results, overlap[:, held_out], labels[held_out])
    anchors, targets = encoded(tubes)
    _gradients(results, targets)
    for order in ORDERS:
        _trials(results, order, anchors, targets, tubes)
    return []


def encoded(tubes: Tubes) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return an anchor for each tube (n, 4), and its targets."""
    anchors = np.array([boxes[:6].mean(axis=0) for boxes in tubes])
    pairs = zip(tubes, anchors, strict=True)
    return anchors, [trajectory.encode_tube(boxes, anchor) for boxes, anchor in pairs]


def decoded_overlap(targets: Tubes, anchors: np.ndarray, tubes: Tubes) -> float:
    """Return the mean IoU of tubes with the tubes that targets stand for."""
    lengths = [len(boxes) for boxes in tubes]
    boxes = box_ops.decode(np.concatenate(targets), np.repeat(anchors, lengths, axis=0))
    return float(trajectory.mean_iou(np.split(boxes, np.cumsum(lengths)[:-1]), tubes).mean())


def gradients(targets: Tubes) -> tuple[np.ndarray, np.ndarray]:
    """Return the size of the gradient of CFAD Eq. 3 on the coefficient of t^j over that on t^0, j = 0 to 8.

    returns: at the start, with all coefficients 0; and late, with all lower orders fitted
    """
    start, late = [], []
    for power in ORDERS:
        zero = [np.zeros_like(target) for target in targets]
        lower = trajectory.fit_many(targets, power - 1)[1] if power else zero
        start.append(_gradient(targets, zero, power))
        late.append(_gradient(targets, lower, power))
    return np.array(start) / start[0], np.array(late) / late[0]


def _gradient(targets: Tubes, predicted: Tubes, power: int) -> float:
    sizes = []
    for target, now in zip(targets, predicted, strict=True):
        weight = trajectory.normalised_time(len(target)) ** power
        sizes.append(np.abs(2 * weight @ (now - target)) / len(target))
    return float(np.mean(sizes))


def _add(results: Results, name: str, value: float, claim: str = "CFAD Fig. 4a", unit: str = "IoU") -> None:
    results.add(name, float(value), unit, "ucf101-24", claim)


def _orders(results: Results, overlap: np.ndarray) -> None:
    for order, value in enumerate(overlap.mean(axis=1)):
        _add(results, f"mean IoU, order {order}, real", value)
    gain = overlap[5] - overlap[4]
    _add(results, "gain of order 5 over 4", gain.mean())
    _add(results, "tubes that lose from 4 to 5", (gain < -1e-9).mean(), unit="share")


def _lengths(results: Results, overlap: np.ndarray, frames: np.ndarray) -> None:
    for low, high in LENGTHS:
        inside = (frames >= low) & (frames < high)
        for order, value in enumerate(overlap[:, inside].mean(axis=1)):
            _add(results, f"length {low}-{high - 1}, order {order}", value)


def _classes(results: Results, overlap: np.ndarray, labels: np.ndarray) -> None:
    means = {name: overlap[:, labels == name].mean(axis=1) for name in ucf101_24.CLASSES}
    for name, values in means.items():
        for order in (2, 5):
            _add(results, f"class {name}, order {order}", values[order])
    least = min(values[5] - values[4] for values in means.values())
    _add(results, "smallest gain of a class from 4 to 5", least)


def _upper_bounds(results: Results, overlap: np.ndarray, labels: np.ndarray) -> None:
    """Recall at .5 and v-MABO of the test tubes were all but the polynomial perfect."""
    groups = [overlap[:, labels == name] for name in ucf101_24.CLASSES]
    recall = np.mean([(group > 0.5).mean(axis=1) for group in groups], axis=0)
    mabo = np.mean([group.mean(axis=1) for group in groups], axis=0)
    for order in ORDERS:
        name = f"oracle recall at 0.5, order {order}"
        _add(results, name, recall[order], "CFAD Table 1, no refine", "share")
        _add(results, f"oracle v-MABO, order {order}", mabo[order])
    error = np.sqrt(0.25 / len(labels))
    _add(results, "standard error of a share of a half", error, "", "share")


def _gradients(results: Results, targets: Tubes) -> None:
    start, late = gradients(targets)
    claim = "CFAD Sec. 4.2, small gradients"
    for power in ORDERS[1:]:
        _add(results, f"gradient on t^{power}, start", start[power], claim, "")
        _add(results, f"gradient on t^{power}, late, log10", np.log10(late[power]), claim, "")


def _trials(results: Results, order: int, anchors: np.ndarray, targets: Tubes, tubes: Tubes) -> None:
    """Fitted offsets, after gradient descent, and with relative errors of the coefficients."""
    best, _ = trajectory.fit_many(targets, order)
    left = {length: _left(length, order) for length in {len(target) for target in targets}}
    after = [theta - left[len(target)] @ theta for theta, target in zip(best, targets, strict=True)]
    noise = np.random.default_rng(0).standard_normal(best.shape)
    trials: dict[str, np.ndarray] = {
        "offsets fitted": best,
        f"after {STEPS:,} steps": np.stack(after),
        "coefficients 0.5 % off": best * (1 + 0.005 * noise),
        "coefficients 1 % off": best * (1 + 0.01 * noise),
    }
    for name, thetas in trials.items():
        pairs = zip(thetas, tubes, strict=True)
        curves = [trajectory.evaluate(one, trajectory.normalised_time(len(tube))) for one, tube in pairs]
        value = decoded_overlap(curves, anchors, tubes)
        _add(results, f"{name}, order {order}", value, "CFAD Table 1, order k")


def _left(length: int, order: int) -> np.ndarray:
    """What descent from 0 with the largest sure step leaves of the best coefficients."""
    powers = trajectory.powers(trajectory.normalised_time(length), order)
    curvature = 2 / length * powers.T @ powers
    step = 1 / np.linalg.eigvalsh(curvature)[-1]
    return np.linalg.matrix_power(np.eye(order + 1) - step * curvature, STEPS)
