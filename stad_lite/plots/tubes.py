"""Tubes over frames: contact sheet, traces over time, space-time prism, animation.

Pixel i of a frame covers [i, i + 1), as boxes count it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.describe import describe
from stad_lite.plots.frames import Frames, as_drawn, outline
from stad_lite.records import VideoAnnotation
from stad_lite.tubes import Tube

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Tubes = Tube | np.ndarray | Sequence[Tube]
"""One tube, one (n, 4) array of boxes from frame 0 on, or several tubes."""


def as_tubes(tubes: Tubes) -> list[Tube]:
    """Return tubes as a list, whatever they came as."""
    if isinstance(tubes, Tube):
        return [tubes]
    if isinstance(tubes, np.ndarray):
        return [Tube(0, tubes)]
    return list(tubes)


def tube_colours(tubes: Sequence[Tube], classes: Sequence[str] | None) -> list[str]:
    """Return a colour for each tube: its class's where classes are given, else its place's."""
    if classes is None:
        return [style.colour(index) for index in range(len(tubes))]
    table = style.class_colours(classes)
    return [table.get(tube.label, style.GREY) for tube in tubes]


def spread(count: int, wanted: int | None) -> np.ndarray:
    """Return the numbers of ``wanted`` frames out of ``count``, evenly spread, ends included.

    >>> spread(32, 4).tolist()
    [0, 10, 21, 31]
    """
    if wanted is None or wanted >= count:
        return np.arange(count)
    return np.round(np.linspace(0, count - 1, wanted)).astype(int)


def strip(
    frames: Frames,
    tubes: Tubes = (),
    columns: int = 8,
    rows: int | None = None,
    classes: Sequence[str] | None = None,
    first_frame: int = 0,
    width: float = style.WIDTH,
) -> Figure:
    """Return a contact sheet: frames side by side with the boxes that the tubes have there.

    frames: (t, h, w, 3) uint8, or floats in [0, 1]
    tubes: drawn on the frames they live on
    rows: how many rows of ``columns`` evenly spread frames; None shows every frame
    classes: gives each class its colour and draws a legend; without, each tube has a colour
    first_frame: number of ``frames[0]`` in the video
    width: inches
    raises: FormatError
    """
    frames, tubes = as_drawn(frames), as_tubes(tubes)
    shown = spread(len(frames), None if rows is None else rows * columns)
    columns = min(columns, len(shown))
    h, w = frames.size
    gap = max(w, h) * 0.03
    sheet = (columns * (w + gap) - gap, -(-len(shown) // columns) * (h + gap) - gap)
    present = [name for name in classes or () if any(tube.label == name for tube in tubes)]
    figure, ax = _sheet_axes(sheet, width, legend=bool(present))
    colours = tube_colours(tubes, classes)
    for place, index in enumerate(shown):
        x, y = place % columns * (w + gap), place // columns * (h + gap)
        ax.imshow(frames.pixels[index], extent=(x, x + w, y + h, y))
        number = int(index) + first_frame
        ax.text(x + 0.03 * w, y + 0.03 * h, str(number), va="top", fontsize=6.5, color="white", bbox=_TAG)
        for tube, colour in zip(tubes, colours, strict=True):
            if tube.start <= number < tube.end:
                ax.add_patch(outline(tube.boxes[number - tube.start] + [x, y, x, y], colour, linewidth=1.4))
    ax.set(xlim=(0, sheet[0]), ylim=(sheet[1], 0))
    if present:
        style.class_legend(figure, classes or (), present)
    what = f"the boxes of {len(tubes)} tube{'s' * (len(tubes) > 1)}" if tubes else "no boxes"
    named = ", ".join(dict.fromkeys(tube.label for tube in tubes if tube.label))
    numbers = ", ".join(str(int(index) + first_frame) for index in shown)
    describe(figure, f"Frames {numbers} of a clip with {what}{': ' * bool(named)}{named}.")
    return figure


def on_grey(video: VideoAnnotation, columns: int = 6, width: float = style.WIDTH) -> Figure:
    """Return a line of a video's frames in grey with its boxes and the way of their centres: no footage.

    video: with the numbers of its frames, their width and their height
    raises: FormatError
    """
    if not (video.num_frames and video.width and video.height):
        raise FormatError("the video's frames have no size", remedy="give num_frames, width and height")
    shape = (video.num_frames, video.height, video.width, 3)
    tubes = video.tubes or ()
    figure = strip(np.broadcast_to(_GREY, shape), tubes, columns, rows=1, width=width)
    for place in range(min(columns, video.num_frames)):
        left = place * (video.width + 0.03 * max(video.width, video.height))
        for tube, colour in zip(tubes, tube_colours(tubes, None), strict=True):
            x, y = (tube.boxes[:, :2] + tube.boxes[:, 2:]).T / 2
            figure.axes[0].plot(left + x, y, color=colour, linewidth=0.8)
    describe(figure, describe(figure).replace("Frames", "Grey in place of the frames", 1))
    return figure


_GREY = np.array(205, dtype=np.uint8)
_TAG = {"facecolor": style.INK, "alpha": 0.6, "linewidth": 0, "boxstyle": "square,pad=0.15"}


def _sheet_axes(sheet: tuple[float, float], width: float, legend: bool) -> tuple[Figure, Axes]:
    """A figure whose axes fill it, but for a line of legend at the bottom."""
    picture, footer = width * sheet[1] / sheet[0], 0.28 if legend else 0.0
    figure = style.bare_figure(width, picture + footer)
    ax = figure.add_axes((0, footer / (picture + footer), 1, picture / (picture + footer)))
    ax.set_axis_off()
    return figure, ax


def traces(
    tubes: Tubes,
    axes: Axes | Sequence[Axes] | None = None,
    fit: Tubes = (),
    keys: Iterable[float] = (),
    coordinates: str = "xy",
    classes: Sequence[str] | None = None,
    labels: tuple[str, str] = ("truth", "fit"),
) -> np.ndarray:
    """Draw where the box edges go over time: left and right against the frame, top and bottom too.

    tubes: the truth, filled between its two edges
    axes: one axes a coordinate; None makes a figure
    fit: other tubes on top, dashed
    keys: key timestamps in frames, marked on the first tube's edges
    coordinates: ``x``, ``y`` or both
    classes: gives each class its colour
    returns: (len(coordinates),) array of axes; y grows downwards, as in the frame
    raises: FormatError
    """
    tubes, fits, keys = as_tubes(tubes), as_tubes(fit), np.asarray(list(keys), dtype=np.float64)
    if axes is None:
        axes = style.figure(len(coordinates), width=style.WIDTH * len(coordinates) / 2, height=2.4)[1]
    panels = np.atleast_1d(np.asarray(axes, dtype=object))
    if len(panels) != len(coordinates) or not set(coordinates) <= set("xy"):
        raise FormatError(f"{len(panels)} axes for coordinates {coordinates!r}", remedy="give one axes each")
    for ax, name in zip(panels, coordinates, strict=True):
        column = "xy".index(name)
        for tube, colour in zip(tubes, tube_colours(tubes, classes), strict=True):
            low, high = tube.boxes[:, column], tube.boxes[:, column + 2]
            ax.fill_between(tube.frames, low, high, color=colour, alpha=0.15, linewidth=0)
            ax.plot(tube.frames, low, color=colour, label=labels[0] if tube is tubes[0] else None)
            ax.plot(tube.frames, high, color=colour)
        for other in fits:
            edges = other.boxes[:, [column, column + 2]]
            ax.plot(
                other.frames,
                edges[:, 0],
                "--",
                color=style.INK,
                label=labels[1] if other is fits[0] else None,
            )
            ax.plot(other.frames, edges[:, 1], "--", color=style.INK)
        if len(keys) and tubes:
            _mark_keys(ax, tubes[0], keys, column)
        ax.set(xlabel="frame", ylabel=f"{name} (pixels)")
        if name == "y" and not ax.yaxis_inverted():
            ax.invert_yaxis()
    if fits or len(keys):
        panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return panels


def _mark_keys(ax: Axes, tube: Tube, keys: np.ndarray, column: int) -> None:
    for edge in (column, column + 2):
        places = np.interp(keys, tube.frames, tube.boxes[:, edge])
        label = "key timestamps" if edge == column else None
        ax.plot(keys, places, "o", color=style.INK, markersize=4.5, label=label, zorder=4)
    ax.vlines(keys, 0, 1, transform=ax.get_xaxis_transform(), color=style.PALE, linewidth=0.8, zorder=0)


def prism(
    frames: Frames,
    tubes: Tubes,
    slices: int = 4,
    ax: Any = None,
    classes: Sequence[str] | None = None,
    first_frame: int = 0,
    pixels: int = 64,
) -> Any:
    """Draw tubes as bodies in space and time, with a few frames of the clip standing in the same space.

    frames: (t, h, w, 3) uint8, or floats in [0, 1]
    slices: how many frames are shown, evenly spread
    ax: a 3-D axes; None makes one
    pixels: the longer side of the frames as drawn (each pixel is a polygon)
    returns: the 3-D axes: time runs to the right, x to the back, y downwards
    """
    frames, tubes = as_drawn(frames), as_tubes(tubes)
    if ax is None:
        ax = style.bare_figure(style.WIDTH * 0.8, 3.4).add_axes((0, 0, 1, 1), projection="3d")
    ax.computed_zorder = False
    h, w = frames.size
    for index in spread(len(frames), slices):
        _standing_frame(ax, frames.pixels[index], (h, w), int(index) + first_frame, pixels)
    for tube, colour in zip(tubes, tube_colours(tubes, classes), strict=True):
        _body(ax, tube, colour, first_frame + spread(len(frames), slices))
    ax.set(xlim=(first_frame, first_frame + len(frames)), ylim=(0, w), zlim=(h, 0))
    ax.set(xlabel="frame", ylabel="x", zlabel="y")
    ax.set_box_aspect((2.4, 1.0, h / w), zoom=1.2)
    ax.view_init(elev=18, azim=-58)
    ax.grid(False)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis.get_major_locator().set_params(nbins=4, integer=True)
    describe(
        ax.figure,
        f"Frames of a clip stand one behind the other along time; {len(tubes)} tubes run through them"
        f" from frame {min((tube.start for tube in tubes), default=0)}"
        f" to {max((tube.end for tube in tubes), default=1) - 1}.",
    )
    for artist in ax.collections:
        artist.set_clip_on(False)  # the axes are a square inside the figure; the scene is wider
    return ax


def _standing_frame(ax: Any, image: np.ndarray, size: tuple[int, int], time: float, pixels: int) -> None:
    """One frame as a wall across time, paler than it is; later ones stand in front."""
    h, w = image.shape[:2]
    step = max(1, -(-max(h, w) // pixels))
    small = image[: h // step * step, : w // step * step].reshape(h // step, step, w // step, step, 3)
    colours = 1 - (1 - small.mean(axis=(1, 3)) / 255) * 0.7
    x, y = np.meshgrid(np.linspace(0, size[1], w // step + 1), np.linspace(0, size[0], h // step + 1))
    options = {"rstride": 1, "cstride": 1, "shade": False, "linewidth": 0, "antialiased": False}
    ax.plot_surface(np.full_like(x, time), x, y, facecolors=colours, zorder=1 + time, **options)


def _body(ax: Any, tube: Tube, colour: str, marked: np.ndarray) -> None:
    """The tube's four walls and edges, over the frames, with its box outlined where a frame stands."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

    corners = tube.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    times = np.broadcast_to(tube.frames[:, None, None], (len(tube), 4, 1))
    points = np.concatenate([times, corners], axis=-1)
    after = np.roll(points, -1, axis=1)
    walls = np.stack([points[:-1], after[:-1], after[1:], points[1:]], axis=2).reshape(-1, 4, 3)
    if len(walls):
        ax.add_collection3d(Poly3DCollection(walls, facecolor=colour, alpha=0.2, linewidth=0, zorder=10_000))
        rails = Line3DCollection(points.transpose(1, 0, 2), colors=colour, linewidth=0.9, zorder=10_001)
        ax.add_collection3d(rails)
    here = sorted({0, len(tube) - 1, *(marked[(marked >= tube.start) & (marked < tube.end)] - tube.start)})
    loops = points[here][:, [0, 1, 2, 3, 0]]
    ax.add_collection3d(Line3DCollection(loops, colors=colour, linewidth=1.8, zorder=10_002))
