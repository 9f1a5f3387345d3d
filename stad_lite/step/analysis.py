"""What each step is given: the distribution of STEP's Fig. 4, and how well added clips hold the actor."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.arrays import as_numpy
from stad_lite.data.source import VideoSource
from stad_lite.step.clips import clip_runs, has_truth, item_of
from stad_lite.step.config import StepConfig
from stad_lite.step.criterion import input_overlaps
from stad_lite.step.model import extend, update
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
    runs = clip_runs(source, config, stride or config.stride)
    runs = tuple(run for run in runs if has_truth(source, run, config))
    data = Items(runs, lambda run, _: item_of(config, source, run, maps))
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(config.steps + 1)]
    with evaluated(system.network) as (_, device):
        for batch in batched(data, collate, device):
            answers = system.answers(batch)
            inputs = [answer.proposals for answer in answers] + [update(answers[-1], config)]
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
    runs = clip_runs(source, config, config.stride)
    data = Items(
        tuple(run for run in runs if has_truth(source, run, config)),
        lambda run, _: item_of(config, source, run, maps),
    )
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
