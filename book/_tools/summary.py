"""What a run of the chapters came to: one screen, the long table, the pictures."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from notebooks import Chapter
from stad_lite.reproduce.grid import Grid, grid
from stad_lite.reproduce.results import Results, show
from stad_lite.reproduce.scorecard import Score, read_scorecard

HEAD = ("chapter", "headline", "ours", "paper", "measured on", "verdict", "s")
JUDGED = ("reproduced", "not reproduced", "undecided", "reported")
MECHANICS = "mechanics"
"""Stands where a figure shows that the code runs, and nothing else."""


@dataclass
class Outcome:
    """What became of one chapter."""

    chapter: Chapter
    seconds: float = 0.0
    results: Results | None = None
    failure: str = ""


def short(text: str, length: int) -> str:
    """Return a text cut to a length.

    >>> short("mean overlap", 8)
    'mean ov…'
    """
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def data_of(data: str, profile: str) -> str:
    """Return what a figure was measured on; one of the synthetic set at ``smoke`` is mechanics."""
    return MECHANICS if data == "synthetic" and profile == "smoke" else data


def headline(outcome: Outcome, claims: Iterable[Score]) -> tuple[str, str, str, str, str]:
    """Return (what, ours, paper's, measured on, verdict) of a chapter.

    Of its claims on the scorecard, the first judged one that has a figure, best beside one of the paper's;
    of a chapter without such a claim the first figure of this run.
    """
    if outcome.failure:
        return (outcome.failure.splitlines()[0], "", "", "", "FAILED")
    found = [
        (not part.paper, claim.verdict not in JUDGED, place, claim, part)
        for place, claim in enumerate(claims)
        if claim.notebook == outcome.chapter.name
        for part in claim.parts
        if part.ours is not None
    ]
    if found:
        *_, claim, part = min(found, key=lambda one: one[:3])
        paper = part.paper or claim.figure.partition(";")[0]
        ours = f"{show(part.ours or 0.0, 2)} {part.unit}".strip()
        return (f"{claim.id}: {part.what}", ours, paper, f"kept: {claim.where.profile}", claim.verdict)
    if not outcome.results or not outcome.results.figures:
        return ("-", "", "", "", "")
    first = outcome.results.figures[0]
    ours = f"{show(first.value)} {first.unit}".strip()
    return (first.name, ours, "", data_of(first.data, outcome.results.profile), "")


def one_screen(outcomes: Iterable[Outcome]) -> tuple[Grid, str]:
    """Return the summary for a terminal of 120 columns, and the same as markdown with links."""
    claims = read_scorecard().claims
    screen, links = [], []
    for one in outcomes:
        what, ours, paper, data, verdict = headline(one, claims)
        name, seconds = one.chapter.name, f"{one.seconds:.0f}"
        screen.append(
            (short(name, 30), short(what, 32), short(ours, 14), short(paper, 12), data, verdict, seconds)
        )
        links.append((f"[{name}](chapters/{name}.ipynb)", what, ours, paper, data, verdict, seconds))
    return grid(HEAD, screen), grid(HEAD, links).markdown() + "\n"


def write_figures(outcomes: Iterable[Outcome], out: Path) -> None:
    """Write the long table, every figure of every chapter, as ``figures.csv`` and ``figures.md``."""
    head, rows = ("chapter", "figure", "value", "unit", "data", "claim", "seconds"), []
    for o in outcomes:
        seconds = f"{o.seconds:.1f}"
        if o.failure:
            rows.append((o.chapter.name, "FAILED", o.failure.splitlines()[0], "", "", "", seconds))
        for f in o.results.figures if o.results else ():
            data = data_of(f.data, o.results.profile if o.results else "")
            rows.append((o.chapter.name, f.name, show(f.value), f.unit, data, f.claim, seconds))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([head, *rows])
    (out / "figures.csv").write_text(table.getvalue(), encoding="utf-8", newline="\n")
    (out / "figures.md").write_text(grid(head, rows).markdown() + "\n", encoding="utf-8", newline="\n")


def write_pictures(copy: Path, folder: Path) -> int:
    """Write every PNG of an executed copy as ``CELL-NUMBER.png`` and return how many there are."""
    pictures = [
        (f"{cell.id}-{number}.png", output.data["image/png"])
        for cell in nbformat.read(copy, as_version=4).cells
        if cell.cell_type == "code"
        for number, output in enumerate(cell.outputs)
        if "image/png" in output.get("data", {})
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{copy.stem}-*.png"):
        old.unlink()
    for name, data in pictures:
        (folder / name).write_bytes(base64.b64decode(data))
    return len(pictures)
