"""When frames are shown: time stamps of a file's frames as a rate, or as seconds where they keep no rate.

A header's rate is believed only where the stamps agree with it: phones, screens and recorders write frames as
they come, and some containers say twice their rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SLACK = 0.25
"""Frames that a stamp may lie beside its place at a constant rate (they are rounded to ticks)."""

DELAY = 8
"""Frames by which a decoder may lag behind the places of an .avi, which holds no stamps."""


def timing(
    stamps: Sequence[float | None], last: float, rate: float | None, places: bool = False
) -> tuple[float | None, tuple[float, ...] | None]:
    """Return frames a second on average, and when frames are shown where that is not number / rate.

    stamps: seconds of the player's clock at which frames are shown, None for a frame that does not say
    last: seconds that the last frame is shown, 0 where that is not known
    rate: what the header says, None where it says nothing
    places: stamps are places in the file and not in the order of showing (.avi)
    returns: the rate, and (frames + 1) seconds at which frames begin and the last one ends, or None

    >>> timing([0.0, 0.04, 0.08], 0.04, 50.0)
    (25.0, None)
    >>> timing([0.0, 0.5, 2.0], 0.5, 25.0)
    (1.2, (0.0, 0.5, 2.0, 2.5))
    """
    known = [stamp for stamp in stamps if stamp is not None]
    if not known or len(known) < len(stamps):
        return rate, None
    begins = _rising(np.array(known), rate, places)
    steps = np.diff(begins)
    last = last or (float(steps[-1]) if len(steps) else 1 / (rate or 25.0))
    span = begins[-1] - begins[0]
    for fps in (rate, (len(begins) - 1) / span if span > 0 else 1 / last):
        if fps and begins[0] * fps <= 1 and abs(last * fps - 1) <= 1 and _even(begins, fps):
            return _plain(fps), None
    ends = begins[-1] + last
    return float(len(begins) / (ends - begins[0])), (*begins.tolist(), float(ends))


def _even(begins: np.ndarray, fps: float) -> bool:
    return bool((np.abs(begins - begins[0] - np.arange(len(begins)) / fps) * fps <= SLACK).all())


def _rising(begins: np.ndarray, rate: float | None, places: bool) -> np.ndarray:
    """Stamps that rise: those that repeat or go back are a usual step after the one before."""
    if places:
        begins = np.sort(begins)
        if begins[0] * (rate or 25.0) <= DELAY:
            begins = begins - begins[0]
    steps = np.diff(begins)
    if (steps > 0).all():
        return begins
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1 / (rate or 25.0)
    return begins[0] + np.concatenate([[0.0], np.cumsum(np.where(steps > 0, steps, usual))])


def _plain(fps: float) -> float:
    """A rate without the last bits of its division: a whole one, where it is that close."""
    return float(round(fps)) if abs(fps - round(fps)) < 1e-6 * fps else float(fps)
