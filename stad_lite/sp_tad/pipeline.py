"""SP-TAD as a system: building it, feeding it, and detecting in whole videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stad_lite.arrays import as_numpy, check_finite_frames
from stad_lite.data.features import FeatureSource
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.records import Annotations, Predictions, VideoPredictions
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.criterion import Truth, make_truth, set_loss
from stad_lite.sp_tad.model import Outputs, SpTad
from stad_lite.sp_tad.reading import WindowReader
from stad_lite.sp_tad.windows import Found, Timeline, Window, merge, segments_of, unseen, window_truth

Source = VideoSource | FeatureSource


class Batch(NamedTuple):
    """Some windows.

    inputs: what the network takes, by name
    truth: their instances
    windows: where they are
    """

    inputs: dict[str, Tensor]
    truth: Truth
    windows: list[Window]


class Item(NamedTuple):
    """One window: its inputs without the batch axis, its truth and its place."""

    inputs: dict[str, Tensor]
    segments: Tensor
    labels: Tensor
    window: Window


class System:
    """SP-TAD with its classes: the network, its loss and its decoding.

    config: of the network and of the windows
    classes: names, in the order of the network's outputs
    """

    def __init__(self, config: SpTadConfig, classes: Sequence[str]) -> None:
        if not classes:
            raise FormatError("there are no classes", remedy="give the names of the classes")
        self.config, self.classes = config, tuple(classes)
        self.network = SpTad(config, len(self.classes))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of Eq. 2."""
        return set_loss(self.network(batch.inputs), batch.truth, self.config)

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[Found]:
        """Return what the last head finds in each window, best first."""
        return decode(self.network(batch.inputs), batch.windows, self.config)


def decode(outputs: Outputs, windows: Sequence[Window], config: SpTadConfig, head: int = -1) -> list[Found]:
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
    return [Found(window, *row) for window, *row in zip(windows, *columns, strict=True)]


def build(config: SpTadConfig, classes: Sequence[str]) -> System:
    """Return a new system. raises: FormatError without classes

    >>> build(SpTadConfig.smoke(), ["run", "jump"]).classes
    ('run', 'jump')
    """
    return System(config, classes)


class WindowSet:
    """The windows of a source as a torch-style data set; crops and flips change with ``epoch``.

    windows: those that are given out
    notes: what was left out, such as instances too long for any window
    """

    def __init__(
        self, config: SpTadConfig, classes: Sequence[str], source: Source, training: bool, seed: int = 0
    ) -> None:
        self.config, self.classes, self.seed, self.epoch = config, tuple(classes), seed, 0
        self.reader = WindowReader(config, source)
        self.training = training
        self.lines: dict[str, Timeline] = {name: self.reader.line(name) for name in source.videos}
        annotated = source.annotations.videos
        self.segments = {
            name: tuple(segments_of(annotated[name], source.fps(name))) for name in source.videos
        }
        stride = config.train_stride if training else config.test_stride
        every = [window for line in self.lines.values() for window in self.reader.windows(line, stride)]
        self.windows, self.notes = every, []
        self._truth: dict[Window, tuple[np.ndarray, np.ndarray]] = {}
        if training:
            self.windows = [window for window in every if len(self.truth(window)[0])]
            lost = unseen(self.lines.values(), every, self.segments, config.truth_share)
            self.notes = [f"instances {what}, not trained on: {n}" for what, n in lost.items() if n]
            self._check_counts()

    def _check_counts(self) -> None:
        if not self.windows:
            raise FormatError(
                "no window holds an instance",
                file=self.reader.source.annotations.dataset,
                remedy="take a source with segments or longer windows",
            )
        fullest = max(self.windows, key=lambda window: len(self.truth(window)[0]))
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
            share = self.config.truth_share
            self._truth[window] = window_truth(window, line, segments, self.classes, share)
        return self._truth[window]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Item:
        """Return one window. raises: NotFiniteError with video and stage for features that are not finite"""
        if not 0 <= index < len(self.windows):
            raise IndexError(f"window {index} of {len(self.windows)}")
        window = self.windows[index]
        generator = np.random.default_rng([self.seed, self.epoch, index]) if self.training else None
        inputs = self.reader.read(window, self.lines[window.video], generator)
        spans, labels = self.truth(window) if self.training else (np.zeros((0, 2)), np.zeros(0, np.int64))
        return Item(inputs, torch.from_numpy(spans).float(), torch.from_numpy(labels), window)

    def name(self, index: int) -> str:
        """Return how a window is called in messages."""
        return str(self.windows[index])


def segment_truth(source: Source) -> Annotations:
    """Return a source's annotations with every video's segments, those of its tubes where it has tubes.

    Temporal metrics compare ``detect`` with it.
    """
    truth = source.annotations
    videos = {
        name: replace(video, segments=segments_of(video, source.fps(name)), tubes=None, frames=None)
        for name, video in truth.videos.items()
    }
    return Annotations(truth.dataset, truth.classes, videos)


def training_set(system: System, source: Source, seed: int = 0) -> WindowSet:
    """Return the windows to train on: those that hold an instance.

    raises: FormatError where there is none or one holds more instances than there are proposals
    """
    return WindowSet(system.config, system.classes, source, training=True, seed=seed)


def test_windows(system: System, source: Source) -> WindowSet:
    """Return all windows of all videos, without their truth."""
    return WindowSet(system.config, system.classes, source, training=False)


def collate(items: Sequence[Item]) -> Batch:
    """Return some windows as a batch."""
    inputs = {name: torch.stack([item.inputs[name] for item in items]) for name in items[0].inputs}
    truth = make_truth([item.segments for item in items], [item.labels for item in items])
    return Batch(inputs, truth, [item.window for item in items])


@torch.no_grad()
def detect(system: System, source: Source, batch: int = 8) -> Predictions:
    """Return the segments of every video: windows, the network, soft-NMS over overlapping windows.

    batch: windows that go through the network together
    """
    data = test_windows(system, source)
    device = next(system.network.parameters()).device
    training = system.network.training
    system.network.eval()
    found: dict[str, list[Found]] = {name: [] for name in source.videos}
    for first in range(0, len(data), batch):
        items = collate([data[i] for i in range(first, min(first + batch, len(data)))])
        outputs = system.network({name: part.to(device) for name, part in items.inputs.items()})
        check_outputs(outputs, items.windows, data.lines)
        for one in decode(outputs, items.windows, system.config):
            found[one.window.video].append(one)
    system.network.train(training)
    return merged(found, data.lines, system)


def check_outputs(outputs: Outputs, windows: Sequence[Window], lines: Mapping[str, Timeline]) -> None:
    """Refuse what the network says of some windows where it is not finite.

    raises: NotFiniteError with the video and the window's first frame
    """
    for place, window in enumerate(windows):
        told = [outputs.logits[None, :, place], outputs.segments[None, :, place]]
        told += [] if outputs.clip is None else [outputs.clip[None, place]]
        first = lines[window.video].frames[window.start : window.start + 1]
        check_finite_frames("what the network says", window.video, first, *told)


def merged(
    found: Mapping[str, Sequence[Found]], lines: Mapping[str, Timeline], system: System
) -> Predictions:
    """Return what was found in windows as predictions for whole videos."""
    config = system.config
    videos: dict[str, Any] = {
        name: VideoPredictions(
            segments=merge(parts, lines[name], system.classes, config.sigma, config.min_score, config.most)
        )
        for name, parts in found.items()
    }
    return Predictions(system.classes, videos)
