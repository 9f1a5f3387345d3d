"""A training as it goes on, and what it led to: pictures that a notebook shows and renews in place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stad_lite.plots import style
from stad_lite.plots.matching import lanes
from stad_lite.plots.tubes import strip
from stad_lite.records import Segment
from stad_lite.tubes import Tube

Point = tuple[int, float, float]
"""Step, loss, and how much a second went through the network so far."""
COLUMNS, BEST = 8, 3
"""Frames that are shown of a clip, and detections."""


def curve(points: Sequence[Point], steps: int, unit: str) -> bytes:
    """Return a picture of the loss and of the speed over the steps, as PNG.

    steps: of the whole training, 0 where it is not known yet
    unit: of the speed
    """
    from matplotlib.figure import Figure

    last = max([steps, 1, *(step for step, *_ in points)])
    picture = Figure(figsize=(style.WIDTH, 2.4), dpi=style.DPI, layout="constrained")
    for axes, column, title in zip(picture.subplots(1, 2), (1, 2), ("loss", f"{unit} a second"), strict=True):
        axes.plot([point[0] for point in points], [point[column] for point in points], color=style.colour(0))
        axes.set(title=title, xlabel="step", xlim=(0, last), ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    return style.png(picture)


def found_tubes(frames: np.ndarray, tubes: Sequence[Tube], classes: Sequence[str]) -> bytes:
    """Return a clip's frames with the best tubes that were found in it, as PNG.

    frames: (t, h, w, 3) uint8
    """
    best = sorted(tubes, key=lambda tube: -(tube.score or 0.0))[:BEST]
    return _drawn(strip(frames, best, columns=COLUMNS, rows=1, classes=classes))


def found_segments(truths: Sequence[Segment], found: Sequence[Segment]) -> bytes:
    """Return a video's true segments above the best that were found in it, as PNG."""
    best = sorted(found, key=lambda one: -(one.score or 0.0))[: 2 * BEST]
    true, ours = (np.array([(s.start, s.end) for s in some]).reshape(-1, 2) for some in (truths, best))
    notes = [f"{one.label} {one.score or 0.0:.2f}" for one in best]
    return _drawn(lanes(true, ours, names=[one.label for one in truths], notes=notes).figure)


def _drawn(figure: Any) -> bytes:
    """A figure as PNG; it is closed, so that a notebook does not show it once more."""
    import matplotlib.pyplot as plt

    content = style.png(figure)
    plt.close(figure)
    return content


@dataclass
class Screen:
    """An output of a notebook's cell, where each picture takes the place of the last; elsewhere nothing.

    seen: whether a notebook shows what is drawn
    """

    seen: bool = field(default_factory=lambda: _in_a_notebook())
    _handle: Any = None

    def show(self, picture: bytes) -> None:
        """Show a PNG."""
        if not self.seen:
            return
        from IPython.display import Image, display

        if self._handle is None:
            self._handle = display(Image(data=picture), display_id=True)
        else:
            self._handle.update(Image(data=picture))


def _in_a_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")
