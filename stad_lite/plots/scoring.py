"""What a score is made of: ranked boxes, the curve of precision and recall, ties, kinds of error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.plots import style
from stad_lite.plots.frames import outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stad_lite.metrics.result import Result


def ranked_boxes(
    true: Sequence[tuple[int, Sequence[float]]],
    found: Sequence[tuple[float, int, Sequence[float]]],
    size: tuple[float, float],
) -> Any:
    """Draw true boxes (grey) and detections with their ranks, a panel a frame.

    true: (frame, xyxy pixels) of each
    found: (score, frame, xyxy pixels) of each, best first
    size: width and height of a frame in pixels
    returns: the axes
    """
    from matplotlib.patches import Rectangle

    frames = 1 + max(frame for frame, _ in true)
    _, axes = style.figure(columns=frames, height=2.3)
    for frame, (x1, y1, x2, y2) in true:
        grey: Any = {"facecolor": style.GREY, "edgecolor": style.INK, "alpha": 0.35}
        axes[frame].add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **grey))
    drawn = [0] * frames
    for rank, (_, frame, box) in enumerate(found, 1):
        tone, ax, (_, y1, x2, y2) = style.colour(drawn[frame]), axes[frame], box
        ax.add_patch(outline(np.asarray(box), tone, linewidth=1.4))
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        place = x2, y2 - 3 - 8 * drawn[frame] % (y2 - y1)
        ax.text(*place, str(rank), color=tone, fontsize=8, ha="center", va="center", bbox=behind)
        drawn[frame] += 1
    for frame, ax in enumerate(axes):
        ax.set(xlim=(0, size[0]), ylim=(size[1], 0), aspect="equal", xticks=[], yticks=[])
        ax.set(title=f"frame {frame}: truth grey, detections by rank")
    return axes


def precision_recall(hits: np.ndarray, truths: int, ax: Axes | None = None) -> Axes:
    """Draw precision against recall down a list of detections, and the envelope behind.

    hits: (n,) whether each is true, best score first; blue dots, others red
    """
    if ax is None:
        ax = style.figure(width=0.75 * style.WIDTH, height=2.6)[1]
    found = np.cumsum(hits)
    recall, precision = found / truths, found / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    edge, top = np.append(0, recall), np.append(envelope[0], envelope)
    ax.fill_between(edge, top, step="pre", color=style.PALE, label="envelope")
    ax.plot(edge, np.append(1, precision), color=style.GREY, label="trapezoid")
    tones = [style.colour(0 if hit else 5) for hit in hits]
    ax.scatter(recall, precision, c=tones, zorder=3, clip_on=False)
    ax.set(xlim=(0, 1), ylim=(0, 1.05), xlabel="recall", ylabel="precision")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def points_moved(moves: Mapping[str, float], ax: Axes | None = None) -> Axes:
    """Draw by how many points each thing moves a value, as bars with their numbers."""
    if ax is None:
        ax = style.figure(width=7.0, height=0.9 + 0.19 * len(moves))[1]
    bars = ax.barh(list(moves), [round(value, 2) + 0.0 for value in moves.values()], color=style.colour(0))
    ax.bar_label(bars, fmt="%+.2f", padding=3)
    ax.axvline(0, color=style.GREY, lw=0.8)
    ax.margins(x=0.15)
    ax.invert_yaxis()
    return ax


def tied(values: Sequence[float], ends: Mapping[str, float]) -> Axes:
    """Draw the values of random orders as a histogram, and those of stated orders as lines."""
    _, ax = style.figure(width=7.0, height=2.0)
    span = max(ends.values()) - min(ends.values())
    ax.hist(
        values, np.arange(min(ends.values()), max(ends.values()) + span, span / 80), color=style.colour(4)
    )
    for (name, value), tone in zip(ends.items(), (5, 2, 7), strict=False):
        ax.axvline(value, color=style.colour(tone), label=name)
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.set_xlim(min(ends.values()) - 0.05 * span, max(ends.values()) + 0.05 * span)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def kinds_of_error(found: Mapping[str, Result]) -> Any:
    """Draw how many errors of each kind detectors make, and what mending a kind gains, side by side."""
    _, axes = style.figure(columns=2, height=2.6, sharey=True)
    tables = {name: (errors.counts or {}, errors.gain or {}) for name, errors in found.items()}
    kinds = list(dict.fromkeys(kind for counts, _ in tables.values() for kind in counts))
    thick = 0.8 / len(found)
    for place, (name, pair) in enumerate(tables.items()):
        rows = np.arange(len(kinds)) + thick * place
        for ax, table in zip(axes, pair, strict=True):
            ax.barh(rows, [table.get(kind, 0) for kind in kinds], thick, label=name)
    middle = np.arange(len(kinds)) + thick * (len(found) - 1) / 2
    names = [kind.replace("_", " ") for kind in kinds]
    axes[0].set(yticks=middle, yticklabels=names, xlabel="how many")
    axes[1].set(xlabel="points gained by mending it")
    axes[0].invert_yaxis()
    if len(found) > 1:
        axes[0].legend()
    return axes
