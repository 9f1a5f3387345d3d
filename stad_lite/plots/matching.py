"""Matchings: the table of costs, the window with its pairs, and who holds which truth while training.

A pair is (proposal, truth), two whole numbers; proposals and truths are segments (start, end) in one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.describe import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pairs = Sequence[tuple[int, int]] | np.ndarray
"""Pairs of proposal and truth; an (pairs, 2) array or a sequence."""


def cost_table(
    cost: np.ndarray,
    pairs: Pairs = (),
    ax: Axes | None = None,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    digits: int = 2,
) -> Axes:
    """Draw a table of costs, dear cells dark, and frame the cells of the matched pairs.

    cost: (n, g) of proposal n with truth g; the largest and smallest finite ones end the colours
    pairs: (pairs, 2) proposal and truth
    rows, columns: names of proposals and truths
    digits: decimals written into the cells
    returns: the axes
    raises: FormatError for a cost that is no table or for pairs that are not in it
    """
    from matplotlib.patches import Rectangle

    cost = np.asarray(cost, dtype=np.float64)
    if cost.ndim != 2 or not cost.size:
        raise FormatError(f"costs have shape {cost.shape}", remedy="give a table (n, g)")
    chosen = _pairs(pairs, *cost.shape)
    ax = ax or style.figure(width=0.6 * style.WIDTH)[1]
    shade = _shades(cost)
    ax.imshow(shade, cmap="Greys", vmin=0, vmax=1.6, aspect="auto")
    for n, g in np.ndindex(cost.shape):
        tone = "white" if shade[n, g] > 0.9 else style.INK
        ax.text(g, n, f"{cost[n, g]:.{digits}f}", ha="center", va="center", color=tone, fontsize=8)
    for n, g in chosen:
        outline = Rectangle((g - 0.5, n - 0.5), 1, 1, fill=False, linewidth=2.5, edgecolor=style.colour(g))
        outline.set_clip_on(False)
        ax.add_patch(outline)
    ax.set_yticks(range(len(cost)), rows or [f"p{n + 1}" for n in range(len(cost))])
    ax.set_xticks(range(cost.shape[1]), columns or [f"t{g + 1}" for g in range(cost.shape[1])])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.set_label(f"a table of the costs of {len(cost)} proposals with {cost.shape[1]} truths")
    return ax


def _shades(cost: np.ndarray) -> np.ndarray:
    """Costs from 0 to 1; infinite ones 1."""
    finite = cost[np.isfinite(cost)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    return np.clip(np.nan_to_num((cost - low) / max(high - low, 1e-12), nan=1.0, posinf=1.0), 0, 1)


def lanes(
    truths: np.ndarray,
    proposals: np.ndarray,
    pairs: Pairs = (),
    ax: Axes | None = None,
    names: Sequence[str] | None = None,
    notes: Sequence[str] | None = None,
    colours: Sequence[str] | None = None,
    truth_colours: Sequence[str] | None = None,
    xlabel: str = "time (s)",
) -> Axes:
    """Draw truths above and proposals below as bars in time, and tie the matched ones together.

    truths: (g, 2) start and end; each has a colour of its own where none is given
    proposals: (n, 2) start and end; a matched one has its truth's colour, the others are grey
    pairs: (pairs, 2) proposal and truth
    names: of the truths
    notes: written behind the proposals
    colours: of the proposals, in place of their truths'
    truth_colours: of the truths
    returns: the axes, one lane a proposal from the second on
    raises: FormatError for segments that are not (n, 2) or pairs that are not there
    """
    truths, proposals = _segments(truths, "truths"), _segments(proposals, "proposals")
    chosen = _pairs(pairs, len(proposals), len(truths))
    ax = ax or style.figure(height=0.8 + 0.22 * len(proposals))[1]
    own = dict(chosen)
    tones = truth_colours or [style.colour(g) for g in range(len(truths))]
    for g, (start, end) in enumerate(truths):
        ax.barh(0, end - start, left=start, height=0.7, color=tones[g])
        ax.axvspan(start, end, color=tones[g], alpha=0.08, linewidth=0)
        name = names[g] if names else f"t{g + 1}"
        ax.text((start + end) / 2, 0, name, ha="center", va="center", fontsize=7.5, color="white")
    for n, (start, end) in enumerate(proposals):
        tone = colours[n] if colours else tones[own[n]] if n in own else style.GREY
        ax.barh(n + 1, end - start, left=start, height=0.55, color=tone)
        if notes:
            ax.text(end, n + 1, f" {notes[n]}", va="center", fontsize=7, color=style.INK, bbox=_UNDER)
    for n, g in chosen:
        ends = [truths[g].mean(), proposals[n].mean()]
        ax.plot(ends, [0.35, n + 0.72], color=tones[g], linewidth=1.0)
    ax.set_yticks(range(len(proposals) + 1), ["truth", *(f"p{n + 1}" for n in range(len(proposals)))])
    ax.set(ylim=(len(proposals) + 0.6, -0.6), xlabel=xlabel)
    tied = f", {len(own)} of them tied to a truth," if chosen else ""
    ax.set_label(f"{len(truths)} truths and below {len(proposals)} proposals{tied} as bars on an axis")
    return ax


_UNDER = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "boxstyle": "square,pad=0"}
"""Behind a note, so that no line runs through it."""


def specialists(
    places: np.ndarray,
    lengths: np.ndarray,
    sure: np.ndarray,
    begun: np.ndarray,
    chosen: Sequence[int],
    columns: int = 3,
    height: float = 4.0,
) -> Figure:
    """Return a panel a chosen proposal: its sure answers in colour, all others grey, a cross where it begins.

    places, lengths: (windows, n) middle and length of each proposal's answer, in seconds
    sure: (windows, n) truth values
    begun: (n, 2) middle and length before it has seen anything
    chosen: numbers of proposals
    raises: FormatError where no proposal is chosen
    """
    if not len(chosen):
        raise FormatError("no proposal is chosen", remedy="give at least one")
    rows = -(-len(chosen) // columns)
    shared = {"sharex": True, "sharey": True, "squeeze": False}
    figure, axes = style.figure(columns, rows, style.WIDTH, height, **shared)
    for place, (ax, one) in enumerate(zip(axes.flat, chosen, strict=False)):
        mine = sure[:, one]
        ax.plot(places[sure], lengths[sure], ".", color="0.8")
        ax.plot(places[mine, one], lengths[mine, one], ".", color=style.colour(place))
        ax.plot(*begun[one], "kx")
        ax.set_title(f"proposal {one + 1}")
    for ax in axes[-1]:
        ax.set_xlabel("middle of the answer (s)")
    for ax in axes[:, 0]:
        ax.set_ylabel("its length (s)")
    means = []
    for one in chosen:
        place, length = (values[sure[:, one], one].mean() for values in (places, lengths))
        means.append(f"{one + 1} at {place:.0f} s, {length:.0f} s long")
    told = "Length against middle of all sure answers, grey; in colour, a panel each, those of proposal"
    describe(figure, f"{told} {'; '.join(means)} on average.")
    return figure


def holders(
    steps: np.ndarray,
    segments: np.ndarray,
    holder: np.ndarray,
    truths: np.ndarray,
    ax: Axes | None = None,
    ylabel: str = "time in the window (s)",
) -> Axes:
    """Draw the middles of all proposals over the steps of training, marked where they hold a truth.

    steps: (s,) of the records
    segments: (s, n, 2) the proposals' start and end at each record
    holder: (s, g) which proposal each truth was matched with, below 0 for none
    truths: (g, 2) start and end: the bands
    returns: the axes; markers of a truth have its colour, a line joins those of one and the same proposal
    raises: FormatError where the shapes do not fit
    """
    truths, segments, holder = _segments(truths, "truths"), np.asarray(segments), np.asarray(holder)
    if segments.shape[:1] != np.shape(steps) or holder.shape != (len(segments), len(truths)):
        shapes = f"{np.shape(steps)}, {segments.shape}, {holder.shape}, {truths.shape}"
        raise FormatError(f"steps, segments, holder and truths have shapes {shapes}")
    ax = ax or style.figure(height=3.2)[1]
    steps, middle = np.asarray(steps), segments.mean(2)
    ax.plot(steps, middle, color=style.PALE, linewidth=0.8, zorder=1)
    for g, (start, end) in enumerate(truths):
        tone = style.colour(g)
        ax.axhspan(start, end, color=tone, alpha=0.15, linewidth=0)
        held = np.where(holder[:, g] >= 0, middle[np.arange(len(steps)), holder[:, g]], np.nan)
        for first, last in _runs(holder[:, g]):
            ax.plot(steps[first:last], held[first:last], color=tone, linewidth=1.4, zorder=2)
        ax.plot(steps, held, "o", color=tone, markersize=3, zorder=3, label=f"t{g + 1}")
    ax.set(xlabel="step", ylabel=ylabel)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=max(1, len(truths)), columnspacing=1.0)
    ax.set_title("dots: middle of the proposal that holds each truth")
    return ax


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """First and last (exclusive) of every run of equal values."""
    cuts = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(cuts))


def _pairs(pairs: Any, proposals: int, truths: int) -> list[tuple[int, int]]:
    found = [(int(n), int(g)) for n, g in pairs]
    for n, g in found:
        if not (0 <= n < proposals and 0 <= g < truths):
            raise FormatError(f"no pair ({n}, {g}) among {proposals} proposals and {truths} truths")
    return found


def _segments(segments: Any, name: str) -> np.ndarray:
    array = np.asarray(segments, dtype=np.float64)
    if array.ndim != 2 or array.shape[1:] != (2,):
        raise FormatError(f"{name} have shape {array.shape}", remedy="give (n, 2) start and end")
    return array
