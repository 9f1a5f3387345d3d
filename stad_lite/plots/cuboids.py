"""Initial boxes, proposals from step to step, and how well they meet the truth (STEP Fig. 2, 4 and 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.describe import describe
from stad_lite.plots.frames import Frames, as_drawn, as_one, outline, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH = "#000000"
"""Outline of true boxes."""


def box_sets(
    sets: Mapping[str, np.ndarray],
    frame: Frames | None = None,
    columns: int = 5,
    width: float = style.WIDTH,
) -> Figure:
    """Return one panel a set of boxes; boxes of one shape have one colour, large ones stand behind.

    sets: title -> (n, 4) xyxy shares of the frame
    frame: (h, w, 3) uint8 drawn pale behind them; a square without it
    width: inches
    raises: FormatError for no sets or boxes of another shape
    """
    if not sets:
        raise FormatError("no sets of boxes", remedy="give at least one")
    height, wide = (1, 1) if frame is None else as_one(frame).size
    columns = min(columns, len(sets))
    rows = -(-len(sets) // columns)
    panel = width / columns
    figure, axes = style.figure(columns, rows, width, rows * (panel * height / wide + 0.2), squeeze=False)
    for ax in axes.ravel()[len(sets) :]:
        ax.set_axis_off()
    for ax, (title, boxes) in zip(axes.ravel(), sets.items(), strict=False):
        if frame is not None:
            show(ax, frame, faint=True)
        _shapes(ax, _checked(boxes) * [wide, height, wide, height])
        ax.set(xlim=(-0.02 * wide, 1.02 * wide), ylim=(1.02 * height, -0.02 * height), aspect="equal")
        ax.set(xticks=[], yticks=[], title=title)
    return figure


def _checked(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise FormatError(f"boxes have shape {boxes.shape}", remedy="give (n, 4) xyxy")
    return boxes


def _shapes(ax: Axes, boxes: np.ndarray) -> None:
    """Outlines drawn a little inside one another, so that edges which coincide can be told apart."""
    sides = np.round(boxes[:, 2:] - boxes[:, :2], 6)
    kinds = sorted({tuple(row) for row in sides.tolist()}, key=lambda row: -row[0] * row[1])
    step = 0.005 * max(np.diff(ax.get_xlim())[0], boxes.max(initial=0))
    for number, (box, side) in enumerate(zip(boxes, sides.tolist(), strict=True)):
        inset = step * (1 + number % 3)
        tone = style.colour(kinds.index(tuple(side)))
        shrunk = box + np.array([inset, inset, -inset, -inset])
        ax.add_patch(outline(shrunk, tone, linewidth=1.1, alpha=0.85))


def refinement(
    frames: Frames,
    steps: Sequence[np.ndarray],
    truth: np.ndarray,
    marked: Sequence[int] = (),
    names: Sequence[str] = (),
    width: float = style.WIDTH,
) -> Figure:
    """Return one row a step: all proposals over the pale frames, the truth in black, chosen ones in colour.

    frames: (t, h, w, 3) uint8, those that are shown
    steps: for each row (m, t, 4) xyxy pixels, the same m proposals from step to step
    truth: (g, t, 4) xyxy pixels; NaN where a truth has no box
    marked: numbers of the proposals that have a colour; the others are thin and grey
    names: of the rows
    raises: FormatError where the shapes do not fit
    """
    frames, truth = as_drawn(frames), np.asarray(truth, dtype=np.float64)
    boxes = [np.asarray(one, dtype=np.float64) for one in steps]
    if not boxes or any(one.ndim != 3 or one.shape[1:] != (len(frames), 4) for one in [*boxes, truth]):
        shapes = ", ".join(str(one.shape) for one in [*boxes, truth])
        raise FormatError(f"{len(frames)} frames with boxes {shapes}", remedy="give (m, frames, 4)")
    height, wide = frames.size
    panel = width / len(frames)
    figure, axes = style.figure(
        len(frames), len(boxes), width, len(boxes) * (panel * height / wide + 0.05), squeeze=False
    )
    for row, (proposals, line) in enumerate(zip(boxes, axes, strict=True)):
        for t, ax in enumerate(line):
            show(ax, frames[t], faint=True)
            _proposals(ax, proposals[:, t], truth[:, t], marked)
            ax.set(xticks=[], yticks=[], xlim=(-1, wide + 1), ylim=(height + 1, -1))
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(names[row] if row < len(names) else f"step {row + 1}")
    describe(figure, _closing_in(boxes, truth, marked, names))
    return figure


def _closing_in(
    steps: Sequence[np.ndarray], truth: np.ndarray, marked: Sequence[int], names: Sequence[str]
) -> str:
    """What rows of refinement show, and how well each meets the truth."""
    (count, frames), rows = steps[0].shape[:2], ", ".join(names) or f"{len(steps)} steps"
    told = f"{frames} frames of a clip in rows ({rows}): {count} proposals, {len(truth)} true tubes in black"
    if not (len(marked) and len(truth)):
        return f"{told}."
    held = []
    for boxes in steps:
        overlaps = box_ops.iou(boxes[list(marked)][:, None], truth[None])  # NaN where a truth has no box
        means = np.nansum(overlaps, -1) / np.maximum(1, np.isfinite(overlaps).sum(-1))
        held.append(f"{means.max(1).mean():.2f}")
    return f"{told}, {len(marked)} in colour; these overlap the truth by {', '.join(held)}."


def _proposals(ax: Axes, proposals: np.ndarray, truth: np.ndarray, marked: Sequence[int]) -> None:
    chosen = list(marked)
    for box in np.delete(proposals, chosen, axis=0):
        ax.add_patch(outline(box, style.GREY, linewidth=0.7, alpha=0.9))
    for box in truth[np.isfinite(truth).all(-1)]:
        ax.add_patch(outline(box, TRUTH, linewidth=1.8))
    for place, number in enumerate(chosen):
        ax.add_patch(outline(proposals[number], style.colour(place), linewidth=1.6))


def scored(
    frame: Frames,
    panels: Mapping[str, np.ndarray],
    scores: np.ndarray,
    truth: np.ndarray = (),  # type: ignore[assignment]
    least: float = 0.0,
    width: float = 0.8 * style.WIDTH,
) -> Figure:
    """Return one frame in panels, over it boxes as wide as they are sure, and the truth in black.

    frame: (h, w, 3) uint8
    panels: title -> (m, 4) xyxy pixels, the same m proposals in each
    scores: (m,) from 0 to 1; those below ``least`` are left out
    truth: (g, 4) xyxy pixels
    """
    figure, axes = style.figure(len(panels), width=width, height=width / len(panels), squeeze=False)
    height, wide = as_one(frame).size
    sure = np.flatnonzero(scores >= least)
    for ax, (title, boxes) in zip(axes[0], panels.items(), strict=True):
        show(ax, frame)
        for box in truth:
            ax.add_patch(outline(box, TRUTH, linewidth=2.2))
        for number in sure:
            ax.add_patch(outline(boxes[number], "#FFFFFF", linewidth=0.6 + 3 * scores[number]))
        ax.set(title=title, xlim=(0, wide), ylim=(height, 0))
    what = f"{len(sure)} of {len(scores)} proposals have a score from {least:g} on"
    describe(figure, f"A frame, {' and '.join(panels)}: {what}; {len(truth)} true boxes in black.")
    return figure


def overlap_histograms(
    steps: Sequence[np.ndarray],
    names: Sequence[str] = (),
    threshold: Sequence[float] = (),
    bins: int = 20,
    width: float = style.WIDTH,
) -> Figure:
    """Return the distribution of overlaps at each step, side by side on one scale (STEP Fig. 4).

    steps: for each step (n,) overlaps in [0, 1]
    names: of the steps
    threshold: of each step, drawn as a line where it is given
    raises: FormatError for no steps or overlaps outside [0, 1]
    """
    values = [np.asarray(one, dtype=np.float64).ravel() for one in steps]
    if not values or any(((one < 0) | (one > 1 + 1e-6)).any() for one in values):
        raise FormatError("overlaps are shares in [0, 1]", remedy="give one array a step")
    figure, axes = style.figure(len(values), width=width, height=2.2, sharey=True, squeeze=False)
    edges = np.linspace(0, 1, bins + 1)
    for number, (one, ax) in enumerate(zip(values, axes[0], strict=True)):
        counts, _ = np.histogram(one.clip(0, 1), edges)
        shares = 100 * counts / max(1, len(one))
        ax.bar(edges[:-1], shares, 1 / bins, align="edge", color=style.colour(0), edgecolor="white", lw=0.4)
        if len(one):
            ax.axvline(one.mean(), 0, 0.75, color=style.INK, linewidth=1.2, label=f"mean {one.mean():.2f}")
        if number < len(threshold):
            label = f"threshold {threshold[number]:g}"
            ax.axvline(threshold[number], 0, 0.75, color=style.colour(1), linestyle="--", label=label)
        ax.set(
            xlim=(0, 1), xlabel="IoU", title=names[number] if number < len(names) else f"step {number + 1}"
        )
        ax.legend(loc="upper right", handlelength=1.2)
    axes[0][0].set_ylabel("proposals (%)")
    axes[0][0].set_ylim(0, 1.35 * max(axes[0][0].get_ylim()[1], 1))
    return figure
