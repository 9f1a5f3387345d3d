"""Two streams: their pictures side by side, who helps whom at which stage, and differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stad_lite.data.drawn import Drawn
from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.describe import describe
from stad_lite.plots.frames import Frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LANES = {"rgb": 1.0, "flow": 0.0}
"""Stream -> height of its lane."""

Head = tuple[str, int]
"""Stream and stage."""


def strips(
    rows: Mapping[str, Frames],
    columns: Sequence[str] = (),
    ax: Axes | None = None,
    gap: int = 2,
) -> Axes:
    """Draw pictures in rows, one row a name, all of one size.

    rows: name -> (n, h, w, 3) uint8, or frames drawn larger
    columns: n words that stand over the pictures
    gap: white pixels between pictures, of those that boxes count
    returns: the axes
    raises: FormatError for no row, and for rows that differ in shape

    >>> strips({"clean": np.zeros((3, 4, 4, 3), np.uint8)}, "abc").get_yticklabels()[0].get_text()
    'clean'
    """
    drawn = [row if isinstance(row, Drawn) else Drawn(np.asarray(row)) for row in rows.values()]
    tables, gap = [row.pixels for row in drawn], gap * max((row.scale for row in drawn), default=1)
    shapes = {table.shape for table in tables}
    if len(shapes) != 1 or tables[0].ndim != 4:
        raise FormatError(f"rows of shapes {sorted(shapes)}", remedy="give (n, h, w, 3), the same for all")
    count, height, width = tables[0].shape[:3]
    if columns and len(columns) != count:
        raise FormatError(f"{len(columns)} words for {count} pictures", remedy="give one a picture")
    sheet = np.full((len(rows) * (height + gap), count * (width + gap), 3), 255, np.uint8)
    for i, table in enumerate(tables):
        for j, picture in enumerate(table):
            y, x = i * (height + gap), j * (width + gap)
            sheet[y : y + height, x : x + width] = picture
    if ax is None:
        aspect = sheet.shape[0] / sheet.shape[1]
        ax = style.figure(height=0.3 + 0.9 * style.WIDTH * aspect)[1]
    ax.imshow(sheet)
    ax.set_yticks([(i + 0.5) * (height + gap) - gap / 2 for i in range(len(rows))], list(rows))
    ax.set_xticks([(j + 0.5) * (width + gap) - gap / 2 for j in range(len(columns))], list(columns))
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_label(f"{count} frames side by side in rows: {', '.join(rows)}")
    return ax


def cooperation(turns: Sequence[tuple[Head, Head, Head]], ax: Axes | None = None, image: bool = True) -> Axes:
    """Draw the heads of both streams, and who helps whom.

    turns: one a stage from 1 on: the head (stream, stage), the head of its own stream whose boxes it takes,
        and the head of the other stream that helps it with boxes and features
    image: whether flow sends RGB a message at image level
    returns: the axes
    raises: FormatError for a stream that is neither rgb nor flow
    """
    heads = [("rgb", 0), ("flow", 0), *(head for head, _, _ in turns)]
    for stream, _ in (head for turn in turns for head in turn):
        if stream not in LANES:
            raise FormatError(f"no stream is called {stream!r}", remedy=f"choose from {', '.join(LANES)}")
    last = max(stage for _, stage in heads)
    if ax is None:
        ax = style.figure(height=2.3)[1]
    for stream, lane in LANES.items():
        name = "RGB" if stream == "rgb" else "flow"
        _box(ax, (-1, lane), f"{name}\nmaps", style.GREY)
        _arrow(ax, (-1, lane), (0, lane), style.PALE, 0)
    for stream, stage in heads:
        _box(ax, (stage, LANES[stream]), f"stage {stage}", style.colour(list(LANES).index(stream)))
    for (stream, stage), own, other in turns:
        place = (stage, LANES[stream])
        _arrow(ax, (own[1], LANES[own[0]]), place, style.GREY, -0.25 if stream == "rgb" else 0.25)
        _arrow(ax, (other[1], LANES[other[0]]), place, style.colour(5), 0)
    if image:
        _arrow(ax, (-1, LANES["flow"]), (-1, LANES["rgb"]), style.colour(5), 0)
    ax.set(xlim=(-1.5, last + 0.5), ylim=(-0.55, 1.55))
    told = "; ".join(f"stage {n} of {s}: own {own[1]}, {other[0]} {other[1]}" for (s, n), own, other in turns)
    ax.set_label(f"heads of two streams; the stages whose boxes reach them by arrows: {told}")
    ax.set_axis_off()
    return ax


def _box(ax: Axes, place: tuple[float, float], text: str, colour: str) -> None:
    frame = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": colour, "linewidth": 1.6}
    ax.text(*place, text, ha="center", va="center", bbox=frame, zorder=3)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, bend: float) -> None:
    look = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.6, "shrinkA": 20, "shrinkB": 20}
    ax.annotate("", end, start, arrowprops={**look, "connectionstyle": f"arc3,rad={bend}"})


def class_tables(chances: Mapping[str, np.ndarray], classes: Sequence[str], true: int) -> Figure:
    """Draw probabilities of classes called ``look-motion`` as tables, a row a look; red: the true class.

    chances: title -> (k,) probabilities
    classes: k names, all looks times all motions
    true: place of the true class
    raises: FormatError where the classes are no table
    """
    from matplotlib.patches import Rectangle

    looks, motions = (list(dict.fromkeys(name.split("-")[at] for name in classes)) for at in (0, -1))
    if [f"{look}-{motion}" for look in looks for motion in motions] != list(classes):
        raise FormatError(f"classes {', '.join(classes)}", remedy="give all looks times motions")
    figure, axes = style.figure(len(chances), height=2.2, squeeze=False)
    for ax, (title, values) in zip(axes[0], chances.items(), strict=True):
        table = np.reshape(values, (len(looks), len(motions)))
        ax.imshow(table, vmin=0, vmax=1, cmap="Blues")
        for (y, x), value in np.ndenumerate(table):
            tone = "white" if value > 0.6 else style.INK
            ax.text(x, y, f"{value:.2f}", ha="center", va="center", color=tone)
        y, x = divmod(true, len(motions))
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, lw=2, ec=style.colour(5), zorder=3))
        ax.set(xticks=range(len(motions)), xticklabels=motions, title=title)
        ax.set(yticks=range(len(looks)), yticklabels=looks if ax is axes[0, 0] else [])
    said = "; ".join(f"{values[true]:.2f} {' '.join(title.split())}" for title, values in chances.items())
    describe(figure, f"Tables of probabilities of all classes. The true one, {classes[true]}, gets {said}.")
    return figure


def bars(pairs: Mapping[str, tuple[float, float]], ylabel: str) -> Axes:
    """Draw bars in pairs, alone and with help, in the two streams' colours; a line each: what it was before.

    pairs: name -> the bar and the line, in percent; alone and helped in turns
    """
    ax: Axes = style.figure(width=5.0, height=2.6)[1]
    for x, (value, before) in enumerate(pairs.values()):
        ax.bar(x, value, 0.6, color=style.colour(x // 2), alpha=0.5 + x % 2 / 2)
        ax.plot([x - 0.4, x + 0.4], [before] * 2, color=style.INK, linewidth=1)
    ax.set_xticks(range(len(pairs)), list(pairs))
    ax.set(ylim=(0, 100), ylabel=ylabel)
    told = "; ".join(f"{' '.join(n.split())} {v:.0f}, line at {b:.0f}" for n, (v, b) in pairs.items())
    describe(ax.figure, f"Bars of {ylabel}: {told}.")  # type: ignore[arg-type]
    return ax


def differences(
    rows: Sequence[tuple[str, float, float, float]], ax: Axes | None = None, xlabel: str = "difference"
) -> Axes:
    """Draw one difference a line with its interval; those whose interval holds 0 are grey.

    rows: (name, mean, low, high), from the top
    returns: the axes
    raises: FormatError for no rows
    """
    if not rows:
        raise FormatError("there are no differences to draw", remedy="give at least one row")
    if ax is None:
        ax = style.figure(width=0.85 * style.WIDTH, height=0.7 + 0.27 * len(rows))[1]
    ax.axvline(0, color=style.PALE, linewidth=1)
    for y, (_, mean, low, high) in enumerate(rows):
        tone = style.colour(0) if low > 0 else style.colour(5) if high < 0 else style.GREY
        if np.isfinite([low, high]).all():
            ax.plot([low, high], [y, y], color=tone, solid_capstyle="butt")
        ax.plot([mean], [y], "o", color=tone)
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
    told = "; ".join(f"{name} {mean:+.1f} ({low:+.1f} to {high:+.1f})" for name, mean, low, high in rows)
    ax.set_label(f"one line a claim, {told}:")
    return ax
