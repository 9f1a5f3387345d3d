"""Compare the outputs of chapters: text as text, but numbers as numbers where a cell states a tolerance.

A cell whose output hangs on a trained network, or on any sum that another processor rounds otherwise,
carries a tag: ``rtol:0.02`` (a share of the committed number), ``atol:0.05`` (in the number's own unit), or
both, which add up. Its text must then be the same but for the numbers and blanks, and each number near the
committed one. A cell without a tag is compared letter by letter. ``install`` puts this below nbval's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nbformat import NotebookNode

from notebooks import ToolError, tags

NUMBER = re.compile(r"(?<![\w.])(?:(?<![\d)\]])[-+−])?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]*\d)")
BLANKS = re.compile(r"\s+")
TAG = re.compile(r"(rtol|atol):(.+)")
MACHINE = 10
"""Numbers within this many tolerances hint at the machine, others at a fault."""


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be from the committed one.

    relative: share of the committed number
    absolute: in its unit
    """

    relative: Decimal = Decimal(0)
    absolute: Decimal = Decimal(0)

    def allows(self, committed: Decimal) -> Decimal:
        """Return the largest difference."""
        return self.absolute + self.relative * abs(committed)


def tolerance_of(cell: NotebookNode) -> Tolerance | None:
    """Return the tolerance that a cell's tags state, None where they state none.

    raises: ToolError for a tag that cannot be read
    """
    stated = [found for tag in tags(cell) if (found := TAG.fullmatch(tag))]
    if not stated:
        return None
    try:
        values = {found[1]: Decimal(found[2]) for found in stated}
    except ArithmeticError:
        raise ToolError(f"{cell.id}: {', '.join(found[0] for found in stated)} is no tolerance") from None
    return Tolerance(values.get("rtol", Decimal(0)), values.get("atol", Decimal(0)))


def excess(committed: str, computed: str, tolerance: Tolerance) -> Decimal | None:
    """Return by how much two texts differ: the largest difference of their numbers, in tolerances.

    returns: 0 for the same text, infinity for numbers that differ where nothing is allowed, None where the
        texts differ in more than numbers and blanks
    """
    if committed == computed:
        return Decimal(0)
    if _words(committed) != _words(computed):
        return None
    most = Decimal(0)
    for one, other in zip(_numbers(committed), _numbers(computed), strict=True):
        if one != other:
            allowed = tolerance.allows(one)
            most = max(most, abs(one - other) / allowed if allowed else Decimal("Infinity"))
    return most


def near(committed: Sequence[Any], computed: Sequence[Any], tolerance: Tolerance) -> list[Any]:
    """Return computed outputs with the committed text wherever all of its numbers are within the tolerance.

    committed, computed: outputs of one cell
    """
    if len(committed) != len(computed):
        return list(computed)
    return [_output(one, other, tolerance) for one, other in zip(committed, computed, strict=True)]


def told(committed: Sequence[Any], computed: Sequence[Any], tolerance: Tolerance | None) -> str:
    """Return what a difference hints at: the machine, or a fault.

    committed, computed: outputs of one cell
    """
    if len(committed) != len(computed):
        return "other outputs: a fault of the chapter or of the code"
    unit = Tolerance(Decimal("0.001")) if tolerance is None else tolerance
    pairs = zip(committed, computed, strict=True)
    found = [excess(*texts, unit) for one, other in pairs for texts in _texts(one, other)]
    if any(value is None for value in found):
        return "another text: a fault of the chapter or of the code"
    most = max([value for value in found if value is not None], default=Decimal(0))
    stated = "the stated tolerance" if tolerance else "0.001 of the number (this cell states no tolerance)"
    if most <= MACHINE:
        return f"numbers within {most:.1f} times {stated}: a hint at the machine"
    return f"numbers {most:.1f} times {stated} apart: a fault, or a tolerance far too small"


def install() -> None:
    """Let nbval compare this way."""
    from nbval.plugin import IPyNbCell

    plain = IPyNbCell.compare_outputs

    def compare_outputs(self: Any, test: Any, ref: Any, skip_compare: Any = None) -> bool:
        tolerance = tolerance_of(self.cell)
        close = near(ref, test, tolerance) if tolerance else test
        same: bool = plain(self, close, ref, skip_compare)
        if not same:
            self.comparison_traceback.append(told(ref, test, tolerance))
        return same

    if plain.__name__ != "compare_outputs" or plain.__module__ != __name__:
        IPyNbCell.compare_outputs = compare_outputs


def _words(text: str) -> str:
    return BLANKS.sub(" ", NUMBER.sub(" # ", text)).strip()


def _numbers(text: str) -> list[Decimal]:
    return [Decimal(found.replace("−", "-")) for found in NUMBER.findall(text)]


def _texts(one: Any, other: Any) -> list[tuple[str, str]]:
    """The texts of two outputs beside each other; a different kind or media type is a different text."""
    if one.get("output_type") != other.get("output_type"):
        return [("", "other")]
    if one.output_type == "stream":
        return [(one.text, other.text)] if one.name == other.name else [("", "other")]
    left, right = one.get("data", {}), other.get("data", {})
    if set(left) != set(right):
        return [("", "other")]
    return [(left[kind], right[kind]) for kind in left if kind.startswith("text/")]


def _output(one: Any, other: Any, tolerance: Tolerance) -> Any:
    pairs = _texts(one, other)
    if any((value := excess(*pair, tolerance)) is None or value > 1 for pair in pairs):
        return other
    result = NotebookNode(other)
    if one.output_type == "stream":
        result.text = one.text
    elif "data" in one:
        kept = {kind: text for kind, text in one.data.items() if kind.startswith("text/")}
        result.data = NotebookNode({**other.data, **kept})
    return result
