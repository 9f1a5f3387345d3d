"""Pictures of proposals and boundaries: what boxes find, where tubes are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.frames import Frames, outline, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def on_frame(
    image: Frames,
    boxes: np.ndarray,
    truth: np.ndarray,
    found: np.ndarray,
    ax: Axes | None = None,
    colour: str | Sequence[str] = "#FFFFFF",
    title: str = "",
) -> Axes:
    """Show a frame with some boxes and the true ones: solid where they are found, dashed where not.

    image: (h, w, 3) uint8, or one frame drawn larger
    boxes: (n, 4) xyxy pixels, drawn thin
    colour: of all boxes, or of each
    truth: (m, 4) xyxy pixels
    found: (m,) bool
    returns: the axes
    raises: FormatError where ``found`` does not fit the truth
    """
    boxes, truth = (np.asarray(some, dtype=np.float64).reshape(-1, 4) for some in (boxes, truth))
    if np.shape(found) != (len(truth),):
        raise FormatError(f"{np.size(found)} answers for {len(truth)} true boxes", remedy="give one a box")
    ax = ax or style.figure(width=2.4, height=2.4)[1]
    show(ax, image)
    tones = [colour] * len(boxes) if isinstance(colour, str) else colour
    for box, tone in zip(boxes, tones, strict=True):
        ax.add_patch(outline(box, tone, linewidth=1.4, alpha=0.9))
    for box, hit in zip(truth, found, strict=True):
        line = "-" if hit else (0, (3, 2))
        ax.add_patch(outline(box, style.PALETTE[6], linewidth=2.2, linestyle=line))
    ax.set_axis_off()
    ax.set_title(title)
    ax.set_label(f"a frame, {int(np.sum(found))} of {len(truth)} true boxes found,")
    return ax


def cut_curve(
    scores: np.ndarray,
    filtered: np.ndarray,
    threshold: float,
    spans: Mapping[str, Sequence[tuple[int, int]]],
    ax: Axes | None = None,
    start: int = 0,
) -> Axes:
    """Draw scores along a tube, what the filter makes of them, the threshold, and spans of frames below.

    scores, filtered: (n,) from 0 to 1
    spans: name -> [start, end) ranges, such as the truth and what is left after trimming; a row each
    start: number of the first frame
    returns: the axes
    raises: FormatError where the two curves differ in length
    """
    if np.shape(scores) != np.shape(filtered):
        raise FormatError(f"{np.size(filtered)} filtered scores for {np.size(scores)}")
    ax = ax or style.figure(width=5.0, height=2.4)[1]
    frames = start + np.arange(len(scores))
    ax.plot(frames, scores, "o", color=style.GREY, label="score")
    ax.step(frames, filtered, where="mid", color=style.colour(0), label="median")
    ax.axhline(threshold, color=style.INK, linestyle=":", linewidth=1.0)
    for row, (name, ranges) in enumerate(spans.items()):
        bars = [(first - 0.5, end - first) for first, end in ranges]
        tone = style.colour((7, 0, 1, 2)[row % 4])
        ax.broken_barh(bars, (-0.16 - 0.15 * row, 0.1), color=tone)
        ax.text(frames[-1] + 0.8, -0.11 - 0.15 * row, name, va="center", fontsize=8, color=tone)
    ax.set(ylim=(-0.1 - 0.15 * len(spans), 1.05), xlim=(frames[0] - 0.7, frames[-1] + 0.7))
    ax.set(xlabel="frame", yticks=[0, 0.5, 1])
    told = (f"{name} {first} to {end - 1}" for name, ranges in spans.items() for first, end in ranges)
    ax.set_label(f"scores along a tube over frames {', '.join(told)}")
    return ax
