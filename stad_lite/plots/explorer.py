"""Look through a video with its boxes: a live widget, and the same picture as a static figure."""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.errors import FormatError, FrameRangeError, MissingExtraError
from stad_lite.plots import style
from stad_lite.plots.shown import Record, Shown, boxes_at, select
from stad_lite.plots.tubes import checked_frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Frames = np.ndarray | str | PathLike[str]
"""(t, h, w, 3) uint8 RGB, or a video file."""


class Scene:
    """A video, up to two records over it and the truth: what widget and figure both draw.

    frames: an array or a video file (kept open to reading by frame, not loaded)
    records: name -> record or file; one or two, side by side
    truth: annotations to measure the overlap with
    video: id of the video in the records; None takes the only one, or the one named like the file
    raises: FormatError, UnknownVideoError, and what reading raises
    """

    def __init__(
        self,
        frames: Frames,
        records: dict[str, Record],
        truth: Record | None = None,
        video: str | None = None,
    ) -> None:
        if not 1 <= len(records) <= 2:
            raise FormatError(f"{len(records)} records to show", remedy="give one or two")
        self.array: np.ndarray | None = checked_frames(frames) if isinstance(frames, np.ndarray) else None
        self.file = None if isinstance(frames, np.ndarray) else Path(frames)
        self.panels = {name: select(record, video, self.file) for name, record in records.items()}
        self.truth = None if truth is None else select(truth, video, self.file)
        self.classes = tuple(dict.fromkeys(c for _, classes in self.panels.values() for c in classes))
        self.colours = style.class_colours(self.classes)

    @property
    def num_frames(self) -> int:
        """Frames of the video."""
        if self.array is not None:
            return len(self.array)
        from stad_lite.data.video import probe

        return probe(self.file or "").num_frames

    def image(self, frame: int) -> np.ndarray:
        """Return one frame, (h, w, 3) uint8. raises: FrameRangeError"""
        if self.array is None:
            from stad_lite.data.video import read

            return read(self.file or "", [frame])[0]
        if not 0 <= frame < len(self.array):
            raise FrameRangeError(f"the clip has {len(self.array)} frames", frame=frame)
        return self.array[frame]

    def boxes(
        self, panel: str, frame: int, only: Collection[str] | None = None, least: float = 0.0
    ) -> list[Shown]:
        """Return what one panel shows on a frame, with the overlap where there is truth."""
        return boxes_at(*self.panels[panel], frame, only, least, self.true_boxes(frame, only))

    def true_boxes(self, frame: int, only: Collection[str] | None = None) -> list[Shown] | None:
        """Return the true boxes on a frame, None where there is no truth."""
        return None if self.truth is None else boxes_at(*self.truth, frame, only)


def figure(
    scene: Scene,
    frame: int,
    only: Collection[str] | None = None,
    least: float = 0.0,
    width: float = style.WIDTH,
) -> Figure:
    """Return one frame with its boxes, the panels side by side: the widget's static twin.

    only: class names that are shown, None for all
    least: smallest score that is shown
    width: inches
    raises: FrameRangeError
    """
    image = scene.image(frame)
    height, across = image.shape[:2]
    panels = list(scene.panels)
    title = 0.25
    panel = width / 2  # one panel has the size of one of two
    fig = style.bare_figure(panel * len(panels), panel * height / across + title)
    share = panel * height / across / (panel * height / across + title)
    for place, name in enumerate(panels):
        ax = fig.add_axes((place / len(panels) + 0.004, 0, 1 / len(panels) - 0.008, share))
        ax.imshow(image, extent=(0, across, height, 0), aspect="auto")
        for one in scene.true_boxes(frame, only) or ():
            _draw(ax, one, "white", linestyle="--", linewidth=1.0)
        for one in scene.boxes(name, frame, only, least):
            _draw(ax, one, scene.colours.get(one.label, style.GREY), text=one.text)
        ax.set(xlim=(0, across), ylim=(height, 0))
        ax.set_axis_off()
        ax.set_title(f"{name}, frame {frame}", pad=3)
    return fig


def _draw(ax: Axes, one: Shown, colour: str, text: str = "", **options: Any) -> None:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = one.box
    options = {"linewidth": 1.8, "joinstyle": "miter", **options}
    ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, edgecolor=colour, facecolor="none", **options))
    if text:
        bar = {"facecolor": colour, "linewidth": 0, "boxstyle": "square,pad=0.15"}
        low = y1 > 0.08 * ax.images[0].get_extent()[2]
        ink = "black" if style.is_light(style.rgb(colour)) else "white"
        ax.text(x1, y1, text, va="bottom" if low else "top", fontsize=6.5, color=ink, bbox=bar, clip_on=True)


def explore(
    frames: Frames,
    records: dict[str, Record],
    truth: Record | None = None,
    video: str | None = None,
    frame: int = 0,
    width: float = style.WIDTH,
) -> Any:
    """Return a widget: frame slider with a player, classes, smallest score; the picture is ``figure``'s.

    frames: (t, h, w, 3) uint8, or a video file
    records: name -> record or file, one or two
    truth: annotations; drawn dashed, and every box says its IoU with them
    video: id in the records
    frame: shown first
    returns: an ``ipywidgets.VBox``; its attribute ``controls`` holds frame, classes, least and picture
    raises: MissingExtraError, and what ``Scene`` raises
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        raise MissingExtraError(
            "the explorer needs ipywidgets", remedy='install the extra: pip install "stad_lite[book]"'
        ) from None
    scene = Scene(frames, records, truth, video)
    last = scene.num_frames - 1
    slider = widgets.IntSlider(frame, 0, last, description="frame", continuous_update=True)
    play = widgets.Play(value=frame, min=0, max=last, interval=120)
    widgets.jslink((play, "value"), (slider, "value"))
    chosen = widgets.SelectMultiple(
        options=scene.classes, value=scene.classes, description="classes", rows=min(6, len(scene.classes))
    )
    least = widgets.FloatSlider(0.0, min=0.0, max=1.0, step=0.05, description="score from")
    picture = widgets.Image(format="png")

    def show(_: Any = None) -> None:
        picture.value = _png(figure(scene, slider.value, set(chosen.value), least.value, width))

    for control in (slider, chosen, least):
        control.observe(show, names="value")
    show()
    box = widgets.VBox([widgets.HBox([play, slider, least]), chosen, picture])
    box.controls = {"frame": slider, "classes": chosen, "least": least, "picture": picture}
    return box


def _png(fig: Figure) -> bytes:
    import matplotlib.pyplot as plt

    try:
        return style.png(fig)
    finally:
        plt.close(fig)
