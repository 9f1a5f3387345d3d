"""What a reader of others' files hands back: the record, and a count of everything odd it met."""

from __future__ import annotations

from collections import Counter
from typing import Generic, NamedTuple, TypeVar

from stad_lite.records.types import Annotations, Predictions

Record = TypeVar("Record", Annotations, Predictions)

_NAMED = 3
"""How many places a sentence names before it only counts them."""


class Reading(NamedTuple, Generic[Record]):
    """A record and what was odd in the files it came from.

    record: annotations or predictions
    report: one sentence for each kind of oddity, with its count and the first places
    """

    record: Record
    report: list[str]


class Tally:
    """Counts oddities by kind and remembers where they were.

    >>> tally = Tally()
    >>> for video in ("a", "a", "b"):
    ...     tally.note("zero-length segments, kept", video)
    >>> tally.sentences()
    ['zero-length segments, kept: 3 (a, b)']
    """

    def __init__(self) -> None:
        self._places: dict[str, Counter[str]] = {}

    def note(self, what: str, where: str = "", count: int = 1) -> None:
        """Count an oddity; ``where`` is the video or file it stands in."""
        if count:
            self._places.setdefault(what, Counter())[where] += count

    def sentences(self) -> list[str]:
        """Return one sentence a kind, in the order in which the kinds were first met."""
        return [f"{what}: {places.total()}{_named(places)}" for what, places in self._places.items()]


def _named(places: Counter[str]) -> str:
    names = [name for name in places if name]
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" ({', '.join(names[:_NAMED])}{more})"
