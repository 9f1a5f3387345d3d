"""Streaming: frames come one by one; what is on each is found and linked as soon as the next is there.

Every pyramid and every backbone pass is computed once. What ``system.detect`` finds in a whole video comes
out frame by frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from stad_lite.arrays import check_finite_frames
from stad_lite.data.flow import Estimator
from stad_lite.data.transforms import resize
from stad_lite.errors import FormatError
from stad_lite.flow_subnet.decoding import candidates, linking, on_cpu, score_table, suppressed, trim_of
from stad_lite.flow_subnet.model import FlowSubnetNetwork
from stad_lite.linking import OnlineLinker
from stad_lite.systems.detect import Found
from stad_lite.tubes import Tube

STAGES = ("flow", "backbone", "fusion", "head", "nms", "linking")
"""What a frame's time is spent on."""


@dataclass
class Account:
    """Seconds by stage.

    device: whose work is waited for at the end of each stage, so that its time is the stage's own; None waits
        for nothing, and what a GPU has yet to do counts where its results are needed
    clock: seconds; ``time.process_time`` for a busy machine's CPU seconds
    """

    device: torch.device | None = None
    clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time that is spent inside."""
        began = self.clock()
        yield
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[name] += self.clock() - began


@dataclass(frozen=True, eq=False)
class OnFrame:
    """What was found on one frame.

    frame: its number
    found: boxes in its own pixels, best first in each class
    paths: (n,) number of the path that each box joins, -1 for none
    """

    frame: int
    found: Found
    paths: np.ndarray


class Seen(NamedTuple):
    """A frame as it is kept for the next one.

    image: (1, 3, h, w) RGB in [0, 1]
    features: what the flow network needs of it
    pixels: (h, w, 3) uint8, for an estimator of one's own
    """

    image: Tensor
    features: list[Tensor]
    pixels: np.ndarray


class Stream:
    """Boxes and tubes of one video, as its frames arrive.

    network: with its weights; it is put into evaluation mode
    classes: their names
    estimator: flow from frame to frame, where the network has none of its own (``given``)
    account: where the time goes

    >>> from stad_lite.flow_subnet.config import FlowSubnetConfig
    >>> from stad_lite.flow_subnet.system import build
    >>> system = build(replace(FlowSubnetConfig.smoke(), pretrained=""), ["run"])
    >>> stream = Stream(system.network, system.classes)
    >>> [len(stream.push(np.zeros((60, 80, 3), np.uint8))) for _ in range(3)], len(stream.close())
    ([0, 1, 1], 1)
    """

    def __init__(
        self,
        network: FlowSubnetNetwork,
        classes: tuple[str, ...],
        estimator: Estimator | None = None,
        account: Account | None = None,
    ) -> None:
        self.network, self.config, self.classes = network.eval(), network.config, classes
        self.account = account or Account()
        self.estimator = estimator
        if network.motion is not None and network.motion.net is None and estimator is None:
            raise FormatError("the network has no flow of its own", remedy="give an estimator (data.flow)")
        self.linker = OnlineLinker(len(classes), linking(self.config), classes)
        self.size: tuple[int, int] | None = None
        self._past: tuple[Seen, Seen] | None = None
        self._field: Tensor | None = None
        self._count = 0

    @torch.no_grad()
    def push(self, frame: np.ndarray) -> list[OnFrame]:
        """Take the next frame; return what is found on the one before it, nothing at the first.

        frame: (h, w, 3) uint8 RGB, all of one size
        raises: FormatError with the number of a frame of another size or kind, NotFiniteError
        """
        seen = self._look(self._checked(frame))
        before, self._count = self._past, self._count + 1
        if before is None:
            self._past = (seen, seen)
            if self.config.sees_motion and self.config.pairs == "two":
                self._field = self._between(seen, seen)
            return []
        return [self._step(seen)]

    @torch.no_grad()
    def close(self) -> list[OnFrame]:
        """End the video; return what is found on its last frame, nothing where there was none."""
        if self._past is None or self.linker.frame == self._count - 1:
            return []
        return [self._step(self._past[1])]

    def tubes(self) -> tuple[Tube, ...]:
        """Return the tubes of the frames so far, trimmed as the settings say, in the video's own pixels."""
        factor, tubes = self._factor(), self.linker.tubes(trim_of(self.config))
        return tuple(replace(tube, boxes=tube.boxes * factor) for tube in tubes)

    def _checked(self, frame: np.ndarray) -> np.ndarray:
        frame = np.asarray(frame)
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
            raise FormatError(
                f"the frame is {frame.dtype} {frame.shape}", frame=self._count, remedy="give (h, w, 3) uint8"
            )
        size = (frame.shape[0], frame.shape[1])
        if self.size not in (None, size):
            problem = f"the frame has {size} pixels and those before it had {self.size}"
            raise FormatError(problem, frame=self._count, remedy="begin a new stream where the size changes")
        self.size = size
        return resize(frame, *self.config.size) if size != self.config.size else frame

    def _factor(self) -> np.ndarray:
        """What takes boxes from the network's frames to the video's."""
        height, width = self.size or self.config.size
        return np.array([width / self.config.size[1], height / self.config.size[0]] * 2)

    def _look(self, frame: np.ndarray) -> Seen:
        """Bring a frame to the device and compute what the flow network keeps of it."""
        motion = self.network.motion
        with self.account.stage("flow"):
            place = self.network.mean.device
            image = rearrange(torch.from_numpy(np.ascontiguousarray(frame)).to(place), "h w c -> 1 c h w")
            image = image.float() / 255
            known = motion is not None and motion.net is not None
            features = motion.features(image) if motion is not None and known else []
        return Seen(image, features, frame)

    def _between(self, first: Seen, second: Seen) -> Tensor:
        """The flow field (1, 2, h, w) from one frame to another, in pixels."""
        motion: Any = self.network.motion
        with self.account.stage("flow"):
            if motion.net is not None:
                flow = motion.between(first.features, second.features)[0]
                found: Tensor = motion.field(flow, self.config.size)
                return found
            assert self.estimator is not None
            if first is second:
                return first.image.new_zeros(1, 2, *self.config.size)
            given = torch.as_tensor(self.estimator(first.pixels, second.pixels), dtype=torch.float32)
            return rearrange(given, "h w c -> 1 c h w").to(first.image.device)

    def _step(self, after: Seen) -> OnFrame:
        """What is found on the frame before ``after``, which becomes the newest."""
        assert self._past is not None
        earlier, current = self._past
        motion = None
        if self.config.sees_motion:
            start = earlier if self.config.pairs == "released" else current
            new = self._between(start, after)
            fields = new if self._field is None else torch.cat([self._field, new], 1)
            with self.account.stage("flow"):
                motion = self.network.motion.image(fields)  # type: ignore[union-attr]
            self._field = new if self._field is not None else None
        self._past = (current, after)
        return self._found(current, motion)

    def _found(self, current: Seen, motion: Tensor | None) -> OnFrame:
        network, config, stage = self.network, self.config, self.account.stage
        number = self.linker.frame + 1
        with stage("backbone"):
            maps = network.maps(network.appearance(current.image), motion)
        with stage("fusion"):
            fused = network.fused(*maps)
        with stage("head"):
            scores, offsets = network.head(*fused)
        with stage("nms"):
            best = on_cpu(candidates(scores, offsets, network.boxes, config.size, config))
            check_finite_frames("what the network says", "", [number], *best)
            (found,) = suppressed(best, config)
        with stage("linking"):
            paths = self.linker.step(number, found.boxes, score_table(found, len(self.classes)))
            joined = paths[np.arange(len(found)), found.labels]
        return OnFrame(number, replace(found, boxes=found.boxes * self._factor()), joined)
