"""A detector at work: pictures in a row, boxes by class, scores of paths as frames come, where time goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.data.drawn import Drawn
from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.frames import outline, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def row(
    images: Sequence[np.ndarray | Drawn],
    titles: Sequence[str] = (),
    rows: int = 1,
    height: float = 2.2,
    **options: Any,
) -> np.ndarray:
    """Show images side by side, of any sizes, line by line.

    images: (h, w, 3), (h, w) for a map of colours, or one frame drawn larger
    titles: of the images
    rows: lines of equally many images
    height: inches of the whole figure
    options: go to ``imshow``
    returns: (n,) axes
    raises: FormatError where the images do not fill the lines
    """
    if not len(images) or len(images) % rows:
        raise FormatError(f"{len(images)} images in {rows} lines", remedy="give as many to each line")
    axes = np.ravel(style.figure(len(images) // rows, rows, height=height, squeeze=False)[1])
    for number, (ax, image) in enumerate(zip(axes, images, strict=True)):
        if isinstance(image, Drawn):
            show(ax, image)
        else:
            image = np.asarray(image)
            ax.imshow(image, extent=(0, image.shape[1], image.shape[0], 0), **options)
        ax.set(xticks=[], yticks=[], title=titles[number] if titles else "")
    return axes


def boxes(ax: Axes, boxes: np.ndarray, labels: Sequence[int], classes: Sequence[str]) -> Axes:
    """Outline boxes in the colours of their classes.

    boxes: (n, 4) xyxy pixels
    labels: (n,) places in ``classes``
    """
    tones = style.class_colours(classes)
    for box, label in zip(np.asarray(boxes), labels, strict=True):
        ax.add_patch(outline(box, tones[classes[label]], linewidth=2))
    return ax


def paths(
    scores: Mapping[tuple[int, int], np.ndarray], now: int, ax: Axes, classes: Sequence[str], end: int
) -> Axes:
    """Draw the scores of linked boxes up to a frame, a line a path in its class's colour.

    scores: (class, number of the path) -> (2, n) frames and scores
    end: frames of the video
    """
    tones = style.class_colours(classes)
    for (label, _), (frames, score) in scores.items():
        ax.plot(frames[frames <= now], score[frames <= now], color=tones[classes[label]])
    ax.set(xlim=(0, end), ylim=(0, 1), xlabel="frame", ylabel="score of a path's boxes")
    return ax


def stages(seconds: Mapping[str, Mapping[str, float]], ax: Axes | None = None) -> Axes:
    """Draw what shares of the time go to which stage, one bar an account.

    seconds: title -> stage -> time in any unit, the same stages for all
    raises: FormatError for no account
    """
    if not seconds:
        raise FormatError("there is no account to draw", remedy="give at least one")
    if ax is None:
        ax = style.figure(height=0.9 + 0.7 * len(seconds))[1]
    for y, (title, account) in enumerate(seconds.items()):
        shares = 100 * np.array(list(account.values())) / sum(account.values())
        for place, (stage, share, end) in enumerate(zip(account, shares, shares.cumsum(), strict=True)):
            label = stage if y == 0 else None
            ax.barh(-y, share, left=end - share, color=style.colour(place), height=0.5, label=label)
        ax.text(0, 0.3 - y, title)
    ax.set(xlabel="share of a frame's time (%)", yticks=[], ylim=(0.4 - len(seconds), 0.6))
    figure: Any = ax.figure
    figure.legend(loc="outside upper center", ncols=6)
    return ax
