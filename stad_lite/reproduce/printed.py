"""What five papers print: every figure of their result tables, and those of their text that others hang on.

One file a paper in ``claims/tables/``, YAML in which every value is taken as it is written::

    paper: sp_tad
    tables:
      - table: "8"                    # what holds for all columns: data, metric, threshold, unit (%)
        about: frames of a window
        section: 4.4.5
        columns: [{name: "0.3", threshold: "0.3"}, ...]       # a column may say data, metric, ... itself
        rows:
          - {name: "224", values: 68.5 62.6 55.0 43.6 31.7 53.3}
    text:
      - {name: gain of the second head, value: 6.0, section: 4.4.3, ...}
    relations:
      - {name: average, kind: mean, table: "8", columns: ["0.3", ...], printed: Avg}

Among a row's values ``_`` stands where the paper prints a dash, ``null`` where our copy of the paper cannot
be read (``unread`` then says why, column by column), and ``~5`` for about five. ``method`` names whose figure
it is: equal names are one system in all papers. A figure of the text is ``exact`` where it counts, ``given``
where nothing can be asked of it, and ``only`` says why no other figure gives it. ``relations`` are what
``stad_lite.reproduce.audit`` recomputes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Literal

import msgspec

from stad_lite.errors import FormatError, MissingFileError
from stad_lite.reproduce.typed_yaml import Strict, once, read_rows

TABLES = Path(__file__).parent / "claims" / "tables"
DASH, UNREAD = "_", "null"
_NUMBER = re.compile(r"~?-?\d+(\.\d+)?")

Kind = Literal[
    "mean", "average", "difference", "ratio", "sum", "product", "largest", "lead", "at least", "beaten",
    "above", "lowest", "highest", "some difference", "falls least", "same", "distinct",
]  # fmt: skip
_NEEDED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(["mean", "average"], ("table", "columns", "printed")),
    **dict.fromkeys(["difference", "ratio", "sum", "product"], ("of", "printed")),
    "largest": ("pairs", "printed"),
    **dict.fromkeys(["lead", "at least", "beaten"], ("of", "rivals", "printed")),
    **dict.fromkeys(["above", "lowest"], ("of", "rivals")),
    "some difference": ("table", "columns", "row", "printed"),
    **dict.fromkeys(["highest", "falls least"], ("table", "columns", "row")),
    **dict.fromkeys(["same", "distinct"], ("of",)),
}
"""Kind of a relation -> the fields that it has, and no others."""
_BY_ROW = {"mean", "average"}
_PROTOCOL = ("data", "metric", "threshold", "unit")


class Column(Strict, frozen=True):
    """A column of a table, and what is its own of the protocol."""

    name: str
    metric: str = ""
    data: str = ""
    threshold: str = ""
    unit: str = ""


class Row(Strict, frozen=True):
    """A row of a table as the file writes it."""

    name: str
    values: str
    method: str = ""
    note: str = ""
    unread: dict[str, str] = msgspec.field(default_factory=dict)


class Table(Strict, frozen=True):
    """A table: what holds for all its columns, and its rows."""

    table: str
    about: str
    section: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    metric: str = ""
    data: str = ""
    threshold: str = ""
    unit: str = ""
    note: str = ""


class Text(Strict, frozen=True):
    """A figure of the running text."""

    name: str
    value: str
    section: str
    data: str
    metric: str
    threshold: str = ""
    unit: str = ""
    method: str = ""
    exact: Literal["true", ""] = ""
    given: Literal["true", ""] = ""
    only: str = ""


class Relation(Strict, frozen=True):
    """What one printed figure is said to be of others; figures are named by their place."""

    name: str
    kind: Kind
    of: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    table: str = ""
    columns: tuple[str, ...] = ()
    row: str = ""
    printed: str = ""


class _File(Strict, frozen=True):
    paper: str
    tables: tuple[Table, ...]
    text: tuple[Text, ...]
    relations: tuple[Relation, ...]


@dataclass(frozen=True)
class Figure:
    """One printed figure.

    place: "table 8 / 224 / 0.3" or "text / gain of the second head"
    printed: as it stands there; "_" for a dash, "null" where it cannot be read
    data, metric, threshold, unit: its protocol
    method: whose it is, where others print it too
    note: why it cannot be read, or why no other figure gives it

    >>> Figure("sp_tad", "table 8 / 224 / Avg", "53.3").half
    Fraction(1, 20)
    """

    paper: str
    place: str
    printed: str
    data: str = ""
    metric: str = ""
    threshold: str = ""
    unit: str = "%"
    method: str = ""
    section: str = ""
    exact: bool = False
    given: bool = False
    note: str = ""

    @property
    def readable(self) -> bool:
        """Whether a number is printed and can be read."""
        return self.printed not in (DASH, UNREAD)

    @property
    def address(self) -> str:
        """The place with the paper before it."""
        return f"{self.paper} / {self.place}"

    @property
    def value(self) -> Fraction:
        """The number, exactly as printed."""
        return Fraction(self.printed.removeprefix("~"))

    @property
    def half(self) -> Fraction:
        """Half of its last digit: how far the number behind it may lie away."""
        decimals = len(self.printed.partition(".")[2])
        return Fraction(0) if self.exact else Fraction(1, 2 * 10**decimals)


@dataclass(frozen=True)
class Paper:
    """A paper's figures by place, in the order of its file."""

    name: str
    tables: tuple[Table, ...]
    figures: Mapping[str, Figure]
    relations: tuple[Relation, ...]

    def table(self, number: str) -> Table:
        """Return a table by its number; FormatError names those there are."""
        for table in self.tables:
            if table.table == number:
                return table
        known = ", ".join(table.table for table in self.tables)
        raise FormatError(f"{self.name} has no table {number!r}", remedy=f"there are {known}")

    def cell(self, number: str, row: str, column: str) -> Figure:
        """Return a cell of a table; FormatError where there is none."""
        return self.figure(f"table {number} / {row} / {column}")

    def figure(self, place: str) -> Figure:
        """Return a figure by its place; FormatError names the nearest there are."""
        if place in self.figures:
            return self.figures[place]
        above = place.rpartition(" / ")[0]
        near = [name for name in self.figures if name.startswith(above)] or list(self.figures)
        raise FormatError(f"{self.name} has no figure {place!r}", remedy=f"there are {', '.join(near[:8])}")


@dataclass(frozen=True)
class Printed:
    """The figures of all papers."""

    papers: Mapping[str, Paper]

    def figure(self, address: str, paper: str = "") -> Figure:
        """Return a figure by "PAPER / PLACE", or by its place alone in ``paper``.

        raises: FormatError for a paper or place that is not there
        """
        first, _, rest = address.partition(" / ")
        if first in self.papers:
            return self.papers[first].figure(rest)
        if paper not in self.papers:
            known = ", ".join(self.papers)
            raise FormatError(f"no paper {first!r}", remedy=f"begin with one of {known}")
        return self.papers[paper].figure(address)

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, paper by paper."""
        return tuple(figure for paper in self.papers.values() for figure in paper.figures.values())


def read_printed(folder: str | PathLike[str] = TABLES) -> Printed:
    """Return the figures of all papers of a folder.

    raises: MissingFileError, and FormatError that names file, table and row
    """
    files = sorted(Path(folder).glob("*.yaml"))
    if not files:
        raise MissingFileError(
            "there is no table", file=folder, remedy="give the folder of the papers' files"
        )
    printed = Printed({paper.name: paper for paper in map(read_paper, files)})
    for file in files:
        paper = printed.papers[file.stem]
        for relation in paper.relations:
            try:
                _check_relation(printed, paper, relation)
            except FormatError as error:
                raise FormatError(
                    f"relation {relation.name!r}: {error.problem}", file=file, remedy=error.remedy
                ) from None
    return printed


def read_paper(path: str | PathLike[str]) -> Paper:
    """Return one paper's figures; the relations' places are checked by ``read_printed``.

    raises: MissingFileError, and FormatError that names file, table and row
    """
    path = Path(path)
    file = read_rows(path, _File)
    try:
        if file.paper != path.stem:
            raise FormatError(f"it holds {file.paper!r}", remedy=f"name it {file.paper}.yaml")
        figures: dict[str, Figure] = {}
        for figure in [*_cells(file), *_texts(file)]:
            if figure.place in figures:
                raise FormatError(f"{figure.place} stands there twice", remedy="give each its own name")
            figures[figure.place] = figure
        once("table", [table.table for table in file.tables])
        once("relation", [_relation_key(relation) for relation in file.relations])
    except FormatError as error:
        raise error.at(file=path) from None
    return Paper(file.paper, file.tables, figures, file.relations)


def _cells(file: _File) -> Iterator[Figure]:
    for table in file.tables:
        for row in table.rows:
            where = f"table {table.table}, row {row.name}"
            values = row.values.split()
            if len(values) != len(table.columns):
                raise FormatError(f"{where}: {len(values)} values for {len(table.columns)} columns")
            if unknown := set(row.unread) - {column.name for column in table.columns}:
                raise FormatError(f"{where}: there is no column {min(unknown)!r} to be unread")
            for column, value in zip(table.columns, values, strict=True):
                yield _cell(file.paper, table, row, column, _number(value, f"{where}, column {column.name}"))


def _cell(paper: str, table: Table, row: Row, column: Column, value: str) -> Figure:
    place = f"table {table.table} / {row.name} / {column.name}"
    if (value == UNREAD) != (column.name in row.unread):
        raise FormatError(
            f"table {table.table}, row {row.name}, column {column.name}: {value!r} and its note do not agree",
            remedy="say under unread why a null cannot be read, and of nothing else",
        )
    protocol = {
        key: getattr(column, key) or getattr(table, key) for key in ("data", "metric", "threshold", "unit")
    }
    if not protocol["data"] or not protocol["metric"]:
        raise FormatError(f"table {table.table}, column {column.name}: data or metric is missing")
    protocol["unit"] = protocol["unit"] or "%"
    note = row.unread.get(column.name) or row.note or table.note
    return Figure(paper, place, value, method=row.method, section=table.section, note=note, **protocol)


def _texts(file: _File) -> Iterator[Figure]:
    for text in file.text:
        yield Figure(
            file.paper, f"text / {text.name}", _number(text.value, f"text {text.name}", always=True),
            text.data, text.metric, text.threshold, text.unit or "%", text.method, text.section,
            text.exact == "true", text.given == "true", text.only,
        )  # fmt: skip


def _number(value: str, where: str, always: bool = False) -> str:
    if not always and value in (DASH, UNREAD):
        return value
    if not _NUMBER.fullmatch(value) or not math.isfinite(float(value.removeprefix("~"))):
        raise FormatError(f"{where}: {value!r} is no finite number", remedy="write it as the paper prints it")
    return value


def _relation_key(relation: Relation) -> str:
    return f"{relation.name}, table {relation.table}" if relation.kind in _BY_ROW else relation.name


def _check_relation(printed: Printed, paper: Paper, relation: Relation) -> None:
    """Check that a relation has the fields of its kind, and that every place it names is there."""
    fields = ("of", "rivals", "pairs", "table", "columns", "row", "printed")
    given = tuple(field for field in fields if getattr(relation, field))
    if set(given) != set(_NEEDED[relation.kind]):
        needed = ", ".join(_NEEDED[relation.kind])
        raise FormatError(f"kind {relation.kind} has {', '.join(given)}", remedy=f"give {needed}")
    if relation.table:
        table = paper.table(relation.table)
        row = relation.row or table.rows[0].name
        own = [relation.printed] if relation.kind in _BY_ROW else []
        for column in [*relation.columns, *own]:
            paper.cell(relation.table, row, column)
    places = [*relation.of, *relation.rivals, *(place for pair in relation.pairs for place in pair)]
    if relation.printed and relation.kind not in _BY_ROW:
        places.append(relation.printed)
    for place in places:
        printed.figure(place, paper.name)
