"""A record beside its video file: where the two disagree, and the record as the file shows it.

The file is believed: how many frames decode, and when they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from stad_lite.data.clips import shown_at
from stad_lite.data.video import trim_tubes
from stad_lite.errors import FormatError, FrameRangeError, StadError
from stad_lite.records import FrameBoxes, VideoAnnotation, VideoPredictions

About = Mapping[str, Any]
"""num_frames, fps, times, width and height of a file, as it decodes."""

LONGER = 0.25
"""Seconds by which a record's lengths may differ from the file's: sound and rounding."""

Timed = TypeVar("Timed", VideoAnnotation, VideoPredictions)

FPS = 25.0
"""Frames a second of a video that does not say."""

SHARES = 1.5
"""Boxes that all end below so many pixels are shares of the frame (some reach a little beyond 1)."""


def end_of(about: About) -> float:
    """Return the second at which a file's last frame ends."""
    return float(edges_of(about)[-1])


def edges_of(about: About) -> np.ndarray:
    """Return (num_frames + 1) seconds at which a file's frames begin and the last one ends."""
    times = times_of(about)
    return np.arange(about["num_frames"] + 1) / (about["fps"] or FPS) if times is None else times


def times_of(about: About) -> np.ndarray | None:
    """Return a file's ``times``, None where its frames are at number / fps."""
    return np.array(about["times"]) if about.get("times") else None


def on_file_frames(video: Timed, about: About, start: float = 0.0) -> Timed:
    """Return a video whose boxes on single frames stand on the numbers that the file has for their seconds.

    Records of key frames (AVA) count at a rate of their own and know no number of frames; others come back as
    they are.
    start: second of the film at which the file begins
    """
    boxes, counted = video.frames, getattr(video, "num_frames", None) is not None
    if boxes is None or video.tubes is not None or counted or not video.fps:
        return video
    per_second, edges = video.fps, edges_of(about)

    def numbers(frames: np.ndarray) -> np.ndarray:
        seconds = frames / per_second - start
        inside = (seconds >= 0) & (seconds < edges[-1])
        beyond = np.where(seconds < 0, -1, about["num_frames"] + 1)
        return np.where(inside, shown_at(edges, seconds), beyond)

    boxes = replace(boxes, frame=numbers(boxes.frame))
    if isinstance(video, VideoPredictions):
        return replace(video, fps=None, frames=boxes)
    keys = None if video.evaluated_frames is None else numbers(video.evaluated_frames)
    return replace(video, fps=about["fps"], frames=boxes, evaluated_frames=keys)


def fitted(video: VideoAnnotation, about: About, whole: bool = True) -> VideoAnnotation:
    """Return the truth with the frames and times of its file; a box on one frame beyond them is dropped.

    whole: all frames of the file, else no more than the record has
    raises: FrameRangeError where boxes lie further beyond the file's end
    """
    video, count = on_file_frames(video, about), about["num_frames"]
    if not whole and video.num_frames:
        count = min(count, video.num_frames)
    tubes = video.tubes and trim_tubes(video.tubes, count, allowed=1)[0]
    fps, times = about["fps"] or video.fps or FPS, times_of(about)
    boxes, keys = video.frames, video.evaluated_frames
    return replace(
        video,
        num_frames=count, fps=fps,
        duration=end_of(about) if count == about["num_frames"] else count / fps,
        times=None if times is None else times[: count + 1],
        tubes=tubes, frames=None if boxes is None else _without(boxes, count),
        evaluated_frames=keys if keys is None else np.unique(keys[keys != count]),
    )  # fmt: skip


def _without(boxes: FrameBoxes, frame: int) -> FrameBoxes:
    kept = boxes.frame != frame
    person = None if boxes.person is None else boxes.person[kept]
    return FrameBoxes(boxes.frame[kept], boxes.label[kept], boxes.box[kept], person=person)


def faults(video: VideoAnnotation, about: About, file_end: float | None = None) -> Iterator[StadError]:
    """Yield all in which a record and its file disagree, each with its place and how often.

    file_end: second at which the whole file ends, sound included
    """
    counted, count = on_file_frames(video, about), about["num_frames"]
    yield from _of_header(video, about, file_end)
    yield from _of_size(video, about)
    for index, tube in enumerate(video.tubes or ()):
        if tube.end > count:
            yield FrameRangeError(
                f"the tube ends with frame {tube.end - 1} but the video decodes to {count} frames",
                tube=index, frame=max(count, tube.start),
                remedy="check that annotation and video belong together",
            )  # fmt: skip
    for what, told, frames in (
        ("boxes stand", _frames(video), _frames(counted)),
        ("evaluated frames lie", video.evaluated_frames, counted.evaluated_frames),
    ):
        outside = np.zeros(0, bool) if frames is None else (frames < 0) | (frames >= count)
        if told is not None and outside.any():
            yield FrameRangeError(
                f"{outside.sum()} {what} outside the video's {count} frames",
                frame=int(told[np.argmax(outside)]), remedy="check that annotation and video belong together",
            )  # fmt: skip
    yield from _of_segments(video, max(end_of(about), file_end or 0.0))


def _frames(video: VideoAnnotation) -> np.ndarray | None:
    return None if video.frames is None else video.frames.frame


def _of_header(video: VideoAnnotation, about: About, file_end: float | None) -> Iterator[StadError]:
    remedy = "correct the record, or leave it out there"
    if video.num_frames is not None and video.num_frames != about["num_frames"]:
        yield FormatError(
            f"the record says {video.num_frames} frames and {about['num_frames']} decode", remedy=remedy
        )
    times, edges = times_of(about), edges_of(about)
    rates = [about["fps"]]
    if times is not None:
        rates += [about.get("stated"), 1 / float(np.median(np.diff(times)))]
    own_rate = on_file_frames(video, about) is not video  # of key frames
    known = [rate for rate in rates if rate]
    if video.fps and known and not own_rate and all(abs(video.fps / rate - 1) > 0.005 for rate in known):
        yield FormatError(
            f"the record says {video.fps:g} frames a second and the file's time stamps {known[0]:g}",
            remedy=remedy,
        )
    end = float(edges[-1])
    ends = [end, end - edges[0], *([file_end] if file_end else [])]
    allowed = max(LONGER, 0.01 * end)
    if video.duration and all(abs(video.duration - one) > allowed for one in ends):
        yield FormatError(
            f"the record says {video.duration:g} seconds and the file has {end:.2f}", remedy=remedy
        )
    if video.times is not None and about["fps"] and len(video.times) == about["num_frames"] + 1:
        off = np.abs(video.times - edges)[:-1]
        if off.max() > 1 / about["fps"]:
            yield FormatError(
                f"the record's time is {off.max():.2f} s from the file's time stamp",
                frame=int(np.argmax(off)), remedy=remedy,
            )  # fmt: skip


def _of_size(video: VideoAnnotation, about: About) -> Iterator[StadError]:
    size, found = (video.width, video.height), (about["width"], about["height"])
    shares = size == (1, 1)  # AVA's boxes, which fit any size
    if None not in size and not shares and size != found:
        yield FormatError(
            f"the frames are {found[0]} x {found[1]}, the boxes were made on {size[0]} x {size[1]}",
            remedy="scale the boxes, or the video",
        )
    boxes = [tube.boxes for tube in video.tubes or ()]
    boxes += [video.frames.box] if video.frames is not None else []
    joined = np.concatenate([np.zeros((0, 4)), *boxes])
    if len(joined) and not shares and joined.max() <= SHARES < min(found):
        yield FormatError(
            f"all {len(joined)} boxes end below {SHARES} pixels: they look like shares of the frame",
            remedy="multiply them by width and height, or say width 1 and height 1",
        )


def _of_segments(video: VideoAnnotation, end: float) -> Iterator[StadError]:
    late = [i for i, one in enumerate(video.segments or ()) if one.end > end + LONGER]
    if late and video.segments:
        yield FrameRangeError(
            f"{len(late)} segments end after the file, which has {end:.2f} s; this one at "
            f"{video.segments[late[0]].end:g} s",
            segment=late[0], remedy="check that annotation and video belong together",
        )  # fmt: skip
    spans = [span for span in video.ignore if span[1] > end + LONGER]
    if spans:
        yield FrameRangeError(
            f"{len(spans)} ignored spans end after the file, which has {end:.2f} s; one at {spans[0][1]:g} s",
            remedy="check that annotation and video belong together",
        )


def damaged(numbers: tuple[int, ...]) -> Iterator[StadError]:
    """Yield an error where the decoder marks frames as damaged."""
    if numbers:
        yield FormatError(
            f"{len(numbers)} frames are marked as damaged by the decoder", frame=numbers[0],
            remedy="copy the file again, or encode it again from its source",
        )  # fmt: skip


def oddities(about: About) -> list[str]:
    """Return what is worth knowing of when a file's frames are shown, one sentence a kind."""
    times, found = times_of(about), []
    if times is not None:
        steps = np.diff(times)
        if steps[:-1].size and np.ptp(steps[:-1]) > 0.25 * np.median(steps):
            found.append("videos that are not of constant rate, so that the frames' time stamps count")
        if times[0] > 0:
            found.append("videos whose pictures begin late, so that the first frame is not at 0 s")
    if times is None and about.get("stated") and abs(about["stated"] / about["fps"] - 1) > 0.005:
        found.append("videos whose header says another rate than their time stamps, which count")
    return found
