"""Coarse boxes, search areas and refined boxes, over frames and as edges over time (CFAD Fig. 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.frames import Frames, as_drawn, outline, show
from stad_lite.plots.tubes import Tubes, as_tubes
from stad_lite.tubes import Tube

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS: dict[str, dict[str, Any]] = {
    "truth": {"color": style.PALETTE[7], "linestyle": "-", "linewidth": 2.2},
    "search area": {"color": style.PALETTE[0], "linestyle": (0, (1, 1.5)), "linewidth": 1.4},
    "coarse": {"color": style.PALETTE[2], "linestyle": "-", "linewidth": 1.6},
    "refined": {"color": style.PALETTE[5], "linestyle": "-", "linewidth": 1.6},
}
"""How each kind is drawn: green and red are the paper's colours, in the turns that all can tell apart."""


def over_frames(
    frames: Frames,
    kinds: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str] = (),
    columns: int = 8,
    width: float = style.WIDTH,
) -> Figure:
    """Return pale frames side by side with boxes of some kinds, later kinds on top, and what they are called.

    frames: (n, h, w, 3) uint8, those that are shown
    kinds: name in ``LOOKS`` -> for each frame its boxes, (4,) or (k, 4) xyxy pixels; NaN is not drawn
    titles: of the frames
    raises: FormatError for a kind that is not known, or that has not one entry a frame
    """
    _check(kinds, len(frames))
    frames = as_drawn(frames)
    height, wide = frames.size
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    panel, footer = width / columns, 0.28
    tall = rows * (panel * height / wide + 0.22 * bool(titles)) + footer
    figure, axes = style.figure(columns, rows, width, tall, squeeze=False)
    for ax in axes.ravel():
        ax.set_axis_off()
    for number, ax in enumerate(axes.ravel()[: len(frames)]):
        show(ax, frames[number], faint=True)
        for name, boxes in kinds.items():
            for box in np.reshape(boxes[number], (-1, 4)):
                _outline(ax, box, **LOOKS[name])
        # an area or a coarse box may leave the frame; what is outside is not shown
        ax.set(xlim=(-1, wide + 1), ylim=(height + 1, -1))
        ax.set_title(titles[number] if titles else "")
    _legend(figure, list(kinds))
    return figure


def along(
    frames: Frames,
    kinds: Mapping[str, Tubes],
    numbers: Sequence[int],
    columns: int = 8,
) -> Figure:
    """Return some frames of a video with what tubes of some kinds have there (``over_frames``).

    frames: (t, h, w, 3) uint8, the whole video
    kinds: name in ``LOOKS`` -> its tube or tubes
    numbers: of the frames that are shown
    """
    boxes = {name: [boxes_at(tubes, number) for number in numbers] for name, tubes in kinds.items()}
    titles = [f"frame {number}" for number in numbers]
    return over_frames(frames[np.asarray(numbers)], boxes, titles, columns)


def boxes_at(tubes: Tubes, number: int) -> np.ndarray:
    """Return the boxes (k, 4) of the tubes that have one on a frame."""
    here = [tube for tube in as_tubes(tubes) if tube.start <= number < tube.end]
    return np.array([tube.boxes[number - tube.start] for tube in here]).reshape(-1, 4)


def edges(tubes: Mapping[str, Tube], ax: Axes, column: int = 0) -> Axes:
    """Draw where the left and right edges of tubes are over time (upper and lower ones: ``column`` 1).

    tubes: name in ``LOOKS`` -> tube, later ones on top; the truth is filled
    raises: FormatError for a kind that is not known
    """
    _check(tubes)
    for name, tube in tubes.items():
        low, high = tube.boxes[:, column], tube.boxes[:, column + 2]
        look = {**LOOKS[name], "linewidth": 1.6}
        if name == "truth":
            ax.fill_between(tube.frames, low, high, color=style.PALE, linewidth=0)
            look |= {"linewidth": 0.8, "color": style.GREY}
        ax.plot(tube.frames, low, label=name, **look)
        ax.plot(tube.frames, high, **look)
    ax.set(xlabel="frame", ylabel=f"{'xy'[column]} (pixels)")
    return ax


def _check(kinds: Mapping[str, Any], frames: int | None = None) -> None:
    for name, given in kinds.items():
        if name not in LOOKS:
            raise FormatError(f"no look for {name!r}", remedy=f"choose from {', '.join(LOOKS)}")
        if frames is not None and len(given) != frames:
            raise FormatError(f"{name}: boxes of {len(given)} frames, {frames} are shown")


def _outline(ax: Axes, box: np.ndarray, color: str, **options: Any) -> None:
    if np.isfinite(box).all():
        ax.add_patch(outline(box, color, **options))


def _legend(figure: Figure, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=name, **LOOKS[name]) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(names), borderpad=0.1)
