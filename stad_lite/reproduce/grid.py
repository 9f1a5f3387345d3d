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
        lines = [_line("th", self.head), *(_line("td", row) for row in self.rows)]
        return "<table>\n" + "\n".join(lines) + "\n</table>"


def grid(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Grid:
    """Return a table of what ``str`` says of each cell."""
    return Grid(tuple(head), tuple(tuple(map(str, row)) for row in rows))


def _line(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
