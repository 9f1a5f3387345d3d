"""The arithmetic audit: what the papers print is recomputed from what they print beside it.

A printed figure stands for the range of half its last digit to either side; a recomputed one for the range
that those of its operands leave. A check is

- *consistent* where the two ranges meet;
- *inconsistent in print* where they do not: which number is wrong cannot be told from the paper;
- *not recomputable* where an operand is not printed or cannot be read.

Two prints of one figure must share more than the edge of their ranges (66.6 and 66.7 do not). An average over
thresholds of which some are printed is bounded by these, since a stricter threshold scores no higher; within
the bounds it stays *not recomputable*. Nothing here knows an outcome: all of it is in ``claims/tables/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Literal, NamedTuple

from stad_lite.reproduce.printed import DASH, Figure, Paper, Printed, Relation

Status = Literal["consistent", "inconsistent in print", "not recomputable"]
STATUSES: tuple[Status, ...] = ("consistent", "inconsistent in print", "not recomputable")
CONSISTENT, INCONSISTENT, OPEN = STATUSES


class Range(NamedTuple):
    """All numbers from low to high."""

    low: Fraction
    high: Fraction

    def meets(self, other: Range) -> bool:
        """Whether the two share a number."""
        return self.low <= other.high and other.low <= self.high

    def overlaps(self, other: Range) -> bool:
        """Whether the two share more than an edge, or are the same."""
        return self == other or (self.low < other.high and other.low < self.high)

    def __str__(self) -> str:
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return f"{_short(middle)} ± {_short(half)}" if half else _short(middle)


@dataclass(frozen=True)
class Check:
    """One thing recomputed.

    paper: whose print is asked ("several" where papers are compared)
    kind: of the relation, "reprint" for one figure in several places, "alone" for one that nothing gives
    printed, recomputed: as text
    figures: the places used, each with its print
    note: in words, where that is needed
    """

    paper: str
    name: str
    kind: str
    status: Status
    printed: str
    recomputed: str
    figures: tuple[str, ...]
    note: str = ""


def audit(printed: Printed) -> list[Check]:
    """Return all checks: the papers' relations, reprints of one figure, and figures that nothing gives.

    printed: of ``read_printed``
    """
    found = []
    for paper in printed.papers.values():
        for relation in paper.relations:
            found += list(_check(printed, paper, relation))
        found += [_alone(figure) for figure in paper.figures.values() if _is_alone(figure)]
    return found + list(reprints(printed))


def counts(checks: Sequence[Check]) -> dict[Status, int]:
    """Return how many checks have each status."""
    found = Counter(check.status for check in checks)
    return {status: found[status] for status in STATUSES}


def reprints(printed: Printed) -> Iterator[Check]:
    """Yield a check for each figure of one method and protocol that stands in several places."""
    groups: dict[tuple[str, ...], list[Figure]] = {}
    for figure in printed.figures:
        if figure.method and figure.readable:
            key = (figure.method, figure.metric, figure.threshold, figure.data, figure.unit)
            groups.setdefault(key, []).append(figure)
    for (method, metric, threshold, data, _), figures in groups.items():
        if len(figures) > 1:
            at = f" at {threshold}" if threshold else ""
            papers = {figure.paper for figure in figures}
            paper = papers.pop() if len(papers) == 1 else "several"
            note = "a speed hangs on the machine; it is printed as the method's" if metric == "speed" else ""
            yield _same(paper, f"{method}: {metric}{at} on {data}", "reprint", figures, note)


def _check(printed: Printed, paper: Paper, relation: Relation) -> Iterator[Check]:
    if relation.kind in _ROWS:
        yield from _rows(paper, relation)
    elif relation.kind in _COLUMNS:
        yield _column(printed, paper, relation)
    elif relation.kind in ("same", "distinct"):
        figures = [printed.figure(place, paper.name) for place in relation.of]
        if relation.kind == "same":
            yield _same(paper.name, relation.name, "same", figures)
        else:
            yield _distinct(paper.name, relation.name, figures)
    else:
        yield _computed(printed, paper, relation)


# One figure computed from others -------------------------------------------------------------------------


def _computed(printed: Printed, paper: Paper, relation: Relation) -> Check:
    of = [printed.figure(place, paper.name) for place in relation.of]
    rivals = [printed.figure(place, paper.name) for place in relation.rivals]
    pairs = [printed.figure(place, paper.name) for pair in relation.pairs for place in pair]
    goal = [printed.figure(relation.printed, paper.name)] if relation.printed else []
    used = [*of, *rivals, *pairs]
    if missing := [figure for figure in [*used, *goal] if not figure.readable]:
        return _missing(paper.name, relation, [*used, *goal], missing)
    fits, value = _RULES[relation.kind]([*of, *pairs], rivals, _range(goal[0]) if goal else None)
    said = goal[0].printed if goal else relation.kind
    return _result(paper.name, relation, fits, said, value, used)


Answer = tuple[bool, str]
"""Whether it fits, and what was found."""
Rule = Callable[[Sequence[Figure], Sequence[Figure], "Range | None"], Answer]


def _met(value: Range, goal: Range | None) -> Answer:
    return goal is not None and value.meets(goal), str(value)


def _difference(of: Sequence[Figure], _: Sequence[Figure], goal: Range | None) -> Answer:
    return _met(_minus(*of), goal)


def _ratio(of: Sequence[Figure], _: Sequence[Figure], goal: Range | None) -> Answer:
    above, below = map(_range, of)
    return _met(Range(above.low / below.high, above.high / below.low), goal)


def _sum(of: Sequence[Figure], _: Sequence[Figure], goal: Range | None) -> Answer:
    parts = [_range(figure) for figure in of]
    return _met(
        Range(sum((p.low for p in parts), Fraction(0)), sum((p.high for p in parts), Fraction(0))), goal
    )


def _product(of: Sequence[Figure], _: Sequence[Figure], goal: Range | None) -> Answer:
    low = high = Fraction(1)
    for part in map(_range, of):
        low, high = low * part.low, high * part.high
    return _met(Range(low, high), goal)


def _largest(of: Sequence[Figure], _: Sequence[Figure], goal: Range | None) -> Answer:
    differences = [_minus(a, b) for a, b in zip(of[::2], of[1::2], strict=True)]
    return _met(max(differences), goal)


def _lead(of: Sequence[Figure], rivals: Sequence[Figure], goal: Range | None) -> Answer:
    fits, _ = _met(least := min(_minus(of[0], rival) for rival in rivals), goal)
    return fits, _over(least, of[0], rivals)


def _at_least(of: Sequence[Figure], rivals: Sequence[Figure], goal: Range | None) -> Answer:
    least = min(_minus(of[0], rival) for rival in rivals)
    return goal is not None and least.high >= goal.low, _over(least, of[0], rivals)


def _over(least: Range, own: Figure, rivals: Sequence[Figure]) -> str:
    nearest = next(rival for rival in rivals if _minus(own, rival) == least)
    return f"{least} over {nearest.place.split(' / ')[1]}"


def _beaten(of: Sequence[Figure], rivals: Sequence[Figure], goal: Range | None) -> Answer:
    count = Fraction(sum(rival.value < of[0].value for rival in rivals))
    return _met(Range(count, count), goal)


def _above(of: Sequence[Figure], rivals: Sequence[Figure], _: Range | None) -> Answer:
    best = max(rivals, key=lambda rival: rival.value)
    return of[0].value > best.value, f"{of[0].printed} against {best.printed}"


def _lowest(of: Sequence[Figure], rivals: Sequence[Figure], _: Range | None) -> Answer:
    least = min(rivals, key=lambda rival: rival.value)
    return of[0].value <= least.value, f"{of[0].printed} against {least.printed}"


_RULES: dict[str, Rule] = {
    "difference": _difference,
    "ratio": _ratio,
    "sum": _sum,
    "product": _product,
    "largest": _largest,
    "lead": _lead,
    "at least": _at_least,
    "beaten": _beaten,
    "above": _above,
    "lowest": _lowest,
}


# A row of a table against itself -------------------------------------------------------------------------


def _rows(paper: Paper, relation: Relation) -> Iterator[Check]:
    table = paper.table(relation.table)
    thresholds = [column.threshold for column in table.columns if column.name in relation.columns]
    for row in table.rows:
        figures = [paper.cell(table.table, row.name, column) for column in relation.columns]
        goal = paper.cell(table.table, row.name, relation.printed)
        if goal.printed == DASH:
            continue
        name = f"Table {table.table}, {row.name}: {relation.name}"
        if relation.kind == "average":
            yield _bounded(paper.name, name, figures, thresholds, goal)
        elif missing := [figure for figure in [*figures, goal] if not figure.readable]:
            yield _missing(paper.name, relation, [*figures, goal], missing, name)
        else:
            parts = [_range(figure) for figure in figures]
            mean = Range(*(sum(ends) / len(parts) for ends in zip(*parts, strict=True)))
            yield _result(
                paper.name, relation, mean.meets(_range(goal)), goal.printed, str(mean), figures, name
            )


def _bounded(
    paper: str, name: str, figures: Sequence[Figure], thresholds: Sequence[str], goal: Figure
) -> Check:
    """Bound the average over the thresholds of ``goal`` by the figures at some of them."""
    pairs = zip(thresholds, figures, strict=True)
    known = {Fraction(at): _range(figure) for at, figure in pairs if figure.readable}
    first, last = map(Fraction, goal.threshold.split(":"))
    steps = [first + Fraction(i, 20) for i in range(int((last - first) * 20) + 1)]
    low = sum(max((r.low for at, r in known.items() if at >= step), default=Fraction(0)) for step in steps)
    high = sum(
        min((r.high for at, r in known.items() if at <= step), default=Fraction(100)) for step in steps
    )
    bounds = Range(Fraction(low) / len(steps), Fraction(high) / len(steps))
    fits = bounds.meets(_range(goal))
    shown = f"{_short(bounds.low, 1)} to {_short(bounds.high, 1)}"
    note = f"{len(known)} of {len(steps)} thresholds are printed; within what they allow" if fits else ""
    status = OPEN if fits else INCONSISTENT
    return Check(paper, name, "average", status, goal.printed, shown, _shown([*figures, goal]), note)


# A column of a table -------------------------------------------------------------------------------------


def _column(printed: Printed, paper: Paper, relation: Relation) -> Check:
    table = paper.table(relation.table)
    cells = {
        row.name: [paper.cell(table.table, row.name, column) for column in relation.columns]
        for row in table.rows
    }
    whole = {name: row for name, row in cells.items() if all(figure.readable for figure in row)}
    unread = [f for row in cells.values() for f in row if not f.readable and f.printed != DASH]
    used = [figure for row in whole.values() for figure in row]
    if relation.row not in whole or unread:
        return _missing(paper.name, relation, used, unread or cells[relation.row])
    own, others = whole.pop(relation.row), list(whole.values())
    goal = printed.figure(relation.printed, paper.name) if relation.printed else None
    fits, value = _COLUMNS[relation.kind](own, others, goal)
    return _result(paper.name, relation, fits, goal.printed if goal else relation.kind, value, used)


def _highest(own: Sequence[Figure], others: Sequence[Sequence[Figure]], _: Figure | None) -> Answer:
    best = max((row[0] for row in others), key=lambda figure: figure.value)
    return own[0].value >= best.value, f"{own[0].printed} against {best.printed}"


def _falls_least(own: Sequence[Figure], others: Sequence[Sequence[Figure]], _: Figure | None) -> Answer:
    least = min(others, key=lambda row: row[0].value - row[1].value)
    mine, rival = _minus(*own), _minus(*least)
    return mine.low <= rival.high, f"{mine} against {rival} of {least[0].place.split(' / ')[1]}"


def _some_difference(
    own: Sequence[Figure], others: Sequence[Sequence[Figure]], goal: Figure | None
) -> Answer:
    if goal is None:
        return False, ""
    value = goal.value
    nearest = min(others, key=lambda row: abs(own[0].value - row[0].value - value))[0]
    found = _minus(own[0], nearest)
    return found.meets(_range(goal)), f"nearest {found}, {nearest.place.split(' / ')[1]}"


_ROWS = {"mean", "average"}
_COLUMNS = {"highest": _highest, "falls least": _falls_least, "some difference": _some_difference}


# One figure in several places, one figure for two, one that nothing gives ---------------------------------


def _same(paper: str, name: str, kind: str, figures: Sequence[Figure], note: str = "") -> Check:
    if missing := [figure for figure in figures if not figure.readable]:
        note = ", ".join(figure.place for figure in missing) + " is not printed or cannot be read"
        return Check(paper, name, kind, OPEN, "", "", _shown(figures), note)
    fits = all(_range(a).overlaps(_range(b)) for a, b in combinations(figures, 2))
    prints = " and ".join(dict.fromkeys(figure.printed for figure in figures))
    return Check(
        paper,
        name,
        kind,
        CONSISTENT if fits else INCONSISTENT,
        prints,
        "",
        _shown(figures),
        "" if fits else note,
    )


def _distinct(paper: str, name: str, figures: Sequence[Figure]) -> Check:
    first, second = figures
    fits = first.printed != second.printed
    prints = " and ".join(dict.fromkeys([first.printed, second.printed]))
    note = "" if fits else "one figure for two settings: a coincidence or a slip"
    status = CONSISTENT if fits else INCONSISTENT
    return Check(paper, name, "distinct", status, prints, "", _shown(figures), note)


def _is_alone(figure: Figure) -> bool:
    return figure.place.startswith("text / ") and bool(figure.note)


def _alone(figure: Figure) -> Check:
    name = figure.place.removeprefix("text / ")
    return Check(figure.paper, name, "alone", OPEN, figure.printed, "", _shown([figure]), figure.note)


# ---------------------------------------------------------------------------------------------------------


def _result(
    paper: str, relation: Relation, fits: bool, said: str, value: str, used: Sequence[Figure], name: str = ""
) -> Check:
    status = CONSISTENT if fits else INCONSISTENT
    return Check(paper, name or relation.name, relation.kind, status, said, value, _shown(used))


def _missing(
    paper: str, relation: Relation, used: Sequence[Figure], missing: Sequence[Figure], name: str = ""
) -> Check:
    note = f"not printed, or cannot be read: {', '.join(figure.place for figure in missing)}"
    return Check(paper, name or relation.name, relation.kind, OPEN, "", "", _shown(used), note)


def _range(figure: Figure) -> Range:
    return Range(figure.value - figure.half, figure.value + figure.half)


def _minus(first: Figure, second: Figure) -> Range:
    a, b = _range(first), _range(second)
    return Range(a.low - b.high, a.high - b.low)


def _shown(figures: Sequence[Figure]) -> tuple[str, ...]:
    return tuple(f"{figure.address}: {figure.printed}" for figure in figures)


def _short(value: Fraction, digits: int = 3) -> str:
    text = f"{float(value):.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
