"""A result table of a paper by a chapter's parameters: variants, seeds, published beside measured."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from stad_lite.data.location import set_name
from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.reproduce.experiments import experiment_module
from stad_lite.reproduce.grid import Grid, grid
from stad_lite.reproduce.kept import Verdict, Verdicts
from stad_lite.reproduce.results import COMMITTED, Results
from stad_lite.reproduce.rows import plain_settings, read_sweep
from stad_lite.reproduce.statistics import interval, judge
from stad_lite.schedule import config_hash

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place = tuple[str, str]
"""A row and a column; or a variant and the name of a figure of it."""
Run = Callable[[str, int], Mapping[str, float]]
"""(variant, seed) -> its figures."""
OF_MACHINE = {"profile", "results", "videos", "runs", "kept"}
"""Parameters that are no part of the line that repeats a run, or stand in it elsewhere; so are weights."""


@dataclass
class PaperTable:
    """The table that a chapter's parameters choose.

    paper: its name, as in "CFAD Table 1"
    dials: the chapter's parameters: ``table``, ``data``, ``variants``, ``seeds``, ``profile``, ``runs`` and
        ``kept``
    results: of the chapter
    tables: table -> row -> what the paper prints in its columns, None for a dash; () for a row of ours
    titles: table -> its columns; a table that is not among them has frame-mAP alone
    variants: that can be run; a row may also stand for what nobody can run here
    cell: (row, column) -> (variant, figure) where these have other names
    first: the variant of ``smoke``, "" for the first of the table
    printed_on: the data set of the published figures, to be told
    raises: FormatError for a table or a variant that there is not
    """

    paper: str
    dials: Any
    results: Results
    tables: Mapping[str, Mapping[str, Sequence[float | None]]]
    titles: Mapping[str, Sequence[str]]
    variants: Collection[str]
    cell: Callable[[str, str], Place] = lambda row, column: (row, column)
    first: str = ""
    printed_on: str = ""
    measured: dict[str, dict[int, Mapping[str, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dials.table not in self.tables:
            known = ", ".join(self.tables)
            raise FormatError(f"no table {self.dials.table!r}", remedy=f"choose from {known}")
        if wrong := [name for name in self.chosen if name not in self.known]:
            remedy = f"choose from {', '.join(self.known)}"
            raise FormatError(f"{self.title} has no variant {wrong[0]!r}", remedy=remedy)

    @property
    def title(self) -> str:
        """As "Table 1"."""
        return f"Table {self.dials.table}" if self.dials.table[0].isdigit() else self.dials.table

    @property
    def rows(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.tables[self.dials.table])

    @property
    def columns(self) -> tuple[str, ...]:
        """Their titles."""
        return tuple(self.titles.get(self.dials.table, ("frame_map",)))

    @property
    def known(self) -> list[str]:
        """The variants of the table."""
        found = dict.fromkeys(self.cell(row, self.columns[0])[0] for row in self.rows)
        return [name for name in found if name in self.variants]

    @property
    def chosen(self) -> list[str]:
        """The variants that are run: those named, else one at ``smoke`` and else all."""
        if self.dials.variants:
            return [name.strip() for name in self.dials.variants.split(",")]
        return [self.first or self.known[0]] if self.dials.profile == "smoke" else self.known

    @property
    def where(self) -> str:
        """What is trained on: the name of the set, ``own`` for a folder."""
        return set_name(self.dials.data) or "own"

    @property
    def command(self) -> str:
        """The line that makes these figures again and keeps them."""
        words = [f"--only {self.results.chapter} --profile {self.dials.profile}"]
        for name in (one.name for one in fields(self.dials)):
            value = getattr(self.dials, name)
            if name in OF_MACHINE or name.endswith("weights") or value in ("", 0):
                continue
            value = "FOLDER" if name == "data" and self.where == "own" else value
            words.append(f'-p {name} "{value}"' if name == "settings" else f"-p {name} {value}")
        return f"make results ARGS='{' '.join(words)}'"

    def folder(self, variant: str, *settings: Any) -> Path:
        """Return the run folder of a variant, another one wherever a setting differs."""
        key = config_hash(*settings, self.dials.profile)
        return COMMITTED.parents[1] / self.dials.runs / f"{self.where}-{variant}-{key}"

    def from_sweep(self, experiment: str) -> Run:
        """Return the way on the synthetic benchmark: a kept run with these settings, else a new one."""
        module, profile = experiment_module(experiment), self.dials.profile
        rows = read_sweep(experiment, profile).rows if self.dials.kept else ()
        kept = {(row.variant, row.seed): row for row in rows}

        def run(variant: str, seed: int) -> Mapping[str, float]:
            row, settings = kept.get((variant, seed)), plain_settings(module.VARIANTS[variant])
            if row is not None and row.settings == settings:
                return row.figures
            figures: Mapping[str, float] = module.run(variant, seed, profile)
            return figures

        return run

    def measure(self, run: Run) -> None:
        """Run the chosen variants with all seeds. raises: FormatError for a figure that is not finite"""
        for name in self.chosen:
            self.measured[name] = {seed: run(name, seed) for seed in range(self.dials.seeds)}
            for seed, figures in self.measured[name].items():
                if wrong := [figure for figure, value in figures.items() if not math.isfinite(value)]:
                    remedy = "look at the run's losses"
                    raise FormatError(f"{name}, seed {seed}: {wrong[0]} is not finite", remedy=remedy)

    def by_seed(self, row: str, column: str) -> dict[int, float]:
        """Return a row's figure by seed, {} where it was not run."""
        variant, figure = self.cell(row, column)
        runs = self.measured.get(variant, {})
        return {seed: found[figure] for seed, found in runs.items() if figure in found}

    def means(self, row: str) -> list[float | None]:
        """Return a row's means over seeds, None where nothing was measured."""
        found = (self.by_seed(row, column) for column in self.columns)
        return [fmean(values.values()) if values else None for values in found]

    def keep(self, *left_out: str, unit: str = "%") -> None:
        """Add the means to the chapter's results. left_out: columns that differ from machine to machine"""
        for row in self.rows:
            for column, mean in zip(self.columns, self.means(row), strict=True):
                if mean is not None and column not in left_out:
                    self._add(f"{self.title}: {row}, {column}", mean, unit)

    def keep_all(self, section: str) -> Grid | None:
        """Add every figure of runs on video files to the results, and return them; None of synthetic runs."""
        if self.dials.data == "synthetic":
            return None
        lines = []
        for name, runs in self.measured.items():
            for figure in next(iter(runs.values())):
                mean = fmean(run[figure] for run in runs.values())
                self._add(f"{name}, {figure}", mean, "%", section)
                lines.append([name, figure, f"{mean:.1f}"])
        return grid(["variant", "figure", "mean"], lines)

    def judge(self, *pairs: tuple[Any, ...]) -> Verdicts:
        """Judge orderings paired by seed, and add the verdicts to the results.

        pairs: (place, place[, the paper's difference]), a place being (row, column); the claim is that the
            first is larger. Those with fewer than two seeds in common are left out.
        """
        found = []
        for high, low, *paper in pairs:
            more, less = self.by_seed(*high), self.by_seed(*low)
            if len(more.keys() & less.keys()) > 1:
                text, verdict = _ordering(high, low), judge(more, less)
                found.append(Verdict(text, verdict, f"{self.paper} {self.title}", *paper))
                self._add(f"{self.title}: {text}", str(verdict))
        return Verdicts(tuple(found), "" if found else "no two rows with two seeds or more: no verdict")

    def plot(self, ax: Axes | None = None, ylabel: str = "%") -> Axes:
        """Draw each row over the columns: measured as a line, published dashed in the same colour."""
        ax = style.figure(height=2.8)[1] if ax is None else ax
        for number, row in enumerate(self.rows):
            printed = self.tables[self.dials.table][row]
            for values, line, what in ((self.means(row), "o-", "measured"), (printed, "x--", "published")):
                told = [(at, value) for at, value in enumerate(values) if value is not None]
                if told:
                    colour, label = style.colour(number), f"{row}, {what}"
                    ax.plot(*zip(*told, strict=True), line, color=colour, label=label)
        ax.set_xticks(range(len(self.columns)), self.columns)
        ax.set(ylabel=ylabel)
        ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return ax

    def _add(self, name: str, value: float | str, unit: str = "", section: str = "") -> None:
        claim = f"{self.paper} {section or self.title}"
        self.results.add(name, value, unit, self.where, claim, self.command)

    def _told(self) -> str:
        printed = f"published on {self.printed_on}, measured on " if self.printed_on else ""
        return f"{self.title}, {printed}{self.where}, {self.dials.profile}, {self.dials.seeds} seed(s)"

    def _grid(self) -> Grid:
        lines = []
        for row in self.rows:
            printed = [*map(_figure, self.tables[self.dials.table][row])]
            ours = [_with_interval(self.by_seed(row, column)) for column in self.columns]
            for what, cells in (("published", printed), ("measured", ours)):
                if any(cells):
                    lines.append([f"{row}, {what}", *cells, *[""] * (len(self.columns) - len(cells))])
        return grid(["", *self.columns], lines)

    def __repr__(self) -> str:
        return f"{self._told()}\n{self._grid()!r}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._told())}</p>\n{self._grid()._repr_html_()}"


def _ordering(high: Place, low: Place) -> str:
    """An ordering in words; what the two have in common is said once."""
    if high[0] == low[0]:
        return f"{high[0]}, {high[1]} above {low[1]}"
    if high[1] == low[1]:
        return f"{high[0]} above {low[0]}, {high[1]}"
    return f"{high[0]}, {high[1]} above {low[0]}, {low[1]}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _with_interval(by_seed: Mapping[int, float]) -> str:
    if not by_seed:
        return ""
    mean, low, _ = interval(by_seed.values())
    return f"{mean:.1f} ± {mean - low:.1f}" if math.isfinite(low) else f"{mean:.1f}"
