"""The scorecard as tables: plain text in a terminal, HTML with colours on a page."""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import dataclass

from stad_lite.errors import StadError
from stad_lite.reproduce.grid import cell, grid, marked, page
from stad_lite.reproduce.scorecard import Score, Scorecard
from stad_lite.reproduce.verdicts import ALL_VERDICTS, COLOURS, Part

TITLES = {"cfad": "CFAD", "step": "STEP", "sp_tad": "SP-TAD", "pcsc": "PCSC", "flow_subnet": "Flow subnet"}
LOOK = "text-align:left;vertical-align:top"
"""Of every cell."""


@dataclass(frozen=True)
class SummaryTable:
    """How many claims of each paper have each verdict."""

    card: Scorecard

    def rows(self) -> list[list[str]]:
        """Return the table's cells, its head first and the sum last."""
        counts = self.card.counts()
        lines = {TITLES.get(paper, paper): found for paper, found in counts.items()}
        lines["all"] = sum(counts.values(), Counter())
        rows = [["paper", *ALL_VERDICTS, "claims"]]
        for name, found in lines.items():
            rows.append([name, *(str(found[one] or "") for one in ALL_VERDICTS), str(found.total())])
        return rows

    def __repr__(self) -> str:
        return _plain(self.rows())

    def _repr_html_(self) -> str:
        head, *body = self.rows()
        cells = [_cell(name, COLOURS.get(name, ""), "th") for name in head]
        lines = [cells, *([_cell(text) for text in row] for row in body)]
        return page(lines)


@dataclass(frozen=True)
class ScoreTable:
    """The claims of one paper: each with its verdict, and behind a click what it is made of.

    raises: StadError for a paper that has none
    """

    card: Scorecard
    paper: str

    def __post_init__(self) -> None:
        if not self.scores():
            known = ", ".join(self.card.counts())
            raise StadError(f"no claims of {self.paper!r}", remedy=f"choose from {known}")

    def scores(self) -> list[Score]:
        """Return the claims of the paper."""
        return [one for one in self.card.claims if one.paper == self.paper]

    def __repr__(self) -> str:
        rows = [["claim", "the paper", "verdict", "Holm"]]
        rows += [[one.id, one.figure[:60], one.told, one.holm] for one in self.scores()]
        return _plain(rows)

    def _repr_html_(self) -> str:
        lines = [[_cell(name, "", "th") for name in ("claim", "the paper", "here", "Holm")]]
        for one in self.scores():
            # a page of the book lies one folder below it
            name = f'<a href="../{html.escape(one.notebook)}.html">{html.escape(one.id)}</a>'
            said = f"<b>{name}</b><br>{html.escape(one.statement)}{_inside(one)}"
            figure = html.escape(f"{one.figure} ({one.source})")
            lines.append(
                [
                    marked(said, style=LOOK),
                    marked(figure, style=LOOK),
                    _cell(one.told, COLOURS[one.verdict]),
                    _cell(one.holm, COLOURS.get(one.holm, "")),
                ]
            )
        return page(lines)


def _inside(one: Score) -> str:
    """What stands behind a click: parts, why it can be tested, where it is from, how to repeat it."""
    head = ("", "paper", "ours", "95 % interval", "n", "verdict", "Holm", "smallest seen")
    lines = [[_cell(name, "", "th") for name in head]]
    lines += [_part(part) for part in one.parts]
    told = [
        ("why", one.why),
        ("profile", one.where.profile),
        ("device", one.where.device),
        ("commit", one.where.commit),
        ("mark", "; ".join(one.where.marks)),
        ("command", one.command),
    ]
    rest = "".join(f"<div>{name}: {html.escape(text)}</div>" for name, text in told if text)
    table = page(lines) if one.parts else ""
    mark = " (marked)" if one.where.marks else ""
    return f"<details><summary>{len(one.parts)} parts{mark}</summary>{table}{rest}</details>"


def _part(part: Part) -> list[str]:
    interval = "" if part.low is None or part.high is None else f"[{part.low:+.1f}, {part.high:+.1f}]"
    signed = part.unit == "points"
    ours = "" if part.ours is None else f"{part.ours:{'+.1f' if signed else '.4g'}} {part.unit}".strip()
    smallest = "" if part.smallest is None else f"{part.smallest:.1f}"
    texts = (part.what, part.paper, ours, interval, str(part.seeds or ""))
    verdicts = (_cell(part.told, COLOURS[part.verdict]), _cell(part.holm, COLOURS.get(part.holm, "")))
    return [*map(_cell, texts), *verdicts, _cell(smallest)]


def _cell(text: str, colour: str = "", tag: str = "td") -> str:
    return cell(text, colour, tag, LOOK)


def _plain(rows: list[list[str]]) -> str:
    return repr(grid(rows[0], rows[1:]))
