"""How sparse the labels of key timestamps are on the tubes of UCF101-24: the chapter *Key timestamps*."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from stad_lite.cfad import keyframes
from stad_lite.cfad.labeller import KeyLabels, label_tubes
from stad_lite.data.location import missing_message
from stad_lite.reproduce.published_files import ucf_tubes
from stad_lite.reproduce.results import Results

STAMPS, EPSILON = 16, 0.8
"""N and epsilon of CFAD on UCF101-24."""
KINDS = ("spline", "linear")
Tubes = Sequence[np.ndarray]


def measure(results: Results) -> list[str]:
    """Add how many keys all tubes need, and how close keys of three schemes come; return what is missing."""
    tubes = real_tubes()
    if not tubes:
        return [missing_message("ucf101-24")]
    labels = {kind: label_tubes(tubes, STAMPS, EPSILON, kind) for kind in KINDS}
    for kind, found in labels.items():
        named = {**sparseness(found, EPSILON), "mean IoU reached": float(found.overlap.mean())}
        for name, value in named.items():
            _add(results, f"{name}, {kind}".replace("epsilon", ".8"), value)
    lengths = np.array([len(tube) for tube in tubes])
    quarters = np.searchsorted(np.quantile(lengths, [0.25, 0.5, 0.75]), lengths, side="right")
    for quarter in range(4):
        never = labels["spline"].overlap[quarters == quarter] <= EPSILON
        _add(results, f"share never reaching .8, length quarter {quarter + 1}", never.mean())
    still = np.concatenate([(np.diff(tube, axis=0) == 0).all(1) for tube in tubes])
    _add(results, "share of steps in which the box stands still", still.mean())
    budgets = (3, 4, 8)
    for name, values in by_scheme(tubes[::3], STAMPS, budgets, "spline").items():
        for budget, value in zip(budgets, values, strict=True):
            _add(results, f"mean IoU, {name}, {budget} keys", value, "IoU", "CFAD Fig. 4b")
    return []


def real_tubes() -> list[np.ndarray]:
    """Return the boxes of all tubes, [] where they are not here."""
    return [tube.boxes for tube in ucf_tubes.every()]


def sparseness(labels: KeyLabels, epsilon: float) -> dict[str, float]:
    """Return mean keys a tube, the share of labels 1, and that of tubes which all stamps leave short."""
    return {
        "keys a tube": float(labels.counts.mean()),
        "share of labels 1": float(labels.counts.sum() / labels.stamps.sum()),
        "share never reaching epsilon": float((labels.overlap <= epsilon).mean()),
    }


def by_scheme(
    tubes: Tubes, count: int, budgets: Iterable[int], kind: str, seed: int = 0
) -> dict[str, list[float]]:
    """Return how close tubes come that are rebuilt from so many keys (the labels behind CFAD Fig. 4b).

    count: N stamps
    budgets: numbers of keys
    kind: of interpolation
    seed: of the random keys
    returns: greedy, uniform, random -> mean overlap for each budget
    """
    generator = np.random.default_rng(seed)
    never = 2.0  # an overlap that is not reached: all stamps are taken, in order
    order = label_tubes(tubes, count, never, kind).keys
    rows: dict[str, list[float]] = {"greedy": [], "uniform": [], "random": []}
    for budget in budgets:
        picks = {
            "greedy": [np.sort(keys[:budget]) for keys in order],
            "uniform": [keyframes.uniform_keys(len(tube), count, budget) for tube in tubes],
            "random": [keyframes.random_keys(len(tube), count, budget, generator) for tube in tubes],
        }
        for name, keys in picks.items():
            pairs = zip(tubes, keys, strict=True)
            rows[name].append(float(np.mean([keyframes.overlap(tube, some, kind) for tube, some in pairs])))
    return rows


def _add(results: Results, name: str, value: float, unit: str = "", claim: str = "CFAD Eq. 5") -> None:
    results.add(f"real tubes: {name}", value, unit, "ucf101-24", claim, "make results")
