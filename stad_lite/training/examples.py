"""What costs are measured on: a video of noise for any system, and networks alone at three sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.flownet2 import FlowNet2
from stad_lite.nets.flow.pwcnet import PWCNet
from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.i3d import I3D
from stad_lite.nets.vgg import VGG, RFBBackbone
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.tubes import Tube

CLASSES = tuple(f"action {number}" for number in range(1, 25))
"""As many as UCF101-24 has."""
FRAMES, FPS, ACTION = 320, 10.0, 32
"""Of the video of noise: long enough for a clip of any system; and the frames of each of its actions."""

LATE = 10**6
"""An epoch in which all parts of a system are trained: CFAD begins with some."""


@dataclass
class Noise:
    """One video of random frames and flow, filled with actions that follow on each other.

    size: (height, width) in pixels
    frames: how many frames were read, with repeats
    flow: which flow maps were read

    >>> noise = Noise((48, 64))
    >>> noise.source().frames("noise", [0, 5, 5]).shape, noise.frames
    ((3, 48, 64, 3), 3)
    """

    size: tuple[int, int]
    frames: int = 0
    flow: set[int] = field(default_factory=set)

    def source(self) -> VideoSource:
        """Return it as a source."""
        height, width = self.size
        box = np.array([0.3 * width, 0.2 * height, 0.6 * width, 0.9 * height])
        tubes = tuple(
            Tube(start, np.tile(box, (ACTION, 1)), CLASSES[number % len(CLASSES)])
            for number, start in enumerate(range(0, FRAMES, ACTION))
        )
        video = VideoAnnotation(FRAMES, width, height, FPS, FRAMES / FPS, tubes=tubes)
        truth = Annotations("noise", CLASSES, {"noise": video})
        return VideoSource(truth, self.size, self._read_frames, self._read_flow)

    def _read_frames(self, _: str, numbers: np.ndarray) -> np.ndarray:
        self.frames += len(numbers)
        return self._drawn(numbers, 3)

    def _read_flow(self, _: str, numbers: np.ndarray) -> np.ndarray:
        self.flow |= set(numbers.tolist())
        return (self._drawn(numbers, 2).astype(np.float32) - 127.5) / 32

    def _drawn(self, numbers: np.ndarray, channels: int) -> np.ndarray:
        height, width = self.size
        count = height * width * channels
        parts = [np.random.default_rng([channels, int(number)]).bytes(count) for number in numbers]
        values = np.frombuffer(bytearray().join(parts), np.uint8)
        return values.reshape(len(numbers), height, width, channels)

    def batch(self, data: Any, collate: Callable[[list[Any]], Any], items: int) -> tuple[Any, int]:
        """Return a batch, and how many frames were read for it.

        The frames are 0 where items hold maps that were computed when the data set was made.
        data: made of ``source()``; its first items are taken, again where there are too few, as they are in
            the epoch ``LATE``
        raises: FormatError for no items
        """
        if items < 1:
            raise FormatError(f"a batch of {items} items", remedy="give 1 or more")
        self.frames, self.flow, data.epoch = 0, set(), LATE
        batch = collate([data[number % len(data)] for number in range(items)])
        return batch, self.frames or len(self.flow)


@dataclass(frozen=True)
class Alone:
    """A network without a task, as the training loop takes a system: a batch holds its arguments.

    >>> system = Alone(nn.Linear(2, 1))
    >>> system.predict((torch.zeros(3, 2),))[0].shape, list(system.loss((torch.zeros(3, 2),)))
    (torch.Size([3, 1]), ['square'])
    """

    network: nn.Module

    def loss(self, batch: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return one term: the sum of the mean squares of all outputs."""
        outputs = _tensors(self.network(*batch))
        return {"square": torch.stack([output.float().square().mean() for output in outputs]).sum()}

    def predict(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """Return the raw outputs."""
        return _tensors(self.network(*batch))


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    values = outputs.values() if isinstance(outputs, Mapping) else outputs
    return [tensor for value in values for tensor in _tensors(value)]


@dataclass(frozen=True)
class Network:
    """A network at three sizes.

    build: width factor -> the network
    channels: of each argument
    sizes: profile -> width factor and the axes of an item's arguments, without channels
    frames: of an item, where time is none of its axes
    """

    build: Callable[[float], nn.Module]
    channels: tuple[int, ...]
    sizes: Mapping[str, tuple[float, tuple[int, ...]]]
    frames: int = 1

    def example(self, profile: str, items: int) -> tuple[Alone, tuple[Tensor, ...], int]:
        """Return the network, a batch of noise for it, and how many frames that holds.

        raises: FormatError for an unknown profile, and for no items
        """
        if profile not in self.sizes or items < 1:
            raise FormatError(
                f"{items} items at profile {profile!r}", remedy=f"give 1 or more, at {', '.join(self.sizes)}"
            )
        width, axes = self.sizes[profile]
        batch = tuple(torch.rand(items, channels, *axes) for channels in self.channels)
        return Alone(self.build(width)), batch, items * (axes[0] if len(axes) == 3 else self.frames)


def _i3d(channels: int) -> Callable[[float], nn.Module]:
    return lambda width: I3D(channels, width=width, norm="batch" if width == 1 else "group", frozen=True)


def _rfb(width: float) -> nn.Module:
    return RFBBackbone(width=width, norm="batch" if width == 1 else "group", frozen=True)


_CLIPS = {"smoke": (0.125, (16, 64, 64)), "lesson": (0.25, (32, 64, 64)), "paper": (1.0, (256, 96, 96))}
_IMAGES = {"smoke": (0.125, (32, 32)), "lesson": (0.25, (112, 112)), "paper": (1.0, (400, 400))}
_SQUARES = {"smoke": (0.125, (300, 300)), "lesson": (0.25, (300, 300)), "paper": (1.0, (300, 300))}
_PAIRS = {"smoke": (0.125, (64, 64)), "lesson": (0.25, (128, 128)), "paper": (1.0, (320, 320))}

NETWORKS = {
    "i3d": Network(_i3d(3), (3,), _CLIPS),
    "i3d-flow": Network(_i3d(2), (2,), _CLIPS),
    "vgg16": Network(lambda width: VGG(width=width), (3,), _IMAGES),
    "rfb": Network(_rfb, (3,), _SQUARES),
    "pwc-net": Network(lambda width: PWCNet(width=width), (3, 3), _PAIRS),
    "flownet-s": Network(lambda width: FlowNetS(width=width), (3, 3), _PAIRS),
    "flownet2": Network(lambda width: FlowNet2(width=width), (3, 3), _PAIRS),
    "spynet": Network(lambda width: SPyNet(width=width), (3, 3), _PAIRS),
}
"""Name -> network; ``paper`` is SP-TAD's size for I3D, STEP's for VGG16, else the flow sub-network's.

Published batch statistics stay frozen, as in training on them."""
