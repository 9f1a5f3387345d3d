"""How good the proposals are that go into each step: the distribution of STEP's Fig. 4."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from stad_lite.data.source import VideoSource
from stad_lite.step.criterion import input_overlaps
from stad_lite.step.features import FrameMaps, frame_maps
from stad_lite.step.model import update
from stad_lite.step.system import BATCH, StepSystem, clip_runs, collate, has_truth, item_of


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
    config, network = system.config, system.network.eval()
    if maps is None and config.frozen:
        maps = frame_maps(network, source)
    device = next(network.parameters()).device
    runs = clip_runs(source, config, stride or config.stride)
    runs = tuple(run for run in runs if has_truth(source, run, config))
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(config.steps + 1)]
    for first in range(0, len(runs), BATCH):
        items = [item_of(config, source, run, maps) for run in runs[first : first + BATCH]]
        batch = {name: values.to(device) for name, values in collate(items).items()}
        answers = system.answers(batch)
        inputs = [answer.proposals for answer in answers] + [update(answers[-1], config)]
        for place, proposals in zip(found, inputs, strict=True):
            overlaps = input_overlaps(proposals, batch, config)
            best = overlaps.amax(1)[batch["valid"]]
            place.append((overlaps.amax(2).flatten().cpu().numpy(), best.cpu().numpy()))
    nothing = (np.zeros(0, np.float32), np.zeros(0, np.float32))
    return [InputOverlaps(*map(np.concatenate, zip(nothing, *place, strict=True))) for place in found]
