"""What the kept runs, counts, timings and tests say of each claim: a verdict, part by part and as a whole.

A claim is reproduced where all its parts are, and not reproduced where one is not. All comparisons of a paper
are one family: ``holm`` is the verdict that each keeps where all of them are tested at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stad_lite.errors import StadError
from stad_lite.reproduce.claims import Claim, Comparison, constant, terms
from stad_lite.reproduce.results import Results
from stad_lite.reproduce.rows import Sweep
from stad_lite.reproduce.statistics import (
    FEWEST,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED,
    Judgement,
    holm,
    judge,
)

NO_RUN, REPORTED = "no run kept", "reported"
"""Beside the verdicts of ``statistics``: nothing is kept yet; the paper gives no figure to compare with."""
COLOURS = {
    REPRODUCED: "#b7e1cd",
    NOT_REPRODUCED: "#f6c1b6",
    UNDECIDED: "#fbe7a2",
    NOT_TESTABLE: "#e3e3e3",
    NO_RUN: "#ffffff",
    REPORTED: "#cfe0f5",
}
"""Verdict -> what stands behind it, light enough for black letters; the word is always there too."""
ALL_VERDICTS = tuple(COLOURS)


@dataclass(frozen=True)
class Part:
    """One comparison, figure, timing or test of a claim.

    what: in words; ``paper``: what the paper prints of it
    ours: mean difference in points, figure, or ratio of timings; none of a test
    low, high: 95 % interval of it; ``seeds``: how many runs each side has
    verdict: one of ``ALL_VERDICTS``; ``told``: with what it lacks
    holm: what the family of the paper's comparisons leaves of the verdict
    smallest: difference that so many seeds find in four of five sweeps (``statistics.smallest_seen``)
    p: of the test that belongs to the interval
    """

    what: str
    verdict: str
    told: str
    paper: str = ""
    ours: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    holm: str = ""
    smallest: float | None = None
    p: float | None = None


def compared(claim: Claim, sweep: Sweep) -> tuple[Part, ...]:
    """Judge the comparisons of an ordering on the kept runs.

    raises: StadError where a variant that was run has no such figure
    """
    return tuple(_compared(claim, one, sweep) for one in claim.comparisons)


def _compared(claim: Claim, one: Comparison, sweep: Sweep) -> Part:
    both = [_side(claim, side, one.figure, sweep) for side in (one.larger, one.smaller)]
    sign = ">" if one.within is None else f"within {one.within:g} of"
    figure = f", {one.figure}" if one.figure else ""
    what = f"{one.larger} {sign} {one.smaller}{figure}"
    lacking = sorted({name for _, missing in both for name in missing})
    first, second = (values for values, _ in both)
    shared = sorted(set(first or second) & set(second or first))
    if lacking or not shared:
        told = f"{NO_RUN} of {', '.join(lacking)}" if lacking else f"{NO_RUN} with the same seeds"
        return Part(what, NO_RUN, told, one.paper, unit="points")
    first, second = (
        values or dict.fromkeys(shared, constant(side) or 0.0)
        for values, side in ((first, one.larger), (second, one.smaller))
    )
    found = judge(first, second) if one.within is None else alike(first, second, one.within)
    return Part(
        what,
        found.verdict,
        found.told,
        one.paper,
        found.mean,
        "points",
        _finite(found.low),
        _finite(found.high),
        found.seeds,
        smallest=_finite(found.smallest),
        p=found.p,
    )


def _side(claim: Claim, side: str, figure: str, sweep: Sweep) -> tuple[dict[int, float], list[str]]:
    """A side's values by seed (none of a number), and the variants that were not run."""
    values: list[dict[int, float]] = []
    missing = []
    for variant, name in terms(side, figure):
        rows = [row for row in sweep.rows if row.variant == variant]
        if not rows:
            missing.append(variant)
            continue
        try:
            values.append(sweep.values(variant, _there(name, sweep.profile, rows[0].figures)))
        except StadError as error:
            raise StadError(f"claim {claim.id}: {error.problem}", remedy=error.remedy) from None
    if missing or not values:
        return {}, missing
    seeds = set.intersection(*(set(one) for one in values))
    first, *rest = values
    return {seed: first[seed] - sum(one[seed] for one in rest) for seed in seeds}, []


def _there(figure: str, profile: str, figures: Mapping[str, float]) -> str:
    """The figure, or at smoke, which has fewer stages, that of its last one.

    >>> _there("stage4", "smoke", {"stage0": 1.0, "stage2": 2.0, "other9": 3.0})
    'stage2'
    """
    if profile != "smoke" or figure in figures:
        return figure
    stem = figure.rstrip("0123456789")
    last = max((int(name.removeprefix(stem)) for name in figures
                if name.startswith(stem) and name.removeprefix(stem).isdigit()), default=None)  # fmt: skip
    return figure if last is None else f"{stem}{last}"


def alike(first: Mapping[int, float], second: Mapping[int, float], within: float) -> Judgement:
    """Judge the claim that two figures lie within so many points of each other, seed by seed.

    returns: ``reproduced`` where the whole interval of the difference does, ``not reproduced`` where none
        of it does; p of the two one-sided questions together

    >>> print(alike(dict(enumerate([5.0, 5.1, 5.0, 4.9, 5.1])), dict.fromkeys(range(5), 5.0), 1))
    +0.0 [-0.1, +0.1] over 5 seeds: reproduced
    """
    found = judge(first, second)
    above = judge({seed: value + within for seed, value in first.items()}, second)
    below = judge(second, {seed: value - within for seed, value in first.items()})
    inside = abs(found.mean) <= within
    p = max(above.p, below.p) if inside else (below.p if found.mean > within else above.p)
    verdict = UNDECIDED
    if found.seeds >= FEWEST:
        if -within < found.low and found.high < within:
            verdict = REPRODUCED
        elif found.low > within or found.high < -within:
            verdict = NOT_REPRODUCED
    return replace(found, verdict=verdict, p=p)


def counted_parts(claim: Claim, results: Results) -> tuple[Part, ...]:
    """Hold the figures of an exact claim against its bounds. raises: StadError for a bound of no figure"""
    figures = [figure for figure in results.figures if figure.claim == claim.id]
    bounds = {bound.figure: bound for bound in claim.bounds}
    if figures and (unknown := bounds.keys() - {figure.name for figure in figures}):
        remedy = f"choose from {', '.join(figure.name for figure in figures)}"
        raise StadError(f"claim {claim.id} has no figure {sorted(unknown)[0]!r}", remedy=remedy)
    parts = []
    for figure in figures:
        bound, value = bounds.get(figure.name), float(figure.value)
        if bound is None:
            parts.append(Part(figure.name, REPORTED, REPORTED, "", value, figure.unit))
            continue
        low, high = bound.at_least, bound.at_most
        kept = (low is None or value >= low) and (high is None or value <= high)
        verdict = REPRODUCED if kept else NOT_REPRODUCED
        said = (
            f"at {word} {limit:g}" for word, limit in (("least", low), ("most", high)) if limit is not None
        )
        parts.append(Part(figure.name, verdict, verdict, ", ".join(said), value, figure.unit))
    return tuple(parts)


def timed_parts(claim: Claim, document: Mapping[str, Any]) -> tuple[Part, ...]:
    """Take the ratios of a claim's timings out of a benchmark's figures, of one run each.

    raises: StadError for a path that is not there
    """
    return tuple(_timed(claim, one, document) for one in claim.timings)


def _timed(claim: Claim, one: Comparison, document: Mapping[str, Any]) -> Part:
    first, second = (_at(claim, path, document) for path in (one.larger, one.smaller))
    if one.within is not None:
        verdict = REPRODUCED if abs(first - second) <= one.within else NOT_REPRODUCED
        what = f"{', '.join(one.larger.split('/')[-2:])}, within {one.within:g} of {one.smaller}"
        return Part(what, verdict, verdict, one.paper, first, "", seeds=1)
    verdict = REPRODUCED if first > second else NOT_REPRODUCED
    return Part(_ratio(one), verdict, verdict, one.paper, first / second, "times", seeds=1)


def _ratio(one: Comparison) -> str:
    """A ratio's name: where its two paths part, between what they share.

    >>> _ratio(Comparison("CPU/figures/slow/ms", "CPU/figures/fast/ms"))
    'CPU: slow over fast, ms'
    """
    larger, smaller = one.larger.split("/"), one.smaller.split("/")
    before = next((at for at, (a, b) in enumerate(zip(larger, smaller, strict=False)) if a != b), 0)
    after = next(
        (at for at, (a, b) in enumerate(zip(larger[::-1], smaller[::-1], strict=False)) if a != b), 0
    )
    first, second = (", ".join(path[before : len(path) - after]) for path in (larger, smaller))
    shared = [name for name in larger[:before] if name != "figures"]
    head = f"{shared[-1]}: " if shared else ""
    return ", ".join([f"{head}{first} over {second}", *larger[len(larger) - after :]])


def _at(claim: Claim, path: str, document: Mapping[str, Any]) -> float:
    number = constant(path)
    if number is not None:
        return number
    here: Any = document
    left = path
    while left:  # names may hold slashes themselves: the longest that fits
        fits = [name for name in here if left == name or left.startswith(f"{name}/")] if here else []
        if not fits:
            remedy = f"run: {claim.command}"
            raise StadError(f"claim {claim.id}: {claim.results} has no {path!r}", remedy=remedy)
        name = max(fits, key=len)
        here, left = here[name], left[len(name) + 1 :]
    return float(here)


def property_parts(claim: Claim, outcomes: Mapping[str, str]) -> tuple[Part, ...]:
    """Take over how the tests of a property came out.

    outcomes: test -> passed, failed or skipped; those that are not in it were not run
    """
    verdicts = {"passed": REPRODUCED, "failed": NOT_REPRODUCED, "skipped": REPORTED}
    found = []
    for test in claim.tests:
        outcome = outcomes.get(test, "")
        verdict = verdicts.get(outcome, NO_RUN)
        told = "skipped: its data is not here" if outcome == "skipped" else verdict
        found.append(Part(test, verdict, told))
    return tuple(found)


def whole(claim: Claim, parts: Sequence[Part], name: str = "verdict") -> tuple[str, str]:
    """Return the verdict on a claim by those on its parts, and the same with what it lacks.

    name: ``verdict`` or ``holm``
    """
    if claim.untestable:
        return NOT_TESTABLE, NOT_TESTABLE
    judged = [one for one in parts if one.verdict != REPORTED]
    if not judged:
        return (REPORTED, REPORTED) if parts else (NO_RUN, NO_RUN)
    verdicts = [getattr(one, name) or one.verdict for one in judged]
    if NOT_REPRODUCED in verdicts:
        return NOT_REPRODUCED, f"{NOT_REPRODUCED}{_share(verdicts)}"
    unrun = verdicts.count(NO_RUN)
    if unrun == len(verdicts):
        return NO_RUN, NO_RUN
    few = [one.seeds for one in judged if one.verdict == UNDECIDED and one.seeds < FEWEST]
    if few:
        return UNDECIDED, f"{UNDECIDED} ({min(few)} of {FEWEST} seeds)"
    if unrun:
        return UNDECIDED, f"{UNDECIDED} ({unrun} of {len(verdicts)} not run)"
    if UNDECIDED in verdicts:
        return UNDECIDED, f"{UNDECIDED}{_share(verdicts)}"
    return REPRODUCED, REPRODUCED


def _share(verdicts: Sequence[str]) -> str:
    """How many parts are reproduced, where some are."""
    held = verdicts.count(REPRODUCED)
    return f" ({held} of {len(verdicts)} parts reproduced)" if held else ""


def with_holm(families: Mapping[str, Iterable[tuple[Part, ...]]]) -> dict[str, list[tuple[Part, ...]]]:
    """Return the parts of each family with Holm's verdicts, in their order.

    families: paper -> the parts of each of its claims; only what was judged over seeds takes part
    """
    found: dict[str, list[tuple[Part, ...]]] = {}
    for paper, groups in families.items():
        held = [list(parts) for parts in groups]
        places = [
            (at, place)
            for at, parts in enumerate(held)
            for place, part in enumerate(parts)
            if part.p is not None
        ]
        kept = holm([_judgement(held[at][place]) for at, place in places])
        for (at, place), verdict in zip(places, kept, strict=True):
            held[at][place] = replace(held[at][place], holm=verdict)
        found[paper] = [tuple(parts) for parts in held]
    return found


def _judgement(part: Part) -> Judgement:
    return Judgement(part.ours or 0.0, 0.0, 0.0, part.seeds, part.verdict, 1.0 if part.p is None else part.p)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
