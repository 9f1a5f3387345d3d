"""What the papers say of the data sets, counted on the annotations.

Every function returns plain figures; none draws a verdict. Where a statement leaves room (which
windows, which length) the choices are arguments, so that a figure can be given for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stad_lite.errors import StadError
from stad_lite.records import Annotations

WINDOW_FRAMES, WINDOW_FPS = 256, 10.0
"""SP-TAD's window on THUMOS14: 256 frames at 10 a second (Sec. 4.1)."""

WINDOW_SECONDS = WINDOW_FRAMES / WINDOW_FPS


@dataclass(frozen=True)
class WindowCounts:
    """What sliding windows see of a set's instances.

    instances: (instance, window) pairs in which the instance counts
    share: of these pairs, how many take less than ``part`` of the window
    largest: most instances that count in one window
    windows: number of windows
    """

    instances: int
    share: float
    largest: int
    windows: int


def durations(annotations: Annotations) -> np.ndarray:
    """Return the length of every instance in seconds, (n,), video after video."""
    return np.array([s.end - s.start for video in annotations.videos.values() for s in video.segments or ()])


def share_under(annotations: Annotations, seconds: float) -> float:
    """Return the share of instances shorter than a length (SP-TAD Sec. 4.1: 98 % under 25.6 s).

    raises: StadError where there is no instance
    """
    return float((_some(durations(annotations)) < seconds).mean())


def instances_per_video(annotations: Annotations) -> float:
    """Return instances over videos, videos without an instance counted (SP-TAD Sec. 4.1: 1.5)."""
    if not annotations.videos:
        raise StadError("there are no videos")
    return len(durations(annotations)) / len(annotations.videos)


def most_instances(annotations: Annotations) -> int:
    """Return the largest number of instances in a video: one window where it is squeezed into one."""
    return max((len(video.segments or ()) for video in annotations.videos.values()), default=0)


def window_starts(duration: float, length: float, stride: float, last: str = "end") -> np.ndarray:
    """Return the starts of windows that slide over a video, in seconds.

    duration, length, stride: seconds
    last: where the last window lies if the windows do not end with the video: ``end`` moves it back
        to end with the video, ``over`` lets it reach beyond; a video shorter than a window has one
    returns: (windows,) rising

    >>> window_starts(10.0, 4.0, 2.5), window_starts(10.0, 4.0, 2.5, "over")
    (array([0. , 2.5, 5. , 6. ]), array([0. , 2.5, 5. , 7.5]))
    """
    if last not in ("end", "over"):
        raise StadError(f"the last window cannot be {last!r}", remedy="choose end or over")
    inside = int(np.floor(max(duration - length, 0.0) / stride + 1e-9)) + 1
    starts = np.arange(inside) * stride
    if starts[-1] + length < duration - 1e-9:
        starts = np.append(starts, duration - length if last == "end" else inside * stride)
    return starts


def window_counts(
    annotations: Annotations,
    length: float = WINDOW_SECONDS,
    overlap: float = 0.5,
    threshold: float = 0.5,
    part: float = 0.25,
    clipped: bool = True,
    last: str = "end",
) -> WindowCounts:
    """Return what windows see by SP-TAD's protocol (Fig. 4 and its footnote).

    Windows overlap by ``overlap``; an instance counts in a window when the share of it that lies
    inside (tIoA) is over ``threshold``. Videos of unknown duration end with their last instance.

    length: seconds of a window
    part: the share of a window that "short" means
    clipped: take an instance's length inside the window; otherwise its whole length
    last: as in ``window_starts``
    raises: StadError where no instance counts
    """
    lengths, largest, windows = [np.zeros(0)], 0, 0
    for spans, starts in _windowed(annotations, length, length * (1 - overlap), last):
        windows += len(starts)
        inside, whole = _inside(spans, starts, length)
        counts = inside > threshold * whole
        largest = max(largest, int(counts.sum(0).max(initial=0)))
        lengths.append((inside if clipped else np.broadcast_to(whole, inside.shape))[counts])
    found = _some(np.concatenate(lengths))
    return WindowCounts(len(found), float((found < part * length).mean()), largest, windows)


def most_in_any_window(
    annotations: Annotations,
    length: float = WINDOW_SECONDS,
    step: float = 1 / WINDOW_FPS,
    threshold: float = 0.5,
) -> int:
    """Return the most instances that count in one window, wherever it starts (SP-TAD: N exceeds it).

    step: seconds between starts; one frame of the window's rate tries every start
    """
    largest = 0
    for spans, starts in _windowed(annotations, length, step, "end"):
        inside, whole = _inside(spans, starts, length)
        largest = max(largest, int((inside > threshold * whole).sum(0).max(initial=0)))
    return largest


def share_histogram(annotations: Annotations, bins: int = 20, window: float = 0.0) -> np.ndarray:
    """Return the shares of instances by the part of their video or window that they take (SP-TAD Fig. 4).

    window: seconds; windows overlap by half, and an instance counts where more than half of it lies inside,
        with that length. 0 for whole videos
    returns: (bins,) from 0 to 1 of the duration, summing to 1; whole videos of unknown duration are left
        out, an instance past the end counts as the whole
    """
    if window:
        pairs = (_inside(*pair, window) for pair in _windowed(annotations, window, window / 2, "end"))
        seconds = [inside[inside > whole / 2] for inside, whole in pairs]
        parts = np.concatenate([np.zeros(0), *seconds]) / window
    else:
        parts = np.array(
            [
                (s.end - s.start) / video.duration
                for video in annotations.videos.values()
                for s in video.segments or ()
                if video.duration
            ]
        )
    counts, _ = np.histogram(np.clip(_some(parts), 0, 1), bins, (0, 1))
    return counts / counts.sum()


@dataclass(frozen=True)
class EvaluatedClasses:
    """How "60 classes with at least 25 validation examples" looks on the rows at hand (STEP Sec. 4.1).

    listed: length of the list of evaluated classes
    counted: ids whose rows are in the file, with their number
    agree: ids that are listed and have enough examples, or are not listed and have not
    disagree: the other counted ids
    unchecked: ids that the file cannot tell of
    """

    listed: int
    counted: dict[int, int]
    agree: tuple[int, ...]
    disagree: tuple[int, ...]
    unchecked: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether every annotated class could be checked."""
        return not self.unchecked


def evaluated_classes(
    examples: Mapping[int, int], evaluated: Mapping[int, str], checkable: range | None = None, least: int = 25
) -> EvaluatedClasses:
    """Return how the list of evaluated classes agrees with the numbers of examples (step-ava-60).

    examples: rows by annotated class id, 0 where there is none
    evaluated: the list of evaluated classes
    checkable: ids that the file can hold; all without it
    least: examples that a class needs
    """
    can = [number for number in examples if checkable is None or number in checkable]
    agree = [number for number in can if (examples[number] >= least) == (number in evaluated)]
    return EvaluatedClasses(
        len(evaluated),
        {number: examples[number] for number in can},
        tuple(agree),
        tuple(number for number in can if number not in agree),
        tuple(number for number in examples if number not in can),
    )


def _some(values: np.ndarray) -> np.ndarray:
    if not len(values):
        raise StadError("there are no instances", remedy="check the subset and its annotations")
    return values


def _windowed(
    annotations: Annotations, length: float, stride: float, last: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(n, 2) spans and (w,) window starts of every video that has an instance."""
    pairs = []
    for video in annotations.videos.values():
        spans = np.array([(s.start, s.end) for s in video.segments or ()]).reshape(-1, 2)
        if len(spans):
            pairs.append((spans, window_starts(video.duration or spans[:, 1].max(), length, stride, last)))
    return pairs


def _inside(spans: np.ndarray, starts: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each instance inside each window (n, w), and its whole length (n, 1)."""
    inside = np.minimum(spans[:, 1:], starts + length) - np.maximum(spans[:, :1], starts)
    return inside.clip(0), spans[:, 1:] - spans[:, :1]
