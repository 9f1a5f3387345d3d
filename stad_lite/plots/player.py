"""Tubes over a clip as it plays: detections by class in colour, the truth in white, every label apart."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from stad_lite.plots import style
from stad_lite.plots.frames import Frames, as_drawn
from stad_lite.plots.render import overlay
from stad_lite.plots.shown import Shown, boxes_at
from stad_lite.plots.slides import Slide, Slides, webp
from stad_lite.plots.tubes import Tubes, as_tubes, spread
from stad_lite.records import VideoPredictions

STEPS = 32
"""Frames that are shown of a longer clip."""


def play(
    frames: Frames,
    tubes: Tubes = (),
    classes: Sequence[str] = (),
    truth: Tubes = (),
    fps: float = 12.0,
    first_frame: int = 0,
) -> Slides:
    """Return a clip that plays and can be moved by hand, with boxes, their classes, scores and IoUs.

    frames: (t, h, w, 3); ``STEPS`` of them are shown, evenly spread
    tubes: in the colours of their classes
    classes: of the record, in its order
    truth: in white; each of ``tubes`` then says its overlap
    fps: frames a second while it plays
    first_frame: number of ``frames[0]`` in the video
    """
    drawn = as_drawn(frames)
    names = tuple(classes) or tuple(dict.fromkeys(tube.label for tube in as_tubes(tubes)))
    colours = style.class_colours(names)
    found, real = (VideoPredictions(tuple(as_tubes(some))) for some in (tubes, truth))
    numbers = spread(len(drawn), STEPS)
    slides = []
    for number in (numbers + first_frame).tolist():
        known = boxes_at(real, names, number)
        shown = boxes_at(found, names, number, truth=known if real.tubes else None)
        image = overlay(drawn.pixels[number - first_frame], shown, colours, known, drawn.size)
        slides.append(Slide(((webp(image), _told(number, shown, known)),)))
    present = [name for name in names if any(tube.label == name for tube in found.tubes or ())]
    legend = [(name, colours[name]) for name in present] + ([("truth", "#FFFFFF")] if real.tubes else [])
    stops = {"frame": tuple(str(number) for number in (numbers + first_frame).tolist())}
    return Slides(tuple(slides), stops, fps=fps * len(numbers) / len(drawn), below=_legend(legend))


def _told(number: int, shown: Sequence[Shown], known: Sequence[Shown]) -> str:
    boxes = ", ".join(f"{one.text} at {_corners(one.box)}" for one in shown) or "no box"
    true = f"; in truth {', '.join(f'{one.label} at {_corners(one.box)}' for one in known)}" if known else ""
    return f"Frame {number} of the clip: {boxes}{true}."


def _corners(box: np.ndarray) -> str:
    return " ".join(f"{value:.0f}" for value in box)


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    """One line that says which colour is what."""
    mark = "display:inline-block;width:1em;height:1em;border:1px solid #888;vertical-align:middle"
    parts = (f'<span style="{mark};background:{tone}"></span> {escape(name)}' for name, tone in entries)
    return f"<div>{' &nbsp; '.join(parts)}</div>" if entries else ""
