"""Backbones pretrained with the dense loss on single synthetic frames, kept in the cache folder.

    from stad_lite.baselines.pretraining import pretrained
    from stad_lite.nets.inputs import rgb_input, flow_input

    backbone = pretrained("rgb", profile="lesson", seed=0)      # nets.vgg.VGG, in evaluation mode
    maps = backbone(rgb_input(frames))["conv3_2"]               # (n, 32, h / 4, w / 4) of (n, h, w, 3) uint8
    flow_maps = pretrained("flow")(flow_input(flow))["conv3_2"]  # (n, h, w, 2) pixels a frame

``early`` sees both stacked in channels. The clips are of the split ``train``, which shares no seed with
``val`` and ``test``; ``clips`` chooses others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.baselines.config import Architecture, DenseConfig
from stad_lite.baselines.dense import Actors, DenseDetector, losses
from stad_lite.data.synthetic import CLASSES, Settings, cache_folder, dataset
from stad_lite.errors import StadError
from stad_lite.nets.vgg import VGG, small_vgg
from stad_lite.schedule import TrainConfig, config_hash
from stad_lite.systems.items import CHANNELS, mirrored, stream_input
from stad_lite.training import checkpoint
from stad_lite.training.short import minimise

SEEN = {"rgb": ("rgb",), "flow": ("flow",), "early": ("rgb", "flow")}
"""Modality -> the streams that its backbone sees, stacked in channels."""
CLIPS = {"lesson": 400, "smoke": 8}
SCHEDULES = {
    "lesson": TrainConfig(steps=1200, batch=16, lr=2e-3, warm_up=50, clip_norm=50.0),
    "smoke": TrainConfig(steps=8, batch=8, lr=2e-3),
}
"""Profile -> how the backbone is trained."""
VERSION = 2
"""Part of the cache key; to be raised with every change in how backbones are trained."""
DECISIVE = (
    *("modality", "depth", "channels", "norm", "last_dilation", "hidden", "flow_scale"),
    *("shrink", "alpha", "gamma", "class_weight", "box_weight"),
)
"""The settings of the detector that decide what its backbone learns."""


def pretrained(
    modality: str = "rgb",
    profile: str = "lesson",
    seed: int = 0,
    *,
    clips: int | Iterable[int] | None = None,
    settings: Settings | None = None,
    schedule: TrainConfig | None = None,
    cache_dir: Path | None = None,
    device: torch.device | None = None,
) -> VGG:
    """Return the small backbone, trained now if it is not in the cache yet (lesson: under two minutes).

    modality: ``rgb``, ``flow``, or ``early`` for both stacked in channels
    profile: ``lesson`` or ``smoke``
    seed: of the first weights and of the order of the frames
    clips: how many clips of the split ``train``, or their numbers; None for ``CLIPS[profile]``
    settings: of the clips; None for the profile's
    schedule: of the training; None for ``SCHEDULES[profile]``
    cache_dir: instead of ``synthetic.cache_folder()``
    device: to train on, the CPU unless told; what another one has made is kept apart from the CPU's
    returns: VGG in evaluation mode with the end point ``conv3_2``: 32 channels at stride 4
    raises: StadError for an unknown modality or profile
    """
    if modality not in SEEN or profile not in SCHEDULES:
        raise StadError(
            f"no backbone {modality!r} at {profile!r}",
            remedy=f"choose {', '.join(SEEN)}, and lesson or smoke",
        )
    config = DenseConfig(modality=SEEN[modality][0])
    schedule = replace(schedule or SCHEDULES[profile], seed=seed)
    settings = settings or getattr(Settings, profile)()
    wanted = CLIPS[profile] if clips is None else clips
    numbers = tuple(range(wanted)) if isinstance(wanted, int) else tuple(wanted)
    folder = Path(cache_dir) if cache_dir is not None else cache_folder()
    decisive = {name: getattr(config, name) for name in DECISIVE}
    key = config_hash({"version": VERSION, **decisive}, schedule, settings.key, numbers)

    def train_now() -> dict[str, Tensor]:
        return train(config, schedule, read_clips(settings, numbers, SEEN[modality], cache_dir), device)

    state = checkpoint.kept(
        checkpoint.place_of(folder / "backbones" / f"{modality}-{key}.pt", device), train_now
    )
    with torch.random.fork_rng(devices=[]):
        backbone = _backbone(modality, config)
    backbone.load_state_dict(state)
    return backbone.eval()


def _backbone(modality: str, config: Architecture) -> VGG:
    channels = sum(CHANNELS[stream] for stream in SEEN[modality])
    return small_vgg(channels, depth=config.depth, channels=config.channels)


@dataclass(frozen=True)
class Frames:
    """Frames of many clips with the boxes of their actions.

    inputs: stream -> (clips, t, h, w, 3) uint8 of ``rgb``, (clips, t, h, w, 2) float16 of ``flow``
    actors: the boxes of all clips
    """

    inputs: dict[str, Tensor]
    actors: Actors


def read_clips(
    settings: Settings, clips: Iterable[int], streams: Iterable[str], cache_dir: Path | None = None
) -> Frames:
    """Return frames and flow of clips of the split ``train``, rendered where the cache lacks them."""
    data = dataset(settings, tuple(clips), "train", cache_dir)
    most = settings.actors[1] * settings.actions[1]
    boxes = torch.zeros(len(data), most, settings.frames, 4)
    present = torch.zeros(len(data), most, settings.frames, dtype=torch.bool)
    labels = torch.zeros(len(data), most, dtype=torch.long)
    inputs: dict[str, list[np.ndarray]] = {stream: [] for stream in streams}
    for i, clip in enumerate(data):
        for stream, kept in inputs.items():
            kept.append(np.asarray(clip.frames if stream == "rgb" else clip.flow))
        for j, tube in enumerate(clip.tubes):
            boxes[i, j, tube.start : tube.end] = torch.as_tensor(tube.boxes, dtype=torch.float32)
            present[i, j, tube.start : tube.end] = True
            labels[i, j] = CLASSES.index(tube.label)
    tensors = {stream: torch.from_numpy(np.stack(kept)) for stream, kept in inputs.items()}
    return Frames(tensors, Actors(boxes, present, labels))


def train(
    config: DenseConfig, schedule: TrainConfig, frames: Frames, device: torch.device | None = None
) -> dict[str, Tensor]:
    """Train a frame detector on the streams that the frames have, and return the weights of its backbone.

    device: the CPU unless told; all numbers are drawn on the CPU, and frames cross as bytes
    """
    modality, early = config.modality, len(frames.inputs) > 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        detector = DenseDetector(config, len(CLASSES))
        # where numbers are drawn from is part of what a backbone has learnt: cached ones stay what they are
        generator = torch.default_generator if early else torch.Generator().manual_seed(schedule.seed)
        if early:
            detector.backbones[modality] = _backbone("early", config)
        place = device or torch.device("cpu")
        detector.to(place)

        def loss() -> dict[str, Tensor]:
            inputs, actors = _draw(frames, config, schedule.batch, generator, place)
            return losses(detector({modality: inputs}), actors, detector.stride, config)

        minimise(detector, loss, schedule, f"pretraining {' and '.join(frames.inputs)}")
    state = detector.backbones[modality].state_dict()
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _draw(
    frames: Frames, config: DenseConfig, batch: int, generator: torch.Generator, place: torch.device
) -> tuple[Tensor, Actors]:
    """Draw frames at random, half of them mirrored, as clips of one frame on a device."""
    count, length, _, width = next(iter(frames.inputs.values())).shape[:4]
    clip = torch.randint(count, (batch,), generator=generator)
    time = torch.randint(length, (batch,), generator=generator)
    turned = torch.rand(batch, generator=generator) < 0.5
    drawn = {stream: values[clip, time].to(place) for stream, values in frames.inputs.items()}
    parts = [stream_input(stream, values, config.flow_scale) for stream, values in drawn.items()]
    inputs = torch.cat(parts, 1)
    stream = "early" if len(parts) > 1 else config.modality
    turned = turned.to(place)
    inputs = torch.where(turned[:, None, None, None], mirrored(inputs, stream), inputs)
    known = frames.actors
    boxes, present = known.boxes[clip, :, time].to(place), known.present[clip, :, time].to(place)
    boxes = torch.where(turned[:, None, None], box_ops.mirrored(boxes, width), boxes)
    return inputs[:, None], Actors(boxes[:, :, None], present[:, :, None], known.labels[clip].to(place))
