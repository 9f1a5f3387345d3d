"""Where each section, equation, algorithm, figure and table of the papers stands in this project.

One file a paper in ``claims/coverage/``, YAML::

    paper: cfad
    rows:
      - part: equation 7                                   # section, equation, algorithm, figure or table
        about: search area
        code: [stad_lite.cfad.refine:search_area]          # module:attribute
        tests: [cfad/test_refine.py]                       # below tests/
        chapters: [cfad/refinement_at_key_timestamps]      # below book/, without the ending
        status: done                                       # partly, not here: with a reason

``problems`` says what of it is not so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Literal

from stad_lite.errors import FormatError, MissingFileError
from stad_lite.reproduce.typed_yaml import Strict, once, read_rows

COVERAGE = Path(__file__).parent / "claims" / "coverage"
Kind = Literal["section", "equation", "algorithm", "figure", "table"]
KINDS: tuple[Kind, ...] = ("section", "equation", "algorithm", "figure", "table")
STATUSES = ("done", "partly", "not here")


class Part(Strict, frozen=True):
    """One part of a paper: what it is about, and where it stands here."""

    part: str
    about: str
    status: Literal["done", "partly", "not here"]
    code: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    chapters: tuple[str, ...] = ()
    reason: str = ""

    @property
    def kind(self) -> str:
        """Its first word, one of KINDS."""
        return self.part.partition(" ")[0]

    @property
    def number(self) -> str:
        """What the paper numbers it."""
        return self.part.partition(" ")[2]


class _File(Strict, frozen=True):
    paper: str
    rows: tuple[Part, ...]


def read_coverage(folder: str | PathLike[str] = COVERAGE) -> dict[str, tuple[Part, ...]]:
    """Return the parts of each paper.

    raises: MissingFileError; FormatError that names file and part for unknown keys, kinds and statuses, parts
        given twice, holes in the numbering, and rows whose fields do not go with their status
    """
    files = sorted(Path(folder).glob("*.yaml"))
    if not files:
        raise MissingFileError("there is no coverage", file=folder, remedy="give the papers' folder")
    found = {}
    for path in files:
        file = read_rows(path, _File)
        try:
            if file.paper != path.stem:
                raise FormatError(f"it holds {file.paper!r}", remedy=f"name it {file.paper}.yaml")
            once("part", [row.part for row in file.rows])
            for row in file.rows:
                _check(row)
            for kind in KINDS:
                if holes := missing(row.number for row in file.rows if row.kind == kind):
                    raise FormatError(f"{kind} {holes[0]} is missing", remedy="add its row")
        except FormatError as error:
            raise error.at(file=path) from None
        found[file.paper] = file.rows
    return found


def missing(numbers: Iterable[str]) -> list[str]:
    """Return which numbers must be there too: each one's elder siblings and parents.

    >>> missing(["1", "2.2", "4"])
    ['2', '2.1', '3']
    """
    known = set(numbers)
    needed = set()
    for number in known:
        parts = [int(part) for part in number.split(".")]
        for depth in range(1, len(parts) + 1):
            head = parts[: depth - 1]
            needed |= {".".join(map(str, [*head, last])) for last in range(1, parts[depth - 1] + 1)}
    return sorted(needed - known, key=lambda number: [int(part) for part in number.split(".")])


def problems(coverage: Mapping[str, Iterable[Part]], repository: Path) -> Iterator[str]:
    """Yield a sentence for each module, attribute, test file or chapter that is not there.

    repository: the folder that holds ``tests/`` and ``book/``
    """
    for paper, parts in coverage.items():
        for part in parts:
            where = f"{paper}, {part.part}: "
            yield from (where + problem for name in part.code if (problem := _lacks(name)))
            for test in part.tests:
                if not (repository / "tests" / test).is_file():
                    yield f"{where}there is no tests/{test}"
            for chapter in part.chapters:
                if not (repository / "book" / f"{chapter}.ipynb").is_file():
                    yield f"{where}there is no book/{chapter}.ipynb"


def _lacks(name: str) -> str:
    module, _, attribute = name.partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError:
        return f"{module} cannot be imported"
    return "" if not attribute or hasattr(found, attribute) else f"{module} has no {attribute}"


def _check(row: Part) -> None:
    if row.kind not in KINDS or not all(part.isdecimal() for part in row.number.split(".")):
        raise FormatError(
            f"no part is named {row.part!r}", remedy=f"write one of {', '.join(KINDS)} and its number"
        )
    if (row.status == "done") == bool(row.reason):
        raise FormatError(
            f"{row.part}: {row.status} with reason {row.reason!r}", remedy="say why unless it is done"
        )
    here = {"code": row.code, "tests": row.tests, "chapters": row.chapters}
    if row.status == "not here" and any(here.values()):
        raise FormatError(f"{row.part}: not here, yet it names where", remedy="say partly")
    lacking = [name for name, value in here.items() if not value]
    if row.status != "not here" and lacking:
        raise FormatError(f"{row.part}: {row.status} without {lacking[0]}", remedy="name it")
