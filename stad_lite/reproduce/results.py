"""The figures of a chapter: gathered, shown, written, and compared with the committed ones.

A results file is one JSON object::

    {"format": "stad-lite/results/1", "chapter": "cfad/polynomial_tubes", "profile": "smoke",
     "versions": {"python": "3.11", "torch": "2.13.0", "stad_lite": "0.1.0"},
     "figures": [{"name": "mean IoU, order 3", "value": 0.754, "unit": "IoU",
                  "data": "ucf101-24", "claim": "CFAD Fig. 4a", "command": "make results"}]}

``value`` is a finite number or a string; ``data`` says what it was measured on ("synthetic" or the
name of a published set); ``unit``, ``claim`` and ``command`` may be empty. It holds no times and no
paths, so equal figures give equal bytes.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite import __version__
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.records import atomic_write
from stad_lite.records.exchange.text import read_json
from stad_lite.reproduce.grid import Grid, grid

FORMAT = "stad-lite/results/1"
COMMITTED = Path(__file__).resolve().parents[2] / "book" / "results"
RECORDING = "STAD_RECORD"
"""Environment variable: 1 while committed figures are being made anew (``make results``)."""


@dataclass(frozen=True)
class Figure:
    """One measured figure; the module says what the fields mean."""

    name: str
    value: float | int | str
    unit: str = ""
    data: str = "synthetic"
    claim: str = ""
    command: str = ""


@dataclass(frozen=True)
class Table:
    """Figures as a table: plain text in a terminal, HTML in a notebook."""

    figures: tuple[Figure, ...]
    digits: int = 3

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("figure", "value", "unit", "data", "claim")]
        rows += [(f.name, show(f.value, self.digits), f.unit, f.data, f.claim) for f in self.figures]
        return rows

    def markdown(self) -> str:
        """Return the table as markdown."""
        return self._grid().markdown()

    def __repr__(self) -> str:
        return repr(self._grid())

    def _repr_html_(self) -> str:
        return self._grid()._repr_html_()

    def _grid(self) -> Grid:
        head, *body = self._rows()
        return grid(head, body)


class Results:
    """The figures of one run of a chapter.

    chapter: its place in the book without the ending, "cfad/polynomial_tubes"
    profile: smoke, lesson or paper

    >>> results = Results("cfad/polynomial_tubes", "smoke")
    >>> results.add("mean IoU, order 3", 0.75412, unit="IoU")
    >>> results.table()
    figure             value  unit  data       claim
    mean IoU, order 3  0.754  IoU   synthetic
    """

    def __init__(self, chapter: str, profile: str, versions: dict[str, str] | None = None) -> None:
        self.chapter, self.profile = chapter, profile
        self.versions = versions or installed_versions()
        self._figures: dict[str, Figure] = {}

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures in the order in which they were added."""
        return tuple(self._figures.values())

    def add(
        self,
        name: str,
        value: float | str,
        unit: str = "",
        data: str = "synthetic",
        claim: str = "",
        command: str = "",
    ) -> None:
        """Add a figure; the same name again replaces the earlier one.

        value: a finite number (numpy's and torch's scalars too) or a string
        data: "synthetic" or the name of a published set
        claim: what it bears on, "CFAD Table 1"
        command: what makes it, where that is not the chapter itself
        raises: FormatError for a value of another kind
        """
        self._figures[name] = Figure(name, _value(name, value), unit, data, claim, command)

    def table(self, *data: str, digits: int = 3) -> Table:
        """Return the figures as a table, all of them or those measured on ``data``."""
        return Table(tuple(f for f in self.figures if not data or f.data in data), digits)

    def real(self) -> Results:
        """Return a copy with the figures measured on published data only."""
        copy = Results(self.chapter, self.profile, self.versions)
        copy._figures = {f.name: f for f in self.figures if f.data != "synthetic"}
        return copy

    def as_document(self) -> dict[str, Any]:
        """Return what the file holds, as plain containers."""
        return {
            "format": FORMAT,
            "chapter": self.chapter,
            "profile": self.profile,
            "versions": self.versions,
            "figures": [asdict(figure) for figure in self.figures],
        }

    def write(self, path: str | PathLike[str]) -> None:
        """Write the results file whole or not at all; nothing happens when the path is empty."""
        if not str(path):
            return
        text = json.dumps(self.as_document(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        atomic_write(path, lambda stream: stream.write(text.encode()))

    def agree(self, tolerance: float = 1e-3, folder: Path = COMMITTED) -> list[str]:
        """Assert that the real-data figures equal the committed ones; return their names.

        Figures are compared when they were measured at the committed profile. Nothing is compared
        while the committed figures are made anew (STAD_RECORD=1).

        raises: AssertionError that names every figure that differs or is not committed
        """
        if os.environ.get(RECORDING) == "1":
            return []
        known = committed(self.chapter, folder)
        measured = self.real().figures
        if known.profile != self.profile and known.figures:
            return []
        wrong = [line for f in measured if (line := _difference(f, known, tolerance))]
        remedy = f"if they are right, run: {commit_command(self.chapter, self.profile)}"
        assert not wrong, "; ".join([*wrong, remedy])
        return [figure.name for figure in measured]

    def told(self, missing: Iterable[str] = (), tolerance: float = 1e-3) -> str:
        """Return what there is to say once published files were measured; raises as ``agree``.

        missing: lines that say what is not there (what ``published_files``' ``measure`` returns)
        """
        equal = len(self.agree(tolerance))
        return "\n".join([*missing, f"{equal} figures equal the committed ones"])

    def prepared_for_commit(self) -> Results:
        """Return the real-data figures rounded to 6 digits, each with the command that makes it."""
        copy = self.real()
        copy.versions = {**self.versions, "python": ".".join(self.versions["python"].split(".")[:2])}
        command = commit_command(self.chapter, self.profile)
        copy._figures = {
            f.name: replace(f, value=_rounded(f.value), command=f.command or command) for f in copy.figures
        }
        return copy


def read_results(path: str | PathLike[str]) -> Results:
    """Return what a results file holds.

    raises: MissingFileError, FormatError
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="run make reproduce")
    try:
        document = read_json(path)
        if document["format"] != FORMAT:
            raise FormatError(f"format {document['format']!r} is not {FORMAT!r}")
        results = Results(document["chapter"], document["profile"], document["versions"])
        for figure in document["figures"]:
            results.add(**figure)
    except StadError as error:
        raise error.at(file=path) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(f"not a results file ({type(error).__name__}: {error})", file=path) from None
    return results


def committed(chapter: str, folder: Path = COMMITTED) -> Results:
    """Return the committed real-data figures of a chapter (none where nothing is committed yet)."""
    path = folder / f"{chapter}.json"
    return read_results(path) if path.is_file() else Results(chapter, "smoke")


def commit_command(chapter: str, profile: str) -> str:
    """Return the command that makes a chapter's committed figures.

    >>> commit_command("cfad/polynomial_tubes", "smoke")
    'make results ARGS="--only cfad/polynomial_tubes --profile smoke"'
    """
    return f'make results ARGS="--only {chapter} --profile {profile}"'


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, torch and stad_lite (without importing torch)."""
    try:
        torch = version("torch").split("+")[0]
    except PackageNotFoundError:
        torch = "none"
    return {"python": platform.python_version(), "torch": torch, "stad_lite": __version__}


def show(value: float | int | str, digits: int = 3) -> str:
    """Return a value as text: whole numbers with commas, others with ``digits`` decimals.

    >>> show(573862), show(0.5), show("none")
    ('573,862', '0.500', 'none')
    """
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def _value(name: str, value: Any) -> float | int | str:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        kind = type(value).__name__
        raise FormatError(f"figure {name!r} is of type {kind}", remedy="give a number or a string")
    if isinstance(value, float) and not math.isfinite(value):
        raise FormatError(f"figure {name!r} is {value}", remedy="say in words why there is no number")
    return value


def _rounded(value: float | int | str) -> float | int | str:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _difference(figure: Figure, known: Results, tolerance: float) -> str:
    other = known._figures.get(figure.name)
    if other is None:
        return f"{figure.name!r} is not committed"
    if isinstance(figure.value, str) or isinstance(other.value, str):
        same = figure.value == other.value
    else:
        same = abs(figure.value - other.value) <= tolerance
    return "" if same else f"{figure.name!r} is {figure.value}, committed {other.value}"
