"""Frames in pictures, drawn large where they can be, in the pixels that boxes count.

Pixel i of a frame covers [i, i + 1), as boxes count it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.data.drawn import Drawn
from stad_lite.errors import FormatError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

Frames = np.ndarray | Drawn
"""(t, h, w, 3) or (t, h, w) uint8 or floats in [0, 1], or the same frames drawn larger."""


def as_drawn(frames: Frames) -> Drawn:
    """Return frames as (t, h, w, 3) uint8 with their scale.

    raises: FormatError
    """
    if isinstance(frames, Drawn):
        return frames
    frames = np.asarray(frames)
    if frames.ndim == 3:
        frames = np.repeat(frames[..., None], 3, axis=-1)
    if frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise FormatError(f"frames have shape {frames.shape}", remedy="give (t, h, w, 3), channels last")
    if frames.dtype == np.uint8:
        return Drawn(frames)
    if frames.dtype.kind != "f" or frames.min() < 0 or frames.max() > 1:
        raise FormatError(f"frames are {frames.dtype}", remedy="give uint8, or floats from 0 to 1")
    return Drawn(np.round(frames * 255).astype(np.uint8))


def as_one(frame: Frames) -> Drawn:
    """Return one frame (h, w, 3) as one that may be drawn larger. raises: FormatError"""
    return frame if isinstance(frame, Drawn) else as_drawn(np.asarray(frame)[None])[0]


def show(ax: Axes, frame: Frames, faint: bool = False) -> Axes:
    """Show one frame without ticks; boxes drawn on the axes are in the pixels that they count.

    frame: (h, w, 3), or one frame drawn larger
    faint: half as strong, in few shades: noise that nobody looks at makes large files
    """
    drawn = as_one(frame)
    height, width = drawn.size
    pixels: np.ndarray = drawn.pixels
    if faint:
        pixels = np.round(24 * (1 - (1 - pixels / 255) * 0.6)) / 24
    ax.imshow(pixels, extent=(0, width, height, 0))
    ax.set(xticks=[], yticks=[], label="a frame of a clip")
    return ax


def outline(box: np.ndarray, colour: str, **options: Any) -> Rectangle:
    """Return the outline of a box (4,) xyxy pixels, to be added to axes; ``options`` are those of a patch."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = map(float, box)
    return Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, **options)


def boxed(
    ax: Axes, frame: Frames, boxes: Iterable[tuple[np.ndarray, str]], title: str = "", faint: bool = False
) -> Axes:
    """Show one frame with boxes on it.

    frame, faint: as in ``show``
    boxes: pairs of a box (4,) xyxy pixels and its colour; what leaves the frame is not shown
    """
    height, width = as_one(frame).size
    show(ax, frame, faint)
    for box, colour in boxes:
        ax.add_patch(outline(box, colour, linewidth=1.8))
    ax.set(title=title, xlim=(0, width), ylim=(height, 0))
    return ax
