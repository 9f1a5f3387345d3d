"""The claims of the five papers that can be put to a test: ``claims/PAPER.yaml``, one entry a claim.

A claim is of one kind. ``exact`` follows from the annotations (``annotations.py``); ``property`` from the
method's equations, and tests hold it; ``ordering`` is judged on an experiment's runs, comparison by
comparison; ``speed`` on two timings of one benchmark run; ``published`` needs the full video data and a GPU.

A side of a comparison names a variant and its figure, the difference of two, or is a number::

    larger: base                     # its figure is the comparison's
    smaller: base:coarse_map_50      # or its own
    larger: order2:map_50 - order2:coarse_map_50
    smaller: "0"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

import msgspec

from stad_lite.errors import FormatError, StadError
from stad_lite.reproduce.experiments import experiment_module
from stad_lite.reproduce.typed_yaml import Strict, read_rows

FOLDER = Path(__file__).parent / "claims"
PAPERS = ("cfad", "step", "sp_tad", "pcsc", "flow_subnet")
KINDS = ("exact", "property", "ordering", "speed", "published")
NEEDS = {"ordering": "comparisons", "property": "tests", "exact": "exact", "speed": "timings"}
"""Kind -> the field without which such a claim cannot be tested here."""


class Comparison(Strict, frozen=True):
    """One inequality of a claim.

    larger, smaller: sides (the module says how they are written); of timings, paths into a results file
    figure: of both sides, where a side does not name its own
    within: where the claim is that both are alike: how far apart they may be
    paper: the difference that the paper prints, as text
    """

    larger: str
    smaller: str
    figure: str = ""
    within: float | None = None
    paper: str = ""


class Bound(Strict, frozen=True):
    """What an exact claim says of one figure of its function, by name."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None


class Claim(Strict, frozen=True):
    """One claim.

    statement: in our own words; ``figure``: the paper's; ``source``: its table, figure or section
    testable: what in the data makes it possible that it comes out either way
    untestable: why it cannot be tested here, in place of ``testable``
    command, notebook: what tests it, and the chapter that shows it
    experiment, comparisons: of an ordering; ``tests``: of a property, as pytest names them
    exact: name of a function in ``annotations``, ``bounds``: what its figures have to keep
    results, timings: a file in ``benchmarks/results`` and the ratios in it; an ordering may have them too
    kept: chapter and name of a committed figure that stands beside a published one
    """

    id: str
    kind: str
    statement: str
    figure: str
    source: str
    notebook: str
    command: str = ""
    testable: str = ""
    untestable: str = ""
    experiment: str = ""
    comparisons: tuple[Comparison, ...] = ()
    tests: tuple[str, ...] = ()
    exact: str = ""
    bounds: tuple[Bound, ...] = ()
    results: str = ""
    timings: tuple[Comparison, ...] = ()
    kept: tuple[str, str] | None = None
    paper: str = ""

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that its comparisons name, each once."""
        sides = (side for one in self.comparisons for side in (one.larger, one.smaller))
        return tuple(dict.fromkeys(name for side in sides for name, _ in terms(side)))


class _File(Strict, frozen=True):
    paper: str
    claims: tuple[Claim, ...]


def terms(side: str, figure: str = "") -> tuple[tuple[str, str], ...]:
    """Return (variant, figure) of each term of a side; none for a number.

    >>> terms("base:map_50 - order2", "coarse_map_50"), terms("0")
    ((('base', 'map_50'), ('order2', 'coarse_map_50')), ())
    """
    if constant(side) is not None:
        return ()
    parts = (part.partition(":") for part in side.split(" - "))
    return tuple((name.strip(), own.strip() or figure) for name, _, own in parts)


def constant(side: str) -> float | None:
    """Return the number that a side is, None where it names variants."""
    try:
        return float(side)
    except ValueError:
        return None


def read_claims(folder: str | PathLike[str] = FOLDER) -> dict[str, Claim]:
    """Return all claims by id, in the order of the papers.

    raises: FormatError that names file and claim: for what does not fit the fields, an unknown kind, an id
        that stands twice, a claim without a command, or one that neither can be tested nor says why not
    """
    found = [claim for paper in PAPERS for claim in _read(Path(folder) / f"{paper}.yaml", paper)]
    twice = [name for name, count in Counter(claim.id for claim in found).items() if count > 1]
    if twice:
        papers = ", ".join(f"{claim.paper}.yaml" for claim in found if claim.id == twice[0])
        raise FormatError(f"claim {twice[0]!r} stands twice ({papers})", file=folder, remedy="rename one")
    return {claim.id: claim for claim in found}


def named(claims: Mapping[str, Claim], name: str) -> list[Claim]:
    """Return the claims that a name means: an id, a paper or a chapter; none for another one."""
    return [one for one in claims.values() if name in (one.id, one.paper, one.notebook)]


def chosen(claims: dict[str, Claim], names: Iterable[str]) -> tuple[Claim, ...]:
    """Return the claims that are named: by id, by paper, or by chapter; all where none is.

    raises: StadError for a name that is none of these
    """
    wanted: dict[str, Claim] = {}
    for name in names:
        some = named(claims, name)
        if not some:
            raise StadError(
                f"there is no claim, paper or chapter {name!r}",
                remedy=f"choose from {', '.join((*PAPERS, *claims))}",
            )
        wanted |= {one.id: one for one in some}
    return tuple(wanted.values()) or tuple(claims.values())


def check_variants(claims: Iterable[Claim]) -> None:
    """Look up every experiment and variant that claims name (imports all experiments).

    raises: FormatError that names the claim
    """
    for claim in claims:
        if not claim.experiment:
            continue
        try:
            known = experiment_module(claim.experiment).VARIANTS
        except StadError as error:
            raise FormatError(f"claim {claim.id}: {error.problem}", remedy=error.remedy) from None
        if unknown := [name for name in claim.variants if name not in known]:
            raise FormatError(
                f"claim {claim.id}: {claim.experiment} has no variant {unknown[0]!r}",
                remedy=f"choose from {', '.join(known)}",
            )


def _read(path: Path, paper: str) -> list[Claim]:
    document = read_rows(path, _File)
    if document.paper != paper:
        raise FormatError(f"paper {document.paper!r} is not {paper!r}", file=path)
    return [_checked(msgspec.structs.replace(claim, paper=paper), path) for claim in document.claims]


def _checked(claim: Claim, path: Path) -> Claim:
    def wrong(problem: str, remedy: str) -> FormatError:
        return FormatError(f"claim {claim.id}: {problem}", file=path, remedy=remedy)

    if claim.kind not in KINDS:
        raise wrong(f"unknown kind {claim.kind!r}", f"choose from {', '.join(KINDS)}")
    if not claim.command:
        raise wrong("no command tests it", "give the line that does, as command")
    if bool(claim.testable) == bool(claim.untestable):
        raise wrong("say either what makes it testable or why it is not", "give testable or untestable")
    need = NEEDS.get(claim.kind)
    if need and claim.testable and not getattr(claim, need):
        raise wrong(f"a claim of kind {claim.kind} needs {need}", f"give {need}, or say why untestable")
    if bool(claim.comparisons) != bool(claim.experiment):
        raise wrong("comparisons and an experiment go together", "give both")
    for one in claim.comparisons:
        if any(not name or not figure for side in (one.larger, one.smaller)
               for name, figure in terms(side, one.figure)):  # fmt: skip
            raise wrong(f"{one.larger} > {one.smaller} does not say which figure", "give figure")
    return claim
