"""The backbone of early fusion: both streams stacked in channels, pretrained as the others are.

``baselines.pretraining`` has one backbone for RGB and one for flow; this one sees five channels.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import Actors, DenseDetector, flow_input, losses, rgb_input
from stad_lite.baselines.pretraining import CLIPS, SCHEDULES, read_clips
from stad_lite.data.synthetic import CLASSES, Settings, cache_folder
from stad_lite.errors import StadError
from stad_lite.nets.vgg import VGG
from stad_lite.progress import progress
from stad_lite.records import atomic_write
from stad_lite.schedule import TrainConfig, config_hash, learning_rate

VERSION = 1
"""Part of the cache key; to be raised with every change in how the backbone is trained."""


def new_backbone() -> VGG:
    """Return the small backbone with five input channels: RGB, and the flow to the next frame."""
    return VGG(5, depth=(1, 2, 2), channels=(32, 32, 32), norm="group", last_dilation=2)


def stacked_backbone(
    profile: str = "lesson", seed: int = 0, schedule: TrainConfig | None = None, cache_dir: Path | None = None
) -> VGG:
    """Return the backbone of early fusion, trained now if it is not in the cache yet.

    profile: ``lesson`` or ``smoke``: clips and schedule are those of ``baselines.pretraining``
    schedule: instead of that one
    cache_dir: instead of ``synthetic.cache_folder()``
    returns: VGG in evaluation mode with the end point ``conv3_2``
    raises: StadError for an unknown profile
    """
    if profile not in SCHEDULES:
        raise StadError(f"no backbone at {profile!r}", remedy="choose lesson or smoke")
    schedule = replace(schedule or SCHEDULES[profile], seed=seed)
    settings = getattr(Settings, profile)()
    folder = Path(cache_dir) if cache_dir is not None else cache_folder()
    key = config_hash(VERSION, schedule, settings.key, CLIPS[profile])
    path = folder / "backbones" / f"stacked-{key}.pt"
    backbone = new_backbone()
    try:
        state = torch.load(path, weights_only=True)
    except Exception:  # none there, or damaged: torch.load names no common kind
        state = _train(schedule, settings, CLIPS[profile], cache_dir)
        atomic_write(path, lambda stream: torch.save(state, stream))
    backbone.load_state_dict(state)
    return backbone.eval()


def _train(
    schedule: TrainConfig, settings: Settings, clips: int, cache_dir: Path | None
) -> dict[str, Tensor]:
    rgb, flow = (read_clips(settings, range(clips), name, cache_dir) for name in ("rgb", "flow"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        detector = DenseDetector(DenseConfig(modality="rgb"), len(CLASSES))
        detector.backbones["rgb"] = new_backbone()
        optimiser = torch.optim.AdamW(detector.parameters(), schedule.lr, weight_decay=schedule.weight_decay)
        for step in progress(range(schedule.steps), desc="pretraining both streams stacked"):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, schedule.steps, schedule)
            inputs, actors = _draw(rgb.inputs, flow.inputs, rgb.actors, schedule.batch)
            terms = losses(detector({"rgb": inputs}), actors, detector.stride, detector.config)
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(detector.parameters(), schedule.clip_norm or float("inf"))
            optimiser.step()
    state: Any = detector.backbones["rgb"].state_dict()
    return {name: value.detach().contiguous() for name, value in state.items()}


def _draw(frames: Tensor, flow: Tensor, actors: Actors, batch: int) -> tuple[Tensor, Actors]:
    """Draw frames with their flow, half of the draws mirrored, as clips of one frame."""
    clip, time = torch.randint(len(frames), (batch,)), torch.randint(frames.shape[1], (batch,))
    mirrored = torch.rand(batch) < 0.5
    inputs = torch.cat([rgb_input(frames[clip, time]), flow_input(flow[clip, time])], 1)
    sign = torch.tensor([1.0, 1, 1, -1, 1])[:, None, None]
    inputs = torch.where(mirrored[:, None, None, None], inputs.flip(-1) * sign, inputs)
    boxes, width = actors.boxes[clip, :, time], frames.shape[3]
    turned = boxes[..., [2, 1, 0, 3]] * torch.tensor([-1.0, 1, -1, 1]) + torch.tensor([width, 0.0, width, 0])
    boxes = torch.where(mirrored[:, None, None], turned, boxes)
    return inputs[:, None], Actors(
        boxes[:, :, None], actors.present[clip, :, time][:, :, None], actors.labels[clip]
    )
