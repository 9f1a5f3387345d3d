"""Small detectors and batches for the tests."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from stad_lite.step.config import StepConfig
from stad_lite.step.system import StepSystem

CLASSES = ("a", "b", "c")


def tiny(**settings) -> StepConfig:
    """48 x 48 pixels, random weights, a tiny head."""
    return replace(StepConfig.smoke(), **{"pretrained": "", **settings})


def system(seed: int = 0, **settings) -> StepSystem:
    torch.manual_seed(seed)
    return StepSystem(tiny(**settings), CLASSES)


def batch(
    config: StepConfig, items: int = 2, truths: int = 2, seed: int = 0, classes: int = 3
) -> dict[str, Tensor]:
    """Random frames with truths that stay inside the frame and are there throughout."""
    generator = torch.Generator().manual_seed(seed)
    length = config.clips[-1] * config.boxes
    height, width = config.size
    corner = torch.rand(items, truths, 1, 2, generator=generator) * 0.4
    walk = torch.linspace(0, 0.2, length)[:, None] * torch.rand(items, truths, 1, 2, generator=generator)
    corner = corner + walk
    boxes = torch.cat([corner, corner + 0.35], -1) * torch.tensor([width, height, width, height])
    labels = torch.randint(classes, (items, truths), generator=generator)
    return {
        "frames": torch.randn(
            items, length * config.time_stride, config.channels, height, width, generator=generator
        ),
        "truth": boxes,
        "present": torch.ones(items, truths, length, dtype=torch.bool),
        "labels": torch.eye(classes)[labels],
        "valid": torch.ones(items, truths, dtype=torch.bool),
    }
