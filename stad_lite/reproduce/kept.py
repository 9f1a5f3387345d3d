"""The kept runs of an experiment as a chapter shows them: tables of means and of verdicts, and pictures.

Runs of fewer seeds than a chapter asks for are left out; the line that makes them stands below the table.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from stad_lite.errors import StadError
from stad_lite.plots import style
from stad_lite.plots.lines import bars
from stad_lite.plots.streams import differences
from stad_lite.reproduce.grid import Grid, cell, grid, page
from stad_lite.reproduce.results import Results
from stad_lite.reproduce.rows import SWEEPS, command, read_sweep
from stad_lite.reproduce.statistics import FEWEST, LEVEL, Judgement, holm, interval, judge
from stad_lite.reproduce.verdicts import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BySeed = Mapping[int, float]
"""A figure by seed."""
Side = tuple[str, str] | BySeed
"""One side of an ordering: a variant and a figure of it, or what was reckoned by seed."""
Told = str | tuple[str, float | Sequence[float | None] | None]
"""A row's name, and the paper's figure, or one for each column, where it prints any."""


class Kept:
    """The kept runs of one experiment.

    results: of the chapter, that verdicts are added to
    least: seeds under which a variant is left out
    """

    def __init__(
        self,
        experiment: str,
        results: Results | None = None,
        least: int = 3,
        profile: str = "lesson",
        folder: str | PathLike[str] = SWEEPS,
    ) -> None:
        self.sweep = read_sweep(experiment, profile, folder)
        self.results, self.least = results, least

    def values(self, variant: str, figure: str) -> dict[int, float]:
        """Return a figure of a variant by seed, {} where it was run with too few."""
        return self.sweep.ran(variant, figure, self.least)

    def gain(self, first: Side, second: Side) -> dict[int, float]:
        """Return how far the first lies above the second, by seed; {} where one was not run."""
        one, other = self._side(first), self._side(second)
        return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}

    def table(self, rows: Mapping[str, Told], figures: Mapping[str, str], digits: int = 1) -> Means:
        """Return figures of variants: mean, half of its 95 % interval, and the paper's figure beside.

        rows: variant -> name, or name and the paper's figure
        figures: figure -> title of its column
        """
        found = {variant: {f: self.values(variant, f) for f in figures} for variant in rows}
        named = {variant: told if isinstance(told, tuple) else (told, None) for variant, told in rows.items()}
        kept = {named[variant]: tuple(row.values()) for variant, row in found.items() if any(row.values())}
        absent = [variant for variant, row in found.items() if not any(row.values())]
        return Means(tuple(figures.values()), kept, digits, self._below([*rows], absent))

    def readings(self, variant: str, settings: Mapping[str, str], figures: Mapping[str, str]) -> Means:
        """Return figures of one variant by settings of inference, as means in a table.

        settings: title of a column -> what stands before its figures' names
        figures: figure -> name of its row
        """
        rows = {
            (name, None): tuple(self.values(variant, before + figure) for before in settings.values())
            for figure, name in figures.items()
        }
        return Means(tuple(settings), {row: found for row, found in rows.items() if any(found)})

    def judge(self, *claims: tuple[Any, ...]) -> Verdicts:
        """Judge orderings over seeds, and add the verdicts to the chapter's results.

        claims: (text, first, second, where in the paper[, the paper's difference]); the claim is that the
            first side is larger. Those with a side that was not run are left out.
        """
        found, absent = [], []
        for text, first, second, where, *paper in claims:
            more, less = self._side(first), self._side(second)
            if not more.keys() & less.keys():
                absent += [one[0] for one in (first, second) if isinstance(one, tuple)]
                continue
            verdict = judge(more, less)
            found.append(Verdict(text, verdict, where, paper[0] if paper else None))
            if self.results is not None:
                self.results.add(text, str(verdict), claim=where)
        asked = [one[0] for claim in claims for one in claim[1:3] if isinstance(one, tuple)]
        return Verdicts(tuple(found), self._below(asked, [one for one in absent if not self._ran(one)]))

    def _side(self, side: Side) -> BySeed:
        return self.values(*side) if isinstance(side, tuple) else side

    def _ran(self, variant: str) -> bool:
        return sum(row.variant == variant for row in self.sweep.rows) >= self.least

    def _below(self, asked: Sequence[str], absent: Sequence[str]) -> str:
        """What seeds share, and what was left out."""
        name, profile = self.sweep.experiment, self.sweep.profile
        shared = f"95 % intervals over seeds, which share: {self.sweep.shared(*asked)}"
        few = [*dict.fromkeys(absent)]
        return f"{shared}; left out: {command(name, profile, few)}" if few else shared


@dataclass(frozen=True)
class Means:
    """Means over seeds; text in a terminal, HTML in a notebook.

    columns: titles
    rows: (name, the paper's) -> a figure by seed for each column
    below: what stands under the table
    """

    columns: tuple[str, ...]
    rows: Mapping[tuple[str, Any], tuple[BySeed, ...]]
    digits: int = 1
    below: str = ""

    def _grid(self) -> Grid:
        paper = any(told is not None for _, told in self.rows)
        head = ["", *self.columns, "seeds", *(["paper"] if paper else [])]
        lines = []
        for (name, told), row in self.rows.items():
            seeds = max(len(values) for values in row)
            lines.append([name, *map(self._cell, row), seeds, *([_paper(told)] if paper else [])])
        return grid(head, lines)

    def _cell(self, values: BySeed) -> str:
        if not values:
            return ""
        mean, low, _ = interval(values.values())
        half = f" ± {mean - low:.{self.digits}f}" if math.isfinite(low) else ""
        return f"{mean:.{self.digits}f}{half}"

    def __repr__(self) -> str:
        return f"{self._grid()!r}\n{self.below}" if self.rows else self.below

    def _repr_html_(self) -> str:
        return f"{self._grid()._repr_html_() if self.rows else ''}\n{_small(self.below)}".strip()

    def plot(self, column: int = 0, ax: Axes | None = None) -> Axes:
        """Draw a column: mean and interval of each row, its seeds as dots, the paper's as a diamond."""
        rows = [(name, told, row[column]) for (name, told), row in self.rows.items() if row[column]]
        if ax is None:
            _, ax = style.figure(width=5.6, height=0.7 + 0.32 * len(rows))
        for place, (_, told, values) in enumerate(rows):
            mean, low, high = interval(values.values())
            if math.isfinite(low):
                ax.plot([low, high], [place, place], color=style.colour(0), linewidth=2)
            ax.plot(list(values.values()), [place] * len(values), ".", color=style.GREY, markersize=4)
            ax.plot(mean, place, "o", color=style.colour(0))
            if isinstance(told, int | float):
                ax.plot(told, place, "D", color=style.INK, fillstyle="none")
        ax.set(
            yticks=range(len(rows)), yticklabels=[name for name, _, _ in rows], xlabel=self.columns[column]
        )
        ax.invert_yaxis()
        return ax

    def bars(self, ax: Axes | None = None) -> Axes:
        """Draw a group of bars for each column, a bar for each row, with its interval."""
        ax = style.figure(width=6.6, height=2.2)[1] if ax is None else ax
        means, reach = {}, {}
        for (name, _), row in self.rows.items():
            found = [interval(values.values()) if values else (math.nan,) * 3 for values in row]
            means[name] = [mean for mean, *_ in found]
            reach[name] = [high - mean if math.isfinite(high) else 0.0 for mean, _, high in found]
        bars(self.columns, means, ax, reach=reach)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        return ax


@dataclass(frozen=True)
class Verdict:
    """An ordering and what the runs say of it.

    where: in the paper, or a claim of the register
    paper: the difference that it prints
    """

    text: str
    found: Judgement
    where: str = ""
    paper: float | None = None


@dataclass(frozen=True)
class Verdicts:
    """Orderings that were judged together; text in a terminal, coloured HTML in a notebook."""

    rows: tuple[Verdict, ...]
    below: str = ""

    def _lines(self) -> list[list[str]]:
        kept, lines = holm([row.found for row in self.rows]), []
        for row, family in zip(self.rows, kept, strict=True):
            one = row.found
            gap = f"[{one.low:+.1f}, {one.high:+.1f}]" if math.isfinite(one.low) else ""
            lines.append([row.text, f"{one.mean:+.1f}", gap, str(one.seeds), one.told, family])
            lines[-1].append("" if row.paper is None else f"{row.paper:+.1f}")
        return lines

    def _told(self) -> str:
        """How many of so many verdicts chance alone would make."""
        if not self.rows:
            return self.below
        count = sum(row.found.seeds >= FEWEST for row in self.rows)
        chance = f"{count} orderings are tested: were all differences 0, {(1 - LEVEL) * count:.1f} of them"
        return f"{chance} would be told all the same; Holm: what stays of all together. {self.below}"

    def __repr__(self) -> str:
        return f"{grid(HEAD, self._lines())!r}\n{self._told()}" if self.rows else self._told()

    def _repr_html_(self) -> str:
        if not self.rows:
            return _small(self._told())
        lines = [[cell(name, tag="th") for name in HEAD]]
        for row, cells in zip(self.rows, self._lines(), strict=True):
            colours = {
                HEAD.index("verdict"): COLOURS[row.found.verdict],
                HEAD.index("Holm"): COLOURS[cells[5]],
            }
            lines.append([cell(text, colours.get(at, "")) for at, text in enumerate(cells)])
        return f"{page(lines)}\n{_small(self._told())}"

    def plot(self, xlabel: str = "difference (points), 95 %", ax: Axes | None = None) -> Axes:
        """Draw the differences with their intervals, the paper's as diamonds.

        raises: StadError where nothing was judged
        """
        if not self.rows:
            raise StadError("there is no ordering to draw", remedy=self.below)
        ax = differences([(r.text, r.found.mean, r.found.low, r.found.high) for r in self.rows], ax, xlabel)
        told = [(row.paper, place) for place, row in enumerate(self.rows) if row.paper is not None]
        for paper, place in told:
            ax.plot(paper, place, "D", color=style.INK, fillstyle="none")
        return ax


HEAD = ("claim", "difference", "95 % interval", "seeds", "verdict", "Holm", "paper")


def _paper(told: Any) -> str:
    some = told if isinstance(told, Sequence) else [told]
    return ", ".join("-" if one is None else f"{one:g}" for one in some if told is not None)


def _small(text: str) -> str:
    return f'<p style="font-size:85%">{html.escape(text)}</p>'
