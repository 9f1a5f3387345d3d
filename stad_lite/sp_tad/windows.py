"""Windows over untrimmed videos: which frames they take, what is true in them, and whole videos again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stad_lite import segments as segment_ops
from stad_lite.arrays import as_numpy
from stad_lite.data import clips
from stad_lite.data.features import FeatureReader
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError, UnknownLabelError
from stad_lite.records import Predictions, Segment, VideoPredictions
from stad_lite.sp_tad.backbone import Source, check_source, is_cached
from stad_lite.sp_tad.config import Decoding, SpTadConfig
from stad_lite.sp_tad.model import Outputs
from stad_lite.systems.items import Items
from stad_lite.systems.seen import Seen, read_clip
from stad_lite.systems.truth import segments_of


class Window(NamedTuple):
    """A stretch of a video's timeline.

    video: id
    start: place of its first frame
    length: places
    """

    video: str
    start: int
    length: int

    def __str__(self) -> str:
        return f"{self.video}, frames {self.start} to {self.start + self.length - 1}"


@dataclass(frozen=True, eq=False)
class Timeline:
    """The frames of a video at the rate that windows are read at.

    frames: (places,) number in the video of the frame at each place
    seconds: that one place lasts
    duration: seconds of the video
    """

    video: str
    frames: np.ndarray
    seconds: float
    duration: float

    def __len__(self) -> int:
        return len(self.frames)


def timeline(
    video: str,
    num_frames: int,
    fps: float,
    rate: float = 0.0,
    squeeze: int = 0,
    times: np.ndarray | None = None,
) -> Timeline:
    """Return a video's timeline; its places are equally far apart in time, whatever the frames are.

    rate: frames a second to read at, 0 for the video's own (THUMOS14: 10)
    squeeze: in place of a rate, spread the whole video over so many places (ActivityNet: 768)
    times: seconds at which the frames begin and the last one ends, where that is not number / fps
    raises: FrameRangeError for a video without frames, FormatError for rates that are not positive
    Source: SP-TAD Sec. 4.1.

    >>> line = timeline("a", num_frames=60, fps=30, rate=10)
    >>> len(line), line.frames[:3].tolist(), line.seconds
    (20, [0, 3, 6], 0.1)
    >>> timeline("a", num_frames=60, fps=30, squeeze=4).seconds
    0.5
    """
    if not fps > 0:
        raise FormatError(f"{fps} frames a second", video=video, remedy="give the video's frame rate")
    duration = num_frames / fps if times is None else float(times[-1])
    if squeeze and num_frames > 0:  # none are refused below
        run = clips.resampled(video, num_frames, squeeze)
        middles = (np.arange(squeeze) + 0.5) * duration / squeeze
        frames = run.frames if times is None else clips.shown_at(times, middles)
        return Timeline(video, frames, duration / squeeze, duration)
    run = clips.at_rate(video, num_frames, fps, rate or fps, times)
    return Timeline(video, run.frames, 1 / (rate or fps), duration)


def slide(line: Timeline, length: int, stride: int, step: int = 1) -> list[Window]:
    """Return the windows that slide over a timeline; the last one ends with it.

    step: starts are moved down to multiples of it (cached features: the coarsest stride); the last window
        may then reach up to step - 1 places beyond the end. A shorter video is one window

    >>> line = timeline("a", num_frames=600, fps=10)
    >>> [w.start for w in slide(line, 256, 128)], [w.start for w in slide(line, 256, 128, step=10)]
    ([0, 128, 256, 344], [0, 120, 250, 350])
    """
    starts = [run.start for run in clips.windows(line.video, len(line), length, stride)]
    snapped = [start // step * step for start in starts]
    if snapped[-1] != starts[-1]:  # the end must stay inside
        snapped[-1] += step
    return [Window(line.video, start, length) for start in sorted(set(snapped))]


class WindowReader:
    """Reads windows of a source for one configuration.

    raises: FormatError where the source gives what the backbone does not take
    """

    def __init__(self, config: SpTadConfig, source: Source) -> None:
        check_source(config.backbone, source)
        self.config, self.source = config, source
        self.features = FeatureReader(source) if is_cached(source) else None

    def line(self, video: str) -> Timeline:
        """Return a video's timeline: places are feature frames, or frames at the configured rate."""
        frames, fps = self.source.num_frames(video), self.source.fps(video)
        squeeze = self.config.window if self.config.whole_video else 0
        rate = 0.0 if self.features else self.config.fps
        times = None if self.features else self.source.annotations.videos[video].times
        return timeline(video, frames, fps, rate, squeeze, times)

    def windows(self, line: Timeline, stride: int) -> list[Window]:
        """Return the windows of a timeline; those of features begin where every stage has a step."""
        config = self.config
        if config.whole_video:
            return [Window(line.video, 0, config.window)]
        step = config.backbone.strides[-1] if self.features else 1
        return slide(line, config.window, stride, step)

    def read(
        self, window: Window, line: Timeline, generator: np.random.Generator | None = None
    ) -> Mapping[str, Tensor | Seen]:
        """Return a window's inputs: features, or clips as they are stored; zero beyond the video's end.

        generator: draws crop and flip; the middle and no flip without it
        """
        video, start, length = window
        if self.features:
            whole = self.config.whole_video
            stages = (
                self.features.whole(video, length) if whole else self.features.window(video, start, length)
            )
            parts = (np.ascontiguousarray(stage, dtype=np.float32) for stage in stages)
            return {str(number): torch.from_numpy(part) for number, part in enumerate(parts)}
        assert isinstance(self.source, VideoSource)
        backbone, frames = self.config.backbone, line.frames[start : start + length]
        return read_clip(self.source, backbone.streams, video, frames, backbone.crop, length, generator)


def window_truth(
    window: Window,
    line: Timeline,
    segments: Sequence[Segment],
    classes: Sequence[str],
    share: float = 0.5,
    exact: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the instances that count in a window, cut to it.

    An instance counts where more than ``share`` of it lies inside (tIoA). So one without length never counts,
    and one 1 / share as long as the window, or longer, counts in none.

    segments: of the video, in seconds
    exact: an instance of which exactly ``share`` lies inside counts too
    returns: (g, 2) start and end in windows, within [0, 1], and (g,) class indices
    raises: UnknownLabelError
    Source: SP-TAD Sec. 4.2 (the rule of Fig. 4, also for training).

    >>> line = timeline("a", num_frames=40, fps=10)
    >>> segments = [Segment("x", 1, 2.5), Segment("x", 1, 3)]
    >>> inside, label = window_truth(Window("a", 0, 20), line, segments, ["x"])
    >>> inside.tolist(), label.tolist()
    ([[0.5, 1.0]], [0])
    """
    spans = np.array([(s.start, s.end) for s in segments], dtype=np.float64).reshape(-1, 2)
    names = list(classes)
    if unknown := [s.label for s in segments if s.label not in names]:
        raise UnknownLabelError(
            f"label {unknown[0]!r} is not among the classes",
            video=window.video,
            remedy="train on a source with the same classes",
        )
    labels = np.array([names.index(s.label) for s in segments], dtype=np.int64)
    spans = (spans / line.seconds - window.start) / window.length
    least = share - 1e-9 if exact else share + 1e-9
    counts = (segment_ops.length(spans) > 0) & (segment_ops.ioa(spans, np.array([0.0, 1.0])) >= least)
    return segment_ops.clip(spans, 0.0, 1.0)[counts], labels[counts]


def unseen(
    lines: Iterable[Timeline],
    windows: Iterable[Window],
    segments: Mapping[str, Sequence[Segment]],
    share: float = 0.5,
    exact: bool = False,
) -> dict[str, int]:
    """Count the instances that no window counts: ``without length`` and ``too long for a window``."""
    found = {"without length": 0, "too long for a window": 0}
    by_video: dict[str, list[Window]] = {}
    for window in windows:
        by_video.setdefault(window.video, []).append(window)
    for line in lines:
        for one in segments[line.video]:
            if one.end <= one.start:
                found["without length"] += 1
                continue
            seen = any(
                len(window_truth(window, line, [one], [one.label], share, exact)[0])
                for window in by_video.get(line.video, ())
            )
            found["too long for a window"] += not seen
    return found


class Item(NamedTuple):
    """One window: its inputs without the batch axis, its truth and its place."""

    inputs: Mapping[str, Tensor | Seen]
    segments: Tensor
    labels: Tensor
    window: Window


class WindowSet(Items):
    """The windows of a source as a data set; crops and flips change with ``epoch``.

    places: the windows that are given out
    notes: what was left out, such as instances too long for any window
    """

    def __init__(
        self, config: SpTadConfig, classes: Sequence[str], source: Source, training: bool, seed: int = 0
    ) -> None:
        self.config, self.classes, self.training = config, tuple(classes), training
        self.reader = WindowReader(config, source)
        self.lines: dict[str, Timeline] = {name: self.reader.line(name) for name in source.videos}
        annotated = source.annotations.videos
        self.segments = {name: segments_of(annotated[name], source.fps(name)) for name in source.videos}
        stride = config.train_stride if training else config.test_stride
        every = [window for line in self.lines.values() for window in self.reader.windows(line, stride)]
        self._truth: dict[Window, tuple[np.ndarray, np.ndarray]] = {}
        super().__init__(every, self.item, str, seed)
        if training:
            self.places = [window for window in every if len(self.truth(window)[0])]
            rule = (config.truth_share, config.exact_share)
            lost = unseen(self.lines.values(), every, self.segments, *rule)
            notes = [f"instances {what}, not trained on: {n}" for what, n in lost.items() if n]
            blank = sum(not segments for segments in self.segments.values())
            self.notes = [*notes, *([f"videos without segments, not trained on: {blank}"] if blank else [])]
            self._check_counts()

    def _check_counts(self) -> None:
        if not self.places:
            raise FormatError(
                "no window holds an instance",
                file=self.reader.source.annotations.dataset,
                remedy="take a source with segments or longer windows",
            )
        fullest = max(self.places, key=lambda window: len(self.truth(window)[0]))
        most = len(self.truth(fullest)[0])
        if most > self.config.proposals:
            raise FormatError(
                f"the window at frame {fullest.start} holds {most} instances for "
                f"{self.config.proposals} proposals",
                video=fullest.video,
                remedy="take more proposals or shorter windows",
            )

    def truth(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the instances of a window, as ``window_truth``."""
        if window not in self._truth:
            line, segments = self.lines[window.video], self.segments[window.video]
            rule = (self.config.truth_share, self.config.exact_share)
            self._truth[window] = window_truth(window, line, segments, self.classes, *rule)
        return self._truth[window]

    def item(self, window: Window, generator: np.random.Generator) -> Item:
        """Return one window. raises: NotFiniteError with video and stage for features that are not finite"""
        inputs = self.reader.read(window, self.lines[window.video], generator if self.training else None)
        spans, labels = self.truth(window) if self.training else (np.zeros((0, 2)), np.zeros(0, np.int64))
        return Item(inputs, torch.from_numpy(spans).float(), torch.from_numpy(labels), window)


def to_seconds(segments: np.ndarray, window: Window, line: Timeline) -> np.ndarray:
    """Return segments (n, 2) given in windows as seconds of the video, cut to its ends."""
    places = window.start + np.asarray(segments, dtype=np.float64) * window.length
    return np.clip(places * line.seconds, 0.0, line.duration)


class FoundSegments(NamedTuple):
    """Segments found in one window.

    window: where
    segments: (n, 2) start and end in windows
    scores: (n,)
    labels: (n,) class indices
    """

    window: Window
    segments: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def merge(
    found: Sequence[FoundSegments],
    line: Timeline,
    classes: Sequence[str],
    sigma: float = 0.5,
    min_score: float = 0.001,
    most: int = 200,
) -> tuple[Segment, ...]:
    """Return one video's segments from those of its windows, best first.

    Soft-NMS, class by class over all windows, lowers what overlapping windows say twice. What is without
    length after the cut at the video's ends is left out.

    sigma: of soft-NMS, 0 for none
    min_score: what is or falls below it is left out
    most: segments kept
    Source: SP-TAD Sec. 4.1 (soft-NMS over overlapping windows; its numbers are AFSD's).
    """
    segments, scores, labels = gathered(found, line, min_score)
    if sigma:
        order, scores = segment_ops.soft_nms(segments, scores, sigma, min_score, labels, most)
    else:
        order = np.lexsort((labels, -scores))[:most]
        scores = scores[order]
    return named(segments[order], scores, labels[order], classes)


def gathered(
    found: Sequence[FoundSegments], line: Timeline, min_score: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return segments (n, 2) in seconds, scores and labels (n,) of a video's windows before suppression."""
    spans = [to_seconds(one.segments, one.window, line) for one in found]
    segments = np.concatenate([np.zeros((0, 2)), *spans])
    scores = np.concatenate([np.zeros(0), *(one.scores for one in found)])
    labels = np.concatenate([np.zeros(0, np.int64), *(one.labels for one in found)])
    good = (scores >= min_score) & (segments[:, 1] > segments[:, 0])
    return segments[good], scores[good], labels[good]


def named(
    segments: np.ndarray, scores: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> tuple[Segment, ...]:
    """Return segments (n, 2), scores and labels (n,) as records."""
    return tuple(
        Segment(classes[label], float(start), float(end), float(score))
        for (start, end), score, label in zip(segments, scores, labels, strict=True)
    )


def decode(
    outputs: Outputs, windows: Sequence[Window], config: Decoding, head: int = -1
) -> list[FoundSegments]:
    """Return the best (proposal, class) pairs of each window.

    head: which head's proposals
    Source: SP-TAD Sec. 3.2.2: class probabilities times those of the clip head.
    """
    scores = outputs.logits[head].float().sigmoid()
    if outputs.clip is not None:
        scores = scores * outputs.clip.float().sigmoid()[:, None]
    classes = scores.shape[2]
    best, places = scores.flatten(1).topk(min(config.pairs, scores[0].numel()), 1)
    proposals, labels = places // classes, places % classes
    segments = outputs.segments[head].float().gather(1, proposals[..., None].expand(-1, -1, 2))
    columns = [as_numpy(part) for part in (segments, best, labels)]
    return [FoundSegments(window, *row) for window, *row in zip(windows, *columns, strict=True)]


def merged(
    found: Mapping[str, Sequence[FoundSegments]], lines: Mapping[str, Timeline], system: Any
) -> Predictions:
    """Return what was found in windows as predictions for whole videos.

    system: its configuration and its classes count
    """
    config = system.config
    videos: dict[str, Any] = {
        name: VideoPredictions(
            segments=merge(parts, lines[name], system.classes, config.sigma, config.min_score, config.most)
        )
        for name, parts in found.items()
    }
    return Predictions(system.classes, videos)
