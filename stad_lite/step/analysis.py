"""What each step is given: the distribution of STEP's Fig. 4, and how well added clips hold the actor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.arrays import as_numpy
from stad_lite.data.clips import FrameRun
from stad_lite.data.source import VideoSource
from stad_lite.step import sampling
from stad_lite.step.clips import clips_with_truth, item_of
from stad_lite.step.config import StepConfig
from stad_lite.step.criterion import drawn, input_overlaps
from stad_lite.step.extension import concatenate, extrapolate, replicate
from stad_lite.step.model import Answer, extend, update
from stad_lite.step.system import StepSystem, collate
from stad_lite.systems.detect import batched, evaluated
from stad_lite.systems.items import Items
from stad_lite.systems.maps import FrameMaps, frame_maps

RULES: tuple[Literal["copy", "extrapolation", "anticipation"], ...] = (
    "copy",
    "extrapolation",
    "anticipation",
)
"""Ways to extend; the last one must have been learnt."""


class InputOverlaps(NamedTuple):
    """The overlaps of one step's input with the truths, over all clips that hold one.

    proposals: (n,) of each proposal with the truth it overlaps most
    truths: (k,) of each truth with the proposal that overlaps it most
    """

    proposals: np.ndarray
    truths: np.ndarray


@torch.no_grad()
def overlaps_by_step(
    system: StepSystem, source: VideoSource, maps: FrameMaps | None = None, stride: int = 0
) -> list[InputOverlaps]:
    """Return the input overlaps of every step, and behind them those of what the last step gives.

    maps: of all frames; for a frozen backbone they are computed where they are not given
    stride: frames from clip to clip, the configuration's unless told
    returns: S_max + 1 entries
    Source: STEP Fig. 4.
    """
    config = system.config
    if maps is None and config.frozen:
        maps = frame_maps(system, source)
    data = Items(clips_with_truth(source, config, stride), lambda run, _: item_of(config, source, run, maps))
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(config.steps + 1)]
    with evaluated(system.network) as (_, device):
        for batch in batched(data, collate, device):
            answers = system.answers(batch)
            inputs = inputs_of(answers, config)
            for place, proposals in zip(found, inputs, strict=True):
                overlaps = input_overlaps(proposals, batch, config)
                best = overlaps.amax(1)[batch["valid"]]
                place.append((overlaps.amax(2).flatten().cpu().numpy(), best.cpu().numpy()))
    nothing = (np.zeros(0, np.float32), np.zeros(0, np.float32))
    return [InputOverlaps(*map(np.concatenate, zip(nothing, *place, strict=True))) for place in found]


@torch.no_grad()
def overlaps_beside(
    system: StepSystem, source: VideoSource, maps: FrameMaps | None = None
) -> dict[str, float]:
    """Return how well the clips that are added hold the actor, by each rule that the network knows.

    Of each truth the best proposal of the step before is taken, extended by every rule, and the boxes added
    are held against the truth of their own frames, where it is present.

    returns: ``RULE_STEP`` -> mean IoU, for the rules ``copy``, ``extrapolation`` and, where it is learnt,
        ``anticipation``, and each step that sees more clips than the one before it
    """
    config = system.config
    if maps is None and config.frozen:
        maps = frame_maps(system, source)
    data = Items(clips_with_truth(source, config), lambda run, _: item_of(config, source, run, maps))
    found: dict[str, list[np.ndarray]] = {}
    with evaluated(system.network) as (_, device):
        for batch in batched(data, collate, device):
            for step, answer in enumerate(system.answers(batch)[:-1], start=2):
                if config.clips[step - 1] == config.clips[step - 2]:
                    continue
                for rule in RULES[: 2 + (answer.before is not None)]:
                    longer = extend(answer, replace(config, extension=rule))
                    found.setdefault(f"{rule}_{step}", []).append(_outer_overlaps(longer, batch, config))
    return {name: float(np.concatenate(some).mean()) for name, some in found.items()}


def _outer_overlaps(longer: Tensor, batch: dict[str, Tensor], config: StepConfig) -> np.ndarray:
    """Return the IoU of each added box of each truth's best proposal with the truth. longer: (b, m, t, 4)"""
    whole, seen, boxes = batch["truth"].shape[2], longer.shape[2], config.boxes
    first = (whole - seen) // 2
    best = input_overlaps(longer, batch, config).argmax(1)
    chosen = longer[torch.arange(len(longer), device=longer.device)[:, None], best]
    truth = batch["truth"][:, :, first : whole - first].to(chosen)
    counts = batch["present"][:, :, first : whole - first] & batch["valid"][..., None]
    counts[:, :, boxes:-boxes] = False
    return as_numpy(box_ops.iou(chosen[counts], truth[counts]))


def inputs_of(answers: Sequence[Answer], config: StepConfig) -> list[Tensor]:
    """Return what went into every step, and what came out of the last: (b, m, t, 4) each."""
    return [answer.proposals for answer in answers] + [update(answers[-1], config)]


class Refined(NamedTuple):
    """One clip and its proposals, as pictures show them.

    steps: what goes into each step, and the result: (m, t, 4) xyxy pixels
    truth: (g, t, 4) of the actors that count, NaN where one is not there
    best: for each of them, the proposal that overlaps it most in the end
    """

    steps: list[np.ndarray]
    truth: np.ndarray
    best: list[int]


class Extended(NamedTuple):
    """The actors of one clip that are there throughout, with a clip more on either side.

    rows: rule, or rule with ``, true`` where the true boxes are extended -> (g, 3 clips, 4) xyxy pixels
    truth: (g, 3 clips, 4)
    present: (g, 3 clips) where the actor is there
    """

    rows: dict[str, np.ndarray]
    truth: np.ndarray
    present: np.ndarray


BY_RULE = {"copy": replicate, "extrapolation": extrapolate}
"""Ways to extend that need nothing but boxes."""


@dataclass(frozen=True)
class Clips:
    """Clips that hold a truth, and what a system says of them.

    maps: of all frames of the source
    runs: the clips, video by video
    """

    system: StepSystem
    source: VideoSource
    maps: FrameMaps
    runs: tuple[FrameRun, ...]

    @classmethod
    def of(cls, system: StepSystem, source: VideoSource) -> Clips:
        """Return the clips of a source, with the maps of the system's backbone."""
        return cls(system, source, frame_maps(system, source), clips_with_truth(source, system.config))

    def batch(self, *runs: FrameRun, config: StepConfig | None = None) -> dict[str, Any]:
        """Return clips as the network takes them. config: of another reach than the system's"""
        config = config or self.system.config
        return collate([item_of(config, self.source, run, self.maps) for run in runs])

    def frames(self, *runs: FrameRun) -> dict[str, Any]:
        """Return clips as the network takes them where it sees their frames, not maps."""
        return collate([item_of(self.system.config, self.source, run, None) for run in runs])

    def throughout(self) -> list[FrameRun]:
        """Return the clips whose actors act on all of their frames; all clips where there is none."""
        batches = ((run, self.batch(run)) for run in self.runs)
        whole = [run for run, one in batches if one["valid"].any() and one["present"].all()]
        return whole or list(self.runs)

    def smallest(self, run: FrameRun) -> float:
        """Return the size of a clip's smallest actor, in percent of the frame."""
        one, (height, width) = self.batch(run), self.system.config.size
        return float(100 * box_ops.area(one["truth"][one["valid"]]).mean(-1).min() / (height * width))

    @torch.no_grad()
    def refined(self, run: FrameRun) -> Refined:
        """Return a clip's proposals from step to step."""
        one, config = self.batch(run), self.system.config
        steps = inputs_of(self.system.answers(one), config)
        there = one["valid"][0].numpy()
        best = input_overlaps(steps[-1], one, config)[0].argmax(0).numpy()
        true = np.where(one["present"][0][..., None], one["truth"][0], np.nan)
        return Refined([boxes[0].numpy() for boxes in steps], true[there], best[there].tolist())

    @torch.no_grad()
    def extended(self, run: FrameRun) -> Extended:
        """Return a clip's actors, and the best tubelet of each, extended by every rule of ``BY_RULE``."""
        config = self.system.config
        wide, clip = replace(config, clips=(*config.clips[:-1], 3)), config.boxes
        around = self.batch(run, config=wide)
        answer = self.system.answers(self.batch(run))[-1]
        on = around["present"][0][:, clip : 2 * clip].all(1)
        present, truth = around["present"][0][on].numpy(), around["truth"][0][on].numpy()
        seen, rows = truth[:, clip : 2 * clip], dict[str, np.ndarray]()
        best = input_overlaps(extend(answer, replace(config, extension="copy")), around, wide)[0].argmax(0)
        for rule in RULES[:2]:
            longer = extend(answer, replace(config, extension=rule))
            rows[rule] = longer[0][best[on]].numpy()
            before, after = BY_RULE[rule](seen, clip)
            rows[f"{rule}, true"] = concatenate(before, seen, after)
        return Extended(rows, truth, present)

    def drawn_of(self, runs: Sequence[FrameRun]) -> list[tuple[float, ...]]:
        """Return, for each step, how many positives a clip has and are drawn, and how many negatives."""
        batch, config = self.batch(*runs), self.system.config
        counts, before = [], None
        for step, answer in enumerate(self.system.answers(batch)):
            overlaps = input_overlaps(answer.proposals, batch, config)
            pool = sampling.assign(overlaps, batch["valid"], config.thresholds[step], config.assignment).truth
            took = drawn(answer.proposals, before, step, batch, config).truth
            parts = (pool >= 0, took >= 0, pool < 0, took < 0)
            counts.append(tuple(float(part.sum() / len(overlaps)) for part in parts))
            before = answer
        return counts
