"""Backbones pretrained with the dense loss on single synthetic frames, kept in the cache folder.

    from stad_lite.baselines.pretraining import pretrained
    from stad_lite.nets.inputs import rgb_input, flow_input

    backbone = pretrained("rgb", profile="lesson", seed=0)      # nets.vgg.VGG, in evaluation mode
    maps = backbone(rgb_input(frames))["conv3_2"]               # (n, 32, h / 4, w / 4) of (n, h, w, 3) uint8
    flow_maps = pretrained("flow")(flow_input(flow))["conv3_2"]  # (n, h, w, 2) pixels a frame

The clips are of the split ``train``, which shares no seed with ``val`` and ``test``;
``clips`` chooses others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import Actors, DenseDetector, losses, make_backbone
from stad_lite.data.synthetic import CLASSES, Settings, cache_folder, dataset
from stad_lite.errors import StadError
from stad_lite.nets.inputs import flow_input, rgb_input
from stad_lite.nets.vgg import VGG
from stad_lite.progress import progress
from stad_lite.records import atomic_write
from stad_lite.schedule import TrainConfig, config_hash, learning_rate

CLIPS = {"lesson": 400, "smoke": 8}
SCHEDULES = {
    "lesson": TrainConfig(steps=1200, batch=16, lr=2e-3, warm_up=50, clip_norm=50.0),
    "smoke": TrainConfig(steps=8, batch=8, lr=2e-3),
}
"""Profile -> how the backbone is trained."""


def pretrained(
    modality: str = "rgb",
    profile: str = "lesson",
    seed: int = 0,
    *,
    clips: int | Iterable[int] | None = None,
    settings: Settings | None = None,
    schedule: TrainConfig | None = None,
    cache_dir: Path | None = None,
) -> VGG:
    """Return the small backbone, trained now if it is not in the cache yet (lesson: under two minutes).

    modality: ``rgb`` or ``flow``
    profile: ``lesson`` or ``smoke``
    seed: of the first weights and of the order of the frames
    clips: how many clips of the split ``train``, or their numbers; None for ``CLIPS[profile]``
    settings: of the clips; None for the profile's
    schedule: of the training; None for ``SCHEDULES[profile]``
    cache_dir: instead of ``synthetic.cache_folder()``
    returns: VGG in evaluation mode with the end point ``conv3_2``: 32 channels at stride 4
    raises: StadError for an unknown modality or profile
    """
    if modality not in ("rgb", "flow") or profile not in SCHEDULES:
        raise StadError(
            f"no backbone {modality!r} at {profile!r}", remedy="choose rgb or flow, and lesson or smoke"
        )
    config = DenseConfig(modality=modality)
    schedule = replace(schedule or SCHEDULES[profile], seed=seed)
    settings = settings or getattr(Settings, profile)()
    wanted = CLIPS[profile] if clips is None else clips
    numbers = tuple(range(wanted)) if isinstance(wanted, int) else tuple(wanted)
    folder = Path(cache_dir) if cache_dir is not None else cache_folder()
    decisive = {name: getattr(config, name) for name in DECISIVE}
    key = config_hash({"version": VERSION, **decisive}, schedule, settings.key, numbers)
    path = folder / "backbones" / f"{modality}-{key}.pt"
    with torch.random.fork_rng(devices=[]):
        backbone = make_backbone(modality, config)
    state = _read(path)
    if state is None:
        state = train(config, schedule, read_clips(settings, numbers, modality, cache_dir))
        atomic_write(path, lambda stream: torch.save(state, stream))
    backbone.load_state_dict(state)
    return backbone.eval()


VERSION = 2
"""Part of the cache key; to be raised with every change in how backbones are trained."""
DECISIVE = (
    *("modality", "depth", "channels", "norm", "last_dilation", "hidden", "flow_scale"),
    *("shrink", "alpha", "gamma", "class_weight", "box_weight"),
)
"""The settings of the detector that decide what its backbone learns."""


def _read(path: Path) -> dict[str, Tensor] | None:
    """The weights, or None where there are none or the file is damaged: then they are made anew."""
    try:
        return dict(torch.load(path, weights_only=True))
    except FileNotFoundError:
        return None
    except Exception:  # torch.load names no common kind
        return None


@dataclass(frozen=True)
class Frames:
    """Frames of many clips with the boxes of their actions.

    inputs: (clips, t, h, w, 3) uint8, or (clips, t, h, w, 2) float16 flow
    actors: the boxes of all clips
    """

    inputs: Tensor
    actors: Actors


def read_clips(
    settings: Settings, clips: Iterable[int], modality: str, cache_dir: Path | None = None
) -> Frames:
    """Return the frames or flow of clips of the split ``train``, rendered where the cache lacks them."""
    data = dataset(settings, tuple(clips), "train", cache_dir)
    most = settings.actors[1] * settings.actions[1]
    boxes = torch.zeros(len(data), most, settings.frames, 4)
    present = torch.zeros(len(data), most, settings.frames, dtype=torch.bool)
    labels = torch.zeros(len(data), most, dtype=torch.long)
    inputs = []
    for i, clip in enumerate(data):
        inputs.append(np.asarray(clip.frames if modality == "rgb" else clip.flow))
        for j, tube in enumerate(clip.tubes):
            boxes[i, j, tube.start : tube.end] = torch.as_tensor(tube.boxes, dtype=torch.float32)
            present[i, j, tube.start : tube.end] = True
            labels[i, j] = CLASSES.index(tube.label)
    return Frames(torch.from_numpy(np.stack(inputs)), Actors(boxes, present, labels))


def train(config: DenseConfig, schedule: TrainConfig, frames: Frames) -> dict[str, Tensor]:
    """Train a frame detector of one stream and return the weights of its backbone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        return _train(config, schedule, frames)


def _train(config: DenseConfig, schedule: TrainConfig, frames: Frames) -> dict[str, Tensor]:
    detector = DenseDetector(config, len(CLASSES))
    optimiser = torch.optim.AdamW(detector.parameters(), schedule.lr, weight_decay=schedule.weight_decay)
    generator = torch.Generator().manual_seed(schedule.seed)
    terms: dict[str, float] = {}
    shown = lambda: " ".join(f"{name} {value:.2f}" for name, value in terms.items())  # noqa: E731
    for step in progress(range(schedule.steps), desc=f"pretraining {config.modality}", after=shown):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, schedule.steps, schedule)
        inputs, actors = _draw(frames, config, schedule.batch, generator)
        found = losses(detector(inputs), actors, detector.stride, config)
        loss = torch.stack(list(found.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), schedule.clip_norm or float("inf"))
        optimiser.step()
        terms = {name: float(value.detach()) for name, value in found.items()}
    state: Any = detector.backbones[config.modality].state_dict()
    return {name: value.detach().contiguous() for name, value in state.items()}


def _draw(
    frames: Frames, config: DenseConfig, batch: int, generator: torch.Generator
) -> tuple[dict[str, Tensor], Actors]:
    """Draw frames at random, half of them mirrored, as clips of one frame."""
    count, length, _, width = frames.inputs.shape[:4]
    clip = torch.randint(count, (batch,), generator=generator)
    time = torch.randint(length, (batch,), generator=generator)
    mirrored = torch.rand(batch, generator=generator) < 0.5
    taken = frames.inputs[clip, time]
    rgb = config.modality == "rgb"
    inputs = rgb_input(taken) if rgb else flow_input(taken, config.flow_scale)
    turned = inputs.flip(-1) if rgb else inputs.flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None]
    inputs = torch.where(mirrored[:, None, None, None], turned, inputs)
    boxes, present = frames.actors.boxes[clip, :, time], frames.actors.present[clip, :, time]
    flipped = boxes[..., [2, 1, 0, 3]] * torch.tensor([-1.0, 1, -1, 1]) + torch.tensor([width, 0.0, width, 0])
    boxes = torch.where(mirrored[:, None, None], flipped, boxes)
    actors = Actors(boxes[:, :, None], present[:, :, None], frames.actors.labels[clip])
    return {config.modality: inputs[:, None]}, actors
