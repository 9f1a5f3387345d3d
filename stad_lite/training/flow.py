"""Training a flow network against exact flow, on pairs of frames of synthetic clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite.data.flow import Estimator, end_point_error
from stad_lite.data.synthetic import Clip
from stad_lite.errors import FormatError
from stad_lite.nets.flow.estimator import at_size
from stad_lite.nets.flow.pwcnet import PWCNet, multi_scale_loss
from stad_lite.nets.flow.warping import resize_flow
from stad_lite.schedule import TrainConfig
from stad_lite.training.short import minimise

SCHEDULES = {
    "lesson": TrainConfig(steps=900, batch=8, lr=2e-3, warm_up=50, clip_norm=1.0),
    "smoke": TrainConfig(steps=4, batch=4, lr=2e-3),
}
"""Profile -> how a small network is trained."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Frames, the frames after them, and the exact flow from one to the other.

    first, second: (n, h, w, 3) uint8 RGB
    flow: (n, h, w, 2) pixels to the right and down
    """

    first: np.ndarray
    second: np.ndarray
    flow: np.ndarray

    def __len__(self) -> int:
        return len(self.flow)

    def batch(self, numbers: np.ndarray, place: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """Return some pairs as tensors on a device: (b, 3, h, w) in [0, 1] twice, and (b, 2, h, w)."""
        first, second, flow = (
            torch.from_numpy(part[numbers]).to(place).float().permute(0, 3, 1, 2)
            for part in (self.first, self.second, self.flow)
        )
        return first / 255, second / 255, flow

    def error(self, estimator: Estimator) -> float:
        """Return the mean end-point error of an estimator in pixels."""
        triples = zip(self.first, self.second, self.flow, strict=True)
        return float(np.mean([end_point_error(estimator(a, b), truth) for a, b, truth in triples]))


def pairs_of(clips: Iterable[Clip], step: int = 1) -> Pairs:
    """Return every ``step``-th pair of all clips. raises: FormatError for no clip, or one without flow"""
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for clip in clips:
        if clip.flow is None:
            raise FormatError("the clips have no flow", remedy="render them with flow=True")
        parts.append((clip.frames[:-1:step], clip.frames[1::step], clip.flow[:-1:step]))
    if not parts:
        raise FormatError("no clips to take pairs of", remedy="give one or more")
    return Pairs(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def turned(images: tuple[Tensor, ...], flow: Tensor, turn: int) -> tuple[Tensor, ...]:
    """Return images and the flow between them, mirrored and transposed in one of eight ways.

    images: (b, c, h, w) each
    flow: (b, 2, h, w)
    turn: 0 to 7: 1 mirrors left and right, 2 top and bottom, 4 swaps the axes; they add up
    """
    signs = flow.new_tensor([-1.0 if turn & 1 else 1.0, -1.0 if turn & 2 else 1.0]).view(2, 1, 1)
    axes = [axis for bit, axis in ((1, 3), (2, 2)) if turn & bit]
    both = [*(image.flip(axes) for image in images), flow.flip(axes) * signs]
    if turn & 4:
        both = [part.transpose(2, 3) for part in both]
        both[-1] = both[-1].flip(1)
    return tuple(both)


def train(
    net: nn.Module,
    pairs: Pairs,
    config: TrainConfig,
    size: tuple[int, int] | None = None,
    device: torch.device | None = None,
) -> None:
    """Train a PWCNet or a FlowNetS on pairs, turned at random (flow sub-network Eq. 1).

    config: as ``training.short.minimise`` reads it, and ``seed`` and ``batch``
    size: (height, width) at which the network sees the frames, None for their own
    device: that it is taken to, the CPU unless told; frames cross as bytes
    """
    net.to(device or "cpu").train()
    minimise(net, _loss(net, pairs, config, size), config, desc="flow")
    net.eval()


def _loss(
    net: nn.Module, pairs: Pairs, config: TrainConfig, size: tuple[int, int] | None
) -> Callable[[], dict[str, Tensor]]:
    rng = np.random.default_rng(config.seed)
    place = next(net.parameters()).device

    def loss() -> dict[str, Tensor]:
        *images, flow = pairs.batch(rng.integers(len(pairs), size=config.batch), place)
        first, second, flow = turned(tuple(images), flow, int(rng.integers(8)))
        if size is not None:
            first, second, flow = at_size(first, size), at_size(second, size), resize_flow(flow, *size)
        if isinstance(net, PWCNet):  # blue first, as in ``pwcnet.estimate``
            first, second = first.flip(1), second.flip(1)
        return {"flow": multi_scale_loss(net(first, second), flow)}

    return loss
