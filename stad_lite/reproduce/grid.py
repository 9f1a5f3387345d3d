"""Rows of text under a head: plain text in a terminal, HTML in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """A table of text.

    >>> grid(["what", "how many"], [["rows", 2]])
    what  how many
    rows  2
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = ("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines)
        return "\n".join(line.rstrip() for line in padded)

    def _repr_html_(self) -> str:
        head = [cell(text, tag="th") for text in self.head]
        return page([head, *([cell(text) for text in row] for row in self.rows)])

    def markdown(self) -> str:
        """Return the table as markdown."""
        lines = [[text.replace("|", "\\|") for text in row] for row in (self.head, *self.rows)]
        lines.insert(1, ["---"] * len(self.head))
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def grid(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Grid:
    """Return a table of what ``str`` says of each cell."""
    return Grid(tuple(head), tuple(tuple(map(str, row)) for row in rows))


def cell(text: str, colour: str = "", tag: str = "td", style: str = "") -> str:
    """Return a text as a cell of HTML. colour: behind it, light enough for black letters"""
    return marked(html.escape(text), colour, tag, style)


def marked(inside: str, colour: str = "", tag: str = "td", style: str = "") -> str:
    """Return HTML as a cell; the rest is as in ``cell``."""
    look = ";".join(filter(None, [style, f"background:{colour};color:#000" if colour else ""]))
    return f'<{tag} style="{look}">{inside}</{tag}>' if look else f"<{tag}>{inside}</{tag}>"


def page(lines: Iterable[Sequence[str]]) -> str:
    """Return rows of HTML cells as a table."""
    return "<table>\n" + "\n".join(f"<tr>{''.join(line)}</tr>" for line in lines) + "\n</table>"
