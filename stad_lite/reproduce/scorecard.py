"""The scorecard: every claim of the five papers with what was measured here, a verdict, and how to repeat it.

    python -m stad_lite.reproduce.scorecard

runs every variant that a claim names once at ``smoke`` and writes ``runs/scorecard.json``: that all of it
works, and nothing else. With ``--profile lesson`` nothing is trained: the runs that ``book/sweeps`` keeps are
judged, and ``book/results/scorecard.json`` is written, which the book shows. Both run the tests that hold
properties.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec

from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.records import atomic_write
from stad_lite.records.exchange.text import read_json
from stad_lite.reproduce.annotations import KEPT
from stad_lite.reproduce.claims import Claim, check_variants, read_claims
from stad_lite.reproduce.experiments import experiment_module
from stad_lite.reproduce.origin import ROOT, commit
from stad_lite.reproduce.program import program
from stad_lite.reproduce.results import COMMITTED, Results, installed_versions, read_results
from stad_lite.reproduce.rows import NOT_RECORDED, SWEEPS, Row, Sweep, read_sweep, stale
from stad_lite.reproduce.sweep import sweep
from stad_lite.reproduce.verdicts import (
    REPORTED,
    Part,
    compared,
    counted_parts,
    property_parts,
    timed_parts,
    whole,
    with_holm,
)

FORMAT = "stad-lite/scorecard/1"
SCORECARD = COMMITTED / "scorecard.json"
BENCHMARKS = ROOT / "benchmarks" / "results"
SHARED = (
    "boxes.py",
    "linking",
    "matching.py",
    "metrics",
    "nets",
    "schedule.py",
    "systems",
    "training",
    "tubes.py",
)
"""Parts of the library, beside a paper's own, whose change may change a run."""
MECHANICS = "smoke: shows that it runs, nothing else"


@dataclass(frozen=True)
class Where:
    """What a claim's figures are from.

    profile, device, commit: of what was measured; "" where nothing was
    marks: what is to be known of it: settings or code that changed since, a profile that shows nothing
    """

    profile: str = ""
    device: str = ""
    commit: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """One claim on the scorecard; ``Claim`` and ``Part`` say what the first fields mean.

    told: the verdict with what it lacks; ``holm``: what the paper's family leaves of it
    why: what in the data makes it testable, or why it is not
    """

    id: str
    paper: str
    kind: str
    statement: str
    figure: str
    source: str
    notebook: str
    command: str
    why: str
    verdict: str
    told: str
    holm: str
    parts: tuple[Part, ...]
    where: Where = Where()


@dataclass(frozen=True)
class Scorecard:
    """All claims at a profile, and by experiment what its settings were chosen on."""

    profile: str
    commit: str
    claims: tuple[Score, ...]
    chosen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, Counter[str]]:
        """Return by paper how many claims have each verdict."""
        found: dict[str, Counter[str]] = {}
        for score in self.claims:
            found.setdefault(score.paper, Counter())[score.verdict] += 1
        return found


@dataclass(frozen=True)
class Evidence:
    """What there is on one claim before its family is judged."""

    claim: Claim
    parts: tuple[Part, ...]
    where: Where = Where()


def score(
    profile: str,
    outcomes: Mapping[str, str],
    sweeps: str | PathLike[str] = SWEEPS,
    claims: Iterable[Claim] | None = None,
    benchmarks: Path = BENCHMARKS,
    kept: Path = KEPT,
) -> Scorecard:
    """Judge every claim by what is kept.

    outcomes: of the tests of properties (``run_tests``)
    sweeps: folder of the runs
    raises: FormatError or MissingFileError that names a damaged or a missing file, StadError where a claim
        asks for a variant, a figure or a timing that is not there
    """
    register = tuple(read_claims().values() if claims is None else claims)
    check_variants(register)
    names = dict.fromkeys(claim.experiment for claim in register if claim.experiment)
    runs = {name: read_sweep(name, profile, sweeps) for name in names}
    exact = read_results(kept)
    at = commit()
    found = [_found(claim, profile, outcomes, runs, benchmarks, exact, at) for claim in register]
    papers = dict.fromkeys(claim.paper for claim in register)
    judged = with_holm({paper: [one.parts for one in found if one.claim.paper == paper] for paper in papers})
    parts = {paper: iter(groups) for paper, groups in judged.items()}
    scores = tuple(_score(one, next(parts[one.claim.paper])) for one in found)
    chosen = {name: tuple(map(str, getattr(experiment_module(name), "CHOSEN", ()))) for name in names}
    return Scorecard(profile, at, scores, chosen, installed_versions())


def _found(
    claim: Claim,
    profile: str,
    outcomes: Mapping[str, str],
    runs: Mapping[str, Sweep],
    benchmarks: Path,
    exact: Results,
    at: str,
) -> Evidence:
    if claim.kind == "exact":
        return Evidence(claim, counted_parts(claim, exact), Where("annotations"))
    if claim.kind == "property":
        return Evidence(claim, property_parts(claim, outcomes), Where("tests", "", at))
    if claim.kind == "published":
        return Evidence(claim, _beside(claim), Where("lesson" if claim.kept else ""))
    timed = timed_parts(claim, read_benchmark(claim, benchmarks)) if claim.timings else ()
    if not claim.experiment:
        return Evidence(claim, timed, _timed_where(claim, benchmarks))
    runs_of = runs[claim.experiment]
    rows = [row for row in runs_of.rows if row.variant in claim.variants]
    devices, commits = (
        ", ".join(sorted({getattr(row, name) for row in rows})) for name in ("device", "commit")
    )
    marks = marks_of(rows, claim) + ((MECHANICS,) if profile == "smoke" else ())
    where = Where(profile if rows else "", devices, commits, marks)
    return Evidence(claim, compared(claim, runs_of) + timed, where)


def _score(found: Evidence, parts: tuple[Part, ...]) -> Score:
    claim = found.claim
    verdict, told = whole(claim, parts)
    judged = claim.testable and any(part.p is not None for part in parts)
    holm = whole(claim, parts, "holm")[0] if judged else ""
    return Score(
        claim.id,
        claim.paper,
        claim.kind,
        claim.statement,
        claim.figure,
        claim.source,
        claim.notebook,
        claim.command,
        claim.testable or claim.untestable,
        verdict,
        told,
        holm,
        parts,
        found.where,
    )


def _beside(claim: Claim) -> tuple[Part, ...]:
    """The committed figure that stands beside a published one."""
    if claim.kept is None:
        return ()
    chapter, name = claim.kept
    figures = {one.name: one for one in read_results(COMMITTED / f"{chapter}.json").figures}
    if name not in figures:
        problem = f"claim {claim.id}: {chapter} has no figure {name!r}"
        raise StadError(problem, remedy="name one that is committed")
    one = figures[name]
    return (Part(f"{name}, {one.data}", REPORTED, "of a small network", "", float(one.value), one.unit),)


def read_benchmark(claim: Claim, folder: Path = BENCHMARKS) -> dict[str, Any]:
    """Return the figures that a claim's timings are in.

    raises: MissingFileError, or FormatError for what is no JSON object
    """
    path = folder / claim.results
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy=f"run: {claim.command}")
    try:
        document = read_json(path)
    except (StadError, ValueError) as error:
        raise FormatError(f"not a benchmark's figures ({error})", file=path) from None
    if not isinstance(document, dict):
        raise FormatError("not a benchmark's figures", file=path, remedy=f"run: {claim.command}")
    return document


def _timed_where(claim: Claim, folder: Path) -> Where:
    """Hardware and commit of a claim's timings, and what changed since."""
    document = read_benchmark(claim, folder)
    section = next((name for name in document if claim.timings[0].larger.startswith(f"{name}/")), "")
    about = document if "commit" in document else document.get(section, {})
    at = str(about.get("commit", NOT_RECORDED))
    return Where("benchmark", str(about.get("hardware", NOT_RECORDED)), at, _code_marks([at], claim))


def marks_of(rows: Iterable[Row], claim: Claim) -> tuple[str, ...]:
    """Return what a reader of the runs has to know: which went by other settings, or by other code."""
    rows = list(rows)
    problems = Counter(problem for row in rows if (problem := stale(row, claim.experiment)))
    told = [f"{problem} ({count} of {len(rows)} runs)" for problem, count in problems.items()]
    return tuple(told) + _code_marks([row.commit for row in rows], claim)


def _code_marks(commits: Iterable[str], claim: Claim) -> tuple[str, ...]:
    places = [f"stad_lite/{name}" for name in (claim.paper, *SHARED)]
    if claim.experiment:
        places.append(f"stad_lite/reproduce/experiments/{claim.experiment}.py")
    found = (changed_since(one, places) for one in dict.fromkeys(commits))
    return tuple(dict.fromkeys(filter(None, found)))


def changed_since(at: str, places: Iterable[str], root: Path = ROOT) -> str:
    """Return what is different from a commit in some files and folders, in words; "" for nothing.

    at: as ``origin.commit`` gives it, with "+" where files differed from it even then
    """
    if at in (NOT_RECORDED, "unknown", ""):
        return "its commit is not recorded"
    if at.endswith("+"):
        return f"run with files that differ from commit {at[:-1]}"
    words = ["git", "diff", "--name-only", at, "--", *places]
    try:
        run = subprocess.run(words, cwd=root, capture_output=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"commit {at} is not known here"
    files = run.stdout.split()
    return f"code changed since commit {at} ({len(files)} files)" if files else ""


def run_tests(claims: Iterable[Claim], root: Path = ROOT) -> dict[str, str]:
    """Run the tests of properties and return how each came out: passed, failed or skipped.

    A test with parameters passes where all of its cases do, and is skipped where all of them are. Nothing is
    returned where pytest is not installed.
    """
    tests = list(dict.fromkeys(test for claim in claims for test in claim.tests))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = [sys.executable, "-m", "pytest", *tests, "-q", "-p", "no:cacheprovider"]
        subprocess.run([*words, f"--junitxml={report}"], cwd=root, capture_output=True, check=False)
        if not report.is_file():
            return {}
        cases = list(ElementTree.parse(report).iter("testcase"))
    found: dict[str, set[str]] = {}
    for case in cases:
        place = case.get("classname", "").replace(".", "/")
        name = f"{place}.py::{case.get('name', '').partition('[')[0]}"
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found.setdefault(name, set()).add(outcome)
    order = ("failed", "passed", "skipped")
    return {name: next(one for one in order if one in some) for name, some in found.items() if name in tests}


def run_smoke(claims: Iterable[Claim], folder: Path, jobs: int = 1) -> list[str]:
    """Run each variant that claims name once at ``smoke``; return what could not be run, in sentences."""
    wanted: dict[str, dict[str, None]] = {}
    for claim in claims:
        if claim.experiment:
            wanted.setdefault(claim.experiment, {}).update(dict.fromkeys(claim.variants))
    problems = []
    for name, variants in wanted.items():
        try:
            sweep(name, tuple(variants), (0,), "smoke", jobs, folder)
        except StadError as error:
            problems.append(f"{name}: {' '.join(str(error).split())}")
    return problems


def write_scorecard(card: Scorecard, path: str | PathLike[str]) -> Path:
    """Write a scorecard, whole or not at all."""
    document = {"format": FORMAT, **asdict(card)}
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return atomic_write(path, lambda stream: stream.write(text.encode()))


def read_scorecard(
    path: str | PathLike[str] = SCORECARD, claims: Mapping[str, Claim] | None = None
) -> Scorecard:
    """Return a scorecard.

    raises: MissingFileError, FormatError for a damaged file or one that lacks a claim of the register, or has
        one that the register does not know
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="run make scorecard")
    remedy = "make it anew: make scorecard ARGS='--profile lesson'"
    try:
        document = read_json(path)
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise FormatError(f"not a scorecard (its format is not {FORMAT!r})")
        card = msgspec.convert(document, Scorecard)
    except StadError as error:
        raise FormatError(error.problem, file=path, remedy=remedy) from None
    except (ValueError, msgspec.ValidationError) as error:
        raise FormatError(f"not a scorecard ({error})", file=path, remedy=remedy) from None
    known = read_claims() if claims is None else claims
    ids = [one.id for one in card.claims]
    for name in [*ids, *known]:
        if name not in known:
            raise FormatError(f"claim {name!r} is not in the register", file=path, remedy=remedy)
        if ids.count(name) != 1:
            raise FormatError(f"claim {name!r} stands {ids.count(name)} times", file=path, remedy=remedy)
    return card


@program("scorecard")
def main(arguments: list[str] | None = None) -> int:
    """Make a scorecard from the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Judge every claim of the five papers.")
    parser.add_argument("--profile", choices=("smoke", "lesson"), default="smoke")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes of the smoke runs")
    parser.add_argument(
        "--out", default="", metavar="FILE", help="scorecard to write, its usual place without it"
    )
    chosen = parser.parse_args(arguments)
    smoke = chosen.profile == "smoke"
    path = Path(chosen.out or (ROOT / "runs" / "scorecard.json" if smoke else SCORECARD))
    claims = tuple(read_claims().values())
    folder = path.parent / "scorecard" if smoke else SWEEPS
    problems = run_smoke(claims, folder, chosen.jobs) if smoke else []
    card = score(chosen.profile, run_tests(claims), folder)
    write_scorecard(card, path)
    for problem in problems:
        print(f"not run: {problem}", file=sys.stderr)
    for one in card.claims:
        print(f"{one.id:24}{one.told}")
    print(f"{path}: {len(card.claims)} claims, {dict(sum(card.counts().values(), Counter()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
