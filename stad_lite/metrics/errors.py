"""What a mAP hides: the kinds of error, and what fixing each of them would gain.

The four kinds of a proposal are CFAD's (section 4.2): true positive, wrong class, bad localisation,
duplicate. What fits none of them is background; what no proposal came near is missed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.inputs import Task
from stad_lite.metrics.overlap import all_pairs
from stad_lite.metrics.precision import Candidates, assign
from stad_lite.metrics.scored import Scored, class_curves, class_precisions, mean_over_classes

TYPES = ("true_positive", "wrong_class", "bad_localization", "duplicate", "background", "missed")
"""Kinds of error; the first five are of predictions, the last is of truths."""

NEAR = 0.1
"""Overlap from which a proposal of the right class is badly localised rather than background."""


@dataclass(frozen=True)
class Errors:
    """Every prediction's kind and every truth's fate, at one threshold.

    kind: (n,) index into ``TYPES``
    target: (n,) the truth that a prediction of wrong class or place was after, -1 for the others
    missed: (m,) truths that nothing found and nothing was after
    label, score, video: (n,) of the predictions
    truth_label, truth_video: (m,)
    """

    kind: np.ndarray
    target: np.ndarray
    missed: np.ndarray
    found: np.ndarray
    label: np.ndarray
    score: np.ndarray
    video: np.ndarray
    truth_label: np.ndarray
    truth_video: np.ndarray

    def counts(self) -> dict[str, int]:
        """Return the number of each type."""
        count = np.bincount(self.kind, minlength=len(TYPES))
        count[TYPES.index("missed")] = self.missed.sum()
        return {name: int(n) for name, n in zip(TYPES, count, strict=True)}


def find_errors(
    scored: Task, kind: str, threshold: float, rules: Rules, source: str = "auto", near: float = NEAR
) -> Errors:
    """Return the kind of each prediction, in this order of precedence.

    true_positive: takes a truth of its class, best scores first; duplicate: reaches the threshold on
    a truth of its class that is taken; wrong_class: reaches it on a truth of another class;
    bad_localization: overlaps a truth of its class by at least ``near``; background: the rest.

    kind: ``tubes``, ``frames`` or ``segments``
    near: 0 counts every other proposal whose class occurs in the video as badly localised, as
        CFAD's own four types do
    """
    truth, ours, pairs, ranked = all_pairs(scored, kind, rules, source)
    own = ours.label[ranked[pairs.detection]] == truth.label[pairs.truth]
    right, wrong = _part(pairs, own), _part(pairs, ~own)
    reaching = right.reaching(threshold, rules.strict)
    matched, taken = assign(reaching, len(truth), rules.match == "best_of_all")
    code = np.full(len(ours), TYPES.index("background"))
    target = np.full(len(ours), -1)
    for name, candidates in (
        ("bad_localization", right.reaching(near, strict=False)),
        ("wrong_class", wrong.reaching(threshold, rules.strict)),
        ("duplicate", reaching),
    ):
        who, first = np.unique(candidates.detection, return_index=True)
        code[ranked[who]] = TYPES.index(name)
        target[ranked[who]] = candidates.truth[first] if name != "duplicate" else -1
    code[ranked[matched]] = TYPES.index("true_positive")
    target[ranked[matched]] = -1
    found = np.zeros(len(truth), dtype=bool)
    found[taken] = True
    missed = ~found
    missed[target[target >= 0]] = False
    return Errors(code, target, missed, found, ours.label, ours.score, ours.video, truth.label, truth.video)


def _part(pairs: Candidates, chosen: np.ndarray) -> Candidates:
    return replace(
        pairs, detection=pairs.detection[chosen], truth=pairs.truth[chosen], overlap=pairs.overlap[chosen]
    )


def gains(errors: Errors, num_classes: int, rules: Rules) -> tuple[np.ndarray, dict[str, float]]:
    """Return the average precision of each class, 0..100, and the points of mAP each fix would gain.

    Duplicates and background are fixed by dropping them; a wrong class or place by putting the
    best-scored prediction that was after a truth still free on it, and dropping the rest; what was
    missed by no longer asking for it.
    returns: (classes,) NaN where a class is left out of the mean; {type: points}
    """
    before = _precisions(errors, errors.kind == 0, num_classes, rules)
    base = mean_over_classes(before)
    gain = {}
    for name in TYPES[1:]:
        after = mean_over_classes(_precisions(*_fixed(errors, name), num_classes, rules))
        gain[name] = after - base
    return before, gain


def _fixed(errors: Errors, name: str) -> tuple[Errors, np.ndarray]:
    """Return the predictions and truths after one kind of error is fixed, and which are true."""
    true = errors.kind == 0
    if name == "missed":
        asked = ~errors.missed
        fixed = replace(errors, truth_label=errors.truth_label[asked], truth_video=errors.truth_video[asked])
        return fixed, true
    bad = np.flatnonzero(errors.kind == TYPES.index(name))
    label = errors.label.copy()
    kept = np.ones(len(label), dtype=bool)
    kept[bad] = False
    if name in ("wrong_class", "bad_localization"):
        free = bad[~errors.found[errors.target[bad]]]
        free = free[np.argsort(-errors.score[free], kind="stable")]
        best = free[np.unique(errors.target[free], return_index=True)[1]]
        kept[best] = true[best] = True
        label[best] = errors.truth_label[errors.target[best]]
    columns = {"label": label[kept], "score": errors.score[kept], "video": errors.video[kept]}
    return replace(errors, **columns), true[kept]


def _precisions(errors: Errors, true: np.ndarray, num_classes: int, rules: Rules) -> np.ndarray:
    matched = Scored(
        errors.video, errors.label, errors.score, true[None], errors.truth_video, errors.truth_label
    )
    return 100 * class_precisions(class_curves(matched, num_classes, rules)[0], rules)
