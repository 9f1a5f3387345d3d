"""Linking, seen from the side: detections and tubes over time, a lattice of edges, spans on a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.plots import style
from stad_lite.tubes import Tube

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def from_the_side(
    truth: Sequence[Tube] = (),
    found: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    tubes: Sequence[Tube] = (),
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw a clip from the side: time to the right, x upwards.

    truth: grey areas, from the left to the right edge of the boxes
    found: frames (n,), boxes (n, 4) xyxy pixels and scores (n,), dots at the middle, darker for higher scores
    tubes: lines along the middle, one colour each
    """
    if ax is None:
        ax = style.figure(width=0.75 * style.WIDTH, height=2.5)[1]
    for tube in truth:
        ax.fill_between(tube.frames, tube.boxes[:, 0], tube.boxes[:, 2], color=style.PALE, alpha=0.7, lw=0)
    if found is not None:
        frame, boxes, score = found
        ax.scatter(frame, boxes[:, [0, 2]].mean(1), s=9, c=score, cmap="Greys", vmin=-0.4, vmax=1)
    for index, tube in enumerate(tubes):
        ax.plot(tube.frames, tube.boxes[:, [0, 2]].mean(1), color=style.colour(index))
    ax.set(xlabel="frame", ylabel="x (pixels)", title=title)
    return ax


def lattice(edges: np.ndarray, paths: Sequence[Sequence[int]], ax: Axes, title: str = "") -> Axes:
    """Draw a lattice of boxes, the weight of each edge, and paths through it.

    edges: (columns - 1, boxes, boxes)
    paths: places of their boxes, column by column as ``column * boxes + box``
    """
    boxes = edges.shape[1]
    for index, path in enumerate(paths):
        at = np.array([divmod(place, boxes) for place in path])
        ax.plot(*at.T, "o-", color=style.colour(index), lw=3, ms=9)
    label: Any = {"fontsize": 7, "ha": "center", "va": "center", "zorder": 3}
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    for t, i, j in product(*map(range, edges.shape)):
        ax.plot([t, t + 1], [i, j], color=style.PALE, lw=1, zorder=0)
        ax.text(t + 0.3, i + 0.3 * (j - i), f"{edges[t, i, j]:.2f}", bbox=behind, **label)
    names = [chr(ord("A") + box) for box in range(boxes)]
    ax.set(title=title, xticks=range(len(edges) + 1), yticks=range(boxes), yticklabels=names, xlabel="frame")
    ax.set_ylim(boxes - 0.6, -0.4)
    return ax


def spans(rows: Mapping[str, Sequence[tuple[float, float]]], ax: Axes, top: float = 0.0) -> Axes:
    """Draw spans of time as bars, one line a name, below a height.

    rows: name -> (start, end) of each; the first one is black, and has no colour of the palette
    """
    for row, (name, parts) in enumerate(rows.items()):
        tone = style.colour(row - 1) if row else style.INK
        bars = [(start, end - start) for start, end in parts]
        ax.broken_barh(bars, (top - 0.15 - 0.12 * row, 0.1), color=tone, label=name)
    return ax
