"""Which frames a clip takes: the sampling of all five systems, and a seeded loader over clips.

A ``FrameRun`` is plain numbers, so sampling is tested and counted without a video. The loader draws
from (seed, epoch, clip) alone: order and augmentation do not depend on how many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from stad_lite.data.workers import short_sockets
from stad_lite.errors import FormatError, FrameRangeError


@dataclass(frozen=True, eq=False)
class FrameRun:
    """The frames of one clip.

    video: id
    frames: (t,) frame numbers to read, all inside the video
    valid: (t,) bool, False where a frame only fills up a clip that leaves the video
    start: number that the first place stands for; below 0 where the clip begins before the video
    """

    video: str
    frames: np.ndarray
    valid: np.ndarray
    start: int

    def __len__(self) -> int:
        return len(self.frames)


def _run(video: str, places: np.ndarray, num_frames: int) -> FrameRun:
    """Places may leave the video on either side: there the nearest frame stands in."""
    if num_frames < 1:
        raise FrameRangeError("the video has no frames", video=video, remedy="leave it out of the set")
    valid = (places >= 0) & (places < num_frames)
    return FrameRun(video, np.clip(places, 0, num_frames - 1), valid, int(places[0]))


def resampled(video: str, num_frames: int, length: int, start: int = 0, end: int | None = None) -> FrameRun:
    """Return a clip of fixed length evenly spread over a span; frames repeat where the span is shorter.

    Place i stands for the middle of the i-th of ``length`` equal parts, so that all frames count alike.
    start, end: the span, the whole video without them
    raises: FrameRangeError
    Source: CFAD section 3.1 (the input is resampled to T frames), SP-TAD section 4.1 (ActivityNet).

    >>> resampled("a", 8, 4).frames.tolist(), resampled("a", 2, 4).frames.tolist()
    ([1, 3, 5, 7], [0, 0, 1, 1])
    """
    end = num_frames if end is None else end
    if not 0 <= start < end <= num_frames:
        raise FrameRangeError(f"the span {start} to {end} is not in the {num_frames} frames", video=video)
    places = start + ((np.arange(length) + 0.5) * (end - start) / length).astype(np.int64)
    return _run(video, places, num_frames)


def at_rate(
    video: str, num_frames: int, fps: float, rate: float, times: np.ndarray | None = None
) -> FrameRun:
    """Return all of a video at another frame rate: place i is the frame shown at i / rate seconds.

    times: (num_frames + 1,) seconds at which frames begin and the last one ends, where that is not
        number / fps; the first frame stands in before it begins
    Source: SP-TAD section 4.1 (videos sampled at 10 frames a second).

    >>> at_rate("a", 30, fps=30, rate=10).frames.tolist()
    [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]
    """
    if not (fps > 0 and rate > 0):
        raise FormatError(
            f"{fps} frames a second cannot become {rate}", video=video, remedy="give positive rates"
        )
    if times is not None:
        count = max(1, int(np.floor(times[-1] * rate + 1e-9)))
        return _run(video, shown_at(times, np.arange(count) / rate), num_frames)
    count = max(1, int(np.floor(num_frames * rate / fps + 1e-9)))
    return _run(video, np.floor(np.arange(count) * fps / rate + 1e-9).astype(np.int64), num_frames)


def shown_at(times: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return the numbers of the frames that are shown at some seconds; the end frames stand in outside.

    times: (num_frames + 1,) seconds at which frames begin and the last one ends

    >>> shown_at(np.array([1.0, 1.5, 3.0]), np.array([0.0, 1.4, 1.5, 9.0])).tolist()
    [0, 0, 1, 1]
    """
    numbers = np.searchsorted(times, np.asarray(seconds) + 1e-9, side="right") - 1
    return np.clip(numbers, 0, len(times) - 2)


def key_frame(video: str, num_frames: int, frame: int, length: int, stride: int = 1) -> FrameRun:
    """Return a clip with its key frame in the middle: at place ``length // 2``.

    With an even length the key frame is the first of the right half. The video's ends repeat.
    raises: FrameRangeError where the key frame is not in the video
    Source: PCSC section 3.5 (k neighbouring frames, the key frame in the middle).

    >>> key_frame("a", 100, frame=2, length=6).frames.tolist()
    [0, 0, 1, 2, 3, 4]
    """
    if not 0 <= frame < num_frames:
        raise FrameRangeError(f"the video has {num_frames} frames", video=video, frame=frame)
    return _run(video, frame + (np.arange(length) - length // 2) * stride, num_frames)


def tubelets(video: str, num_frames: int, length: int, stride: int = 1) -> list[FrameRun]:
    """Return every run of ``length`` consecutive frames, ``stride`` apart; a shorter video gives one.

    A last run is added where the stride would leave frames out.
    Source: Kalogeiton et al. (K-frame tubelets), the flow subnet's pairs with ``length=2``.

    >>> [run.frames.tolist() for run in tubelets("a", 5, length=2, stride=2)]
    [[0, 1], [2, 3], [3, 4]]
    """
    return [
        _run(video, start + np.arange(length), num_frames) for start in _starts(num_frames, length, stride)
    ]


def _starts(num_frames: int, length: int, stride: int) -> list[int]:
    if length < 1 or stride < 1:
        raise FormatError(
            f"a window of {length} frames every {stride} cannot be", remedy="give positive numbers"
        )
    last = max(0, num_frames - length)
    return list(range(0, last, stride)) + [last]


def windows(video: str, num_frames: int, length: int, stride: int) -> list[FrameRun]:
    """Return sliding windows over a video, the last one at its end; a shorter video is filled up.

    Source: SP-TAD section 4.1; the window more at the end, where the stride does not meet it, is AFSD's.

    >>> [run.start for run in windows("a", 600, length=256, stride=128)]
    [0, 128, 256, 344]
    """
    return tubelets(video, num_frames, length, stride)


def neighbours(run: FrameRun, num_frames: int, reach: int) -> list[FrameRun]:
    """Return a clip of consecutive frames with the clips before and after it, in order of time.

    reach: clips on either side; those that leave the video repeat its end frames and are not valid there
    returns: 2 * reach + 1 runs
    Source: STEP section 3.3 (the adjacent clips that a tubelet is extended to).

    >>> [r.frames.tolist() for r in neighbours(tubelets("a", 6, 2)[2], 6, reach=1)]
    [[0, 1], [2, 3], [4, 5]]
    """
    length = len(run)
    places = run.start + np.arange(length)
    return [_run(run.video, places + shift * length, num_frames) for shift in range(-reach, reach + 1)]


def flow_stack(num_maps: int, frame: int, depth: int = 5) -> np.ndarray:
    """Return the numbers of the flow maps stacked for a frame; the last map repeats at the end.

    Source: Kalogeiton et al., section 4.1 (five maps a frame).

    >>> flow_stack(10, 7).tolist()
    [7, 8, 9, 9, 9]
    """
    return np.minimum(frame + np.arange(depth), num_maps - 1)


class Reader(Protocol):
    """Reads frames by number; ``FrameCache.read`` is one."""

    def __call__(self, video: str, frames: np.ndarray) -> np.ndarray:
        """Return (n, h, w, 3) uint8."""
        ...


@dataclass(frozen=True)
class VideoReader:
    """A ``Reader`` over video files.

    files: id -> path
    size: (height, width) to scale to while decoding
    """

    files: Mapping[str, Any]
    size: tuple[int, int] | None = None

    def __call__(self, video: str, frames: np.ndarray) -> np.ndarray:
        """Return (n, h, w, 3) uint8."""
        from stad_lite.data.video import read

        return read(self.files[video], frames, self.size)


@dataclass
class ClipSet:
    """Clips as a torch-style data set: item i is what ``make`` does with the i-th run's frames.

    runs: the clips
    reader: reads their frames
    make: (run, frames, generator) -> the item; the generator depends on seed, epoch and clip alone
    seed, epoch: ``loader`` sets the epoch
    """

    runs: Sequence[FrameRun]
    reader: Reader
    make: Callable[[FrameRun, np.ndarray, np.random.Generator], Any]
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self.runs):
            raise IndexError(f"clip {index} of {len(self.runs)}")
        run = self.runs[index]
        generator = np.random.default_rng([self.seed, self.epoch, index])
        return self.make(run, self.reader(run.video, run.frames), generator)


def order(count: int, seed: int, epoch: int, shuffle: bool = True) -> np.ndarray:
    """Return the order of an epoch: a permutation that depends on seed and epoch alone."""
    return np.random.default_rng([seed, epoch]).permutation(count) if shuffle else np.arange(count)


def loader(
    clips: ClipSet,
    batch: int = 1,
    workers: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
    collate: Callable[[list[Any]], Any] = list,
    ahead: int = 2,
) -> Iterator[Any]:
    """Yield the batches of one epoch, made by worker processes ahead of time.

    workers: processes beside this one, 0 for none; the batches are the same for any number
    collate: makes a batch of a list of items; the last batch may be shorter
    ahead: batches that each worker prepares in advance: memory is at most workers * ahead batches
    raises: what the reader raises, in the consuming process
    """
    from torch.utils.data import DataLoader

    clips.epoch = epoch
    numbers = order(len(clips), clips.seed, epoch, shuffle)
    groups = [numbers[i : i + batch].tolist() for i in range(0, len(numbers), batch)]
    options: dict[str, Any] = {}
    if workers:
        short_sockets()
        # new interpreters on every platform, as in training
        options = {"prefetch_factor": ahead, "multiprocessing_context": "spawn"}
    # the batches are sampled in the order given, and come back in it
    return iter(
        DataLoader(clips, batch_sampler=groups, num_workers=workers, collate_fn=collate, **options)  # type: ignore[arg-type]
    )
