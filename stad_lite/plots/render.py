"""A video with its boxes drawn in, written as .mp4 frame by frame (memory stays bounded)."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.data import video as video_files
from stad_lite.data.fitting import SHARES, on_file_frames
from stad_lite.data.source import stretched
from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.fonts import fonts_for
from stad_lite.plots.shown import KINDS, Record, Shown, Video, boxes_at, select
from stad_lite.records import VideoAnnotation
from stad_lite.records.files import keep_apart


def render_video(
    video: str | PathLike[str],
    predictions: Record,
    out: str | PathLike[str],
    video_id: str | None = None,
    truth: Record | None = None,
    only: Collection[str] | None = None,
    least: float = 0.0,
    size: tuple[int, int] | None = None,
) -> Path:
    """Write a copy of a video with boxes, class names and scores; the file is whole or not there.

    predictions: a record or its file; annotations are drawn just as well
    out: the .mp4 to write
    video_id: of the video in the record; None takes the only one, or the one named like the file
    truth: drawn as thin white boxes, and each prediction says its IoU with it
    only: class names that are drawn, None for all
    least: smallest score that is drawn
    size: (height, width) of the frames that the boxes were made on, None for the record's or the video's own
    returns: the path written
    raises: UnknownVideoError, and what reading video and record raises
    """
    files = [one for one in (predictions, truth) if one is not None and not isinstance(one, KINDS)]
    keep_apart(out, video, *files)
    _check_size(size)
    info = video_files.probe(video)
    chosen, classes = select(predictions, video_id, video)
    chosen = _on_file(chosen, info, size)
    real = None if truth is None else select(truth, video_id, video)
    real = None if real is None else (_on_file(real[0], info, size), real[1])
    colours = style.class_colours(classes)

    def frames() -> Iterator[np.ndarray]:
        number = -1
        for number, (image,) in enumerate(video_files.batches(video, 1)):
            known = None if real is None else boxes_at(*real, number)
            shown = boxes_at(chosen, classes, number, only, least, known)
            yield overlay(image, shown, colours, known or ())
        _warn_of_rest(chosen, number + 1)

    return video_files.write(out, frames(), info.fps or 25.0, times=info.times)


def _on_file(video: Any, info: video_files.VideoInfo, size: tuple[int, int] | None) -> Any:
    """The boxes of a video on the file's frames and in its pixels. raises: FormatError for shares of 1"""
    if size is None and isinstance(video, VideoAnnotation) and video.width and video.height:
        size = (video.height, video.width)
    own = (info.height, info.width)
    boxes = [tube.boxes for tube in video.tubes or ()]
    boxes += [video.frames.box] if video.frames is not None and len(video.frames) else []
    if size is None and boxes and max(one.max() for one in boxes) <= SHARES < min(own):
        problem = "the boxes look like shares of the frame, not pixels"
        raise FormatError(problem, remedy="say the size of their frames, 1 1 for shares (--size 1 1)")
    return stretched(on_file_frames(video, asdict(info)), size or own, own)


def _check_size(size: tuple[int, int] | None) -> None:
    if size is not None and min(size) < 1:
        raise FormatError(f"the size is {size[0]} x {size[1]}", remedy="give height and width in pixels")


def _warn_of_rest(video: Video, num_frames: int) -> None:
    ends = [tube.end for tube in video.tubes or ()]
    if video.frames is not None and len(video.frames):
        ends.append(int(video.frames.frame.max()) + 1)
    if max(ends, default=0) > num_frames:
        warnings.warn(
            f"the boxes reach frame {max(ends) - 1} but the video has {num_frames} frames", stacklevel=2
        )


def overlay(
    image: np.ndarray,
    shown: Sequence[Shown],
    colours: dict[str, str],
    truth: Sequence[Shown] = (),
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return a frame with boxes and their texts drawn in.

    image: (h, w, 3) uint8
    colours: class -> hex colour
    truth: drawn first, thin and white
    size: (height, width) that the boxes refer to, None for the image's
    returns: (h, w, 3) uint8, a copy
    """
    image = image.copy()
    height, width = image.shape[:2]
    factor = np.ones(4) if size is None else np.array([width / size[1], height / size[0]] * 2)
    thickness = max(1, round(min(height, width) / 160))
    for one in truth:
        draw_box(image, one.box * factor, (255, 255, 255), max(1, thickness // 2))
    tones = [style.rgb(colours.get(one.label, style.GREY)) for one in shown]
    for one, tone in zip(shown, tones, strict=True):
        draw_box(image, one.box * factor, tone, thickness)
    taken: list[Place] = []
    for one, tone in zip(shown, tones, strict=True):
        taken.append(draw_label(image, one.box * factor, one.text, tone, taken))
    return image


Place = tuple[int, int, int, int]
"""Left, upper, right and lower end of a text, in pixels of the image."""


def draw_box(image: np.ndarray, box: np.ndarray, colour: tuple[int, int, int], thickness: int = 1) -> None:
    """Draw a box's outline into an image, inside the box: pixel i covers [i, i + 1).

    image: (h, w, 3) uint8, changed in place
    box: (4,) xyxy pixels; what leaves the image is not drawn
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (int(v) for v in np.round(box))
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    bars = (
        (x1, y1, x2, y1 + thickness),
        (x1, y2 - thickness, x2, y2),
        (x1, y1, x1 + thickness, y2),
        (x2 - thickness, y1, x2, y2),
    )
    for left, top, right, bottom in bars:
        left, right = max(left, x1, 0), min(right, x2, width)
        top, bottom = max(top, y1, 0), min(bottom, y2, height)
        if left < right and top < bottom:
            image[top:bottom, left:right] = colour


def draw_label(
    image: np.ndarray,
    box: np.ndarray,
    text: str,
    colour: tuple[int, int, int],
    taken: Sequence[Place] = (),
) -> Place:
    """Write a text on a bar of the box's colour: above the box, else where no other text is.

    taken: where texts are already
    returns: where it is now
    """
    height, width = image.shape[:2]
    mask = text_mask(text, max(9, round(height / 20)))[:height, :width]
    tall, wide = mask.shape
    lines = [round(box[1]) - tall, round(box[1]), round(box[3]), round(box[3]) - tall]
    lines = [y for y in lines if 0 <= y <= height - tall] or [int(np.clip(lines[0], 0, height - tall))]
    lines += sorted(range(0, height - tall + 1, max(1, tall)), key=lambda y: abs(y - lines[0]))
    x = int(np.clip(round(box[0]), 0, width - wide))
    spots = [(x, y, x + wide, y + tall) for y in lines]
    spot = next((one for one in spots if not any(_meet(one, other) for other in taken)), spots[0])
    y = spot[1]
    mask = mask[:, :, None]
    ink = 0.0 if style.is_light(colour) else 255.0
    bar = mask * ink + (1 - mask) * np.array(colour, np.float32)
    image[y : y + tall, x : x + wide] = np.rint(bar).astype(np.uint8)
    return spot


def _meet(one: Place, other: Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@functools.lru_cache(maxsize=512)
def text_mask(text: str, pixels: int) -> np.ndarray:
    """Return a text as (h, w) coverage in [0, 1], ``pixels`` high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import PlaceHolderLayoutEngine

    figure = Figure(
        figsize=(pixels * (len(text) + 2) / 100, pixels / 100),
        dpi=100,
        layout=PlaceHolderLayoutEngine(True, True),
    )
    canvas = FigureCanvasAgg(figure)
    text, fonts = fonts_for(text)
    drawn = figure.text(
        0, 0.24, text, fontsize=pixels * 0.72 * 0.75, color="black", family=fonts, parse_math=False
    )
    canvas.draw()
    extent = drawn.get_window_extent()
    grey = np.asarray(canvas.buffer_rgba())[..., 0].astype(np.float32)
    used = min(grey.shape[1], int(np.ceil(extent.x1)) + 2)
    return np.pad(1 - grey[:, :used] / 255, ((0, 0), (2, 0)))
