"""How far linear extrapolation drifts on real tubes: the assumption behind STEP Eq. 4, put to a test.

Windows of three clips are cut out of the annotated tubes. The first clip is seen; the next two are
foretold, one after the other, by Eq. 4, by copying the last box, or by a small regressor that has learnt
from the tubes of the training videos. The figure is the mean box IoU with the true boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.step.extension import ahead, overlap_ahead, replicate, windows

CLIP, CLIPS_AHEAD = 6, 2
Forecast = Callable[[np.ndarray], np.ndarray]
"""(n, frames, 4) seen boxes -> (n, clip, 4) boxes of the next clip."""


def copy_last(seen: np.ndarray, clip: int = CLIP) -> np.ndarray:
    """Return the last box, held for a clip: (n, frames, 4) -> (n, clip, 4)."""
    return replicate(seen, clip)[1]


RULES: dict[str, Forecast] = {
    "extrapolation": partial(ahead, clip=CLIP),
    "extrapolation_recursive": partial(ahead, clip=CLIP, kind="recursive"),
    "copy_last_box": copy_last,
}
"""Forecasts that learn nothing."""


def three_clips(tubes: Sequence[np.ndarray], clip: int = CLIP) -> tuple[np.ndarray, np.ndarray]:
    """Return the seen clip and the two that follow of every window of the tubes, a clip apart.

    tubes: each (t, 4) xyxy pixels
    returns: (n, clip, 4) and (n, 2 clip, 4); every window counts alike, so long tubes count more
    raises: FormatError where no tube is that long
    """
    found = windows(tubes, (1 + CLIPS_AHEAD) * clip, clip)
    if not len(found):
        raise FormatError(
            f"none of {len(tubes)} tubes is {(1 + CLIPS_AHEAD) * clip} frames long",
            remedy="give longer tubes or a shorter clip",
        )
    return found[:, :clip], found[:, clip:]


def overlaps(
    seen: np.ndarray, truth: np.ndarray, rules: dict[str, Forecast] | None = None
) -> dict[str, list[float]]:
    """Return the mean overlap one and two clips ahead, by rule.

    seen, truth: as ``three_clips`` gives them
    rules: name -> forecast, ``RULES`` unless told
    """
    clip = seen.shape[1]
    return {
        name: overlap_ahead(seen, truth, clip, rule).mean(0).tolist()
        for name, rule in (rules or RULES).items()
    }


def speed(boxes: np.ndarray) -> np.ndarray:
    """Return how far the centres move from the first frame to the last, in sides.

    boxes: (n, frames, 4) xyxy pixels
    returns: (n,) distance over the root of the last box's area
    """
    centres = box_ops.xyxy_to_cxcywh(boxes)[..., :2]
    return np.linalg.norm(centres[:, -1] - centres[:, 0], axis=-1) / np.sqrt(box_ops.area(boxes[:, -1]))


def fastest(boxes: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Return which windows move most by ``speed``: (n, frames, 4) -> (n,) truth values."""
    moved = speed(boxes)
    return moved >= np.quantile(moved, 1 - share)


def fit_regressor(
    seen: np.ndarray, truth: np.ndarray, hidden: int = 64, updates: int = 800, seed: int = 0
) -> Forecast:
    """Return a forecast learnt from windows: what an anticipation could know from the boxes alone.

    One hidden layer from the seen boxes, as offsets from the last one, to the offsets of the next clip;
    it starts as the copy of the last box and minimises 1 - IoU over both clips ahead, the second
    foretold from the first.

    seen, truth: as ``three_clips`` gives them
    returns: (n, clip, 4) -> (n, clip, 4); of longer tubelets it looks at the last clip
    """
    clip = seen.shape[1]
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden_layer, last_layer = nn.Linear(4 * (clip - 1), hidden), nn.Linear(hidden, 4 * clip)
    nn.init.zeros_(last_layer.weight)
    nn.init.zeros_(last_layer.bias)
    network = nn.Sequential(hidden_layer, nn.ReLU(), last_layer)
    given, wanted = (torch.as_tensor(array, dtype=torch.float32) for array in (seen, truth))
    batch = min(1024, 4 * len(given))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
    for _ in range(updates):
        few = torch.randint(len(given), (batch,), generator=generator)
        first = _foretell(network, given[few])
        both = torch.cat([first, _foretell(network, first)], 1)
        loss = (1 - box_ops.iou(both, wanted[few, : 2 * clip])).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()

    @torch.no_grad()
    def forecast(boxes: np.ndarray) -> np.ndarray:
        last = torch.as_tensor(boxes[:, -clip:], dtype=torch.float32)
        return _foretell(network, last).double().numpy()

    return forecast


def _foretell(network: nn.Module, boxes: torch.Tensor) -> torch.Tensor:
    """Return the clip after (n, clip, 4), from its boxes alone."""
    last = boxes[:, -1:]
    offsets = network(box_ops.encode(boxes[:, :-1], last).flatten(1))
    return box_ops.decode(offsets.view(boxes.shape), last)


def extension_figures(
    tubes: Sequence[np.ndarray], train: Sequence[np.ndarray], test: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Return the figures of STEP's temporal extension on real tubes.

    tubes: all tubes, each (t, 4) xyxy pixels
    train, test: those of the training and the test videos, for the learnt regressor
    returns: ``all``: windows and overlap by rule; ``test``: the same on the test tubes, with the
        regressor learnt from the training tubes; ``test_fast_so_far``: on the tenth of the test windows
        whose seen clip moves most, which is all that a detector could know; ``test_fast_in_hindsight``:
        on the tenth that moves most from the seen clip to the end of the two that follow
    Source: STEP Sec. 3.3, K = 6; the sizes of windows are ours.
    """
    everything = three_clips(tubes)
    rules = {**RULES, "learnt_regressor": fit_regressor(*three_clips(train))}
    seen, truth = three_clips(test)
    so_far, hindsight = fastest(seen), fastest(np.concatenate([seen[:, -1:], truth], 1))
    return {
        "clip": CLIP,
        "all": {"windows": len(everything[0])} | overlaps(*everything),
        "test": {"windows": len(seen)} | overlaps(seen, truth, rules),
        "test_fast_so_far": _among(so_far, seen, truth, rules),
        "test_fast_in_hindsight": _among(hindsight, seen, truth, rules),
    }


def _among(
    chosen: np.ndarray, seen: np.ndarray, truth: np.ndarray, rules: dict[str, Forecast]
) -> dict[str, Any]:
    return {"windows": int(chosen.sum())} | overlaps(seen[chosen], truth[chosen], rules)
