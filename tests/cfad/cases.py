"""Small detectors and true tubes for the tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.matching import TrueTubes
from stad_lite.cfad.refine import key_labels
from stad_lite.cfad.system import CfadSystem, collate

CLASSES = ("a", "b", "c")


def tiny(**settings) -> CfadConfig:
    """16 frames of 48 x 48 pixels, random weights."""
    return replace(CfadConfig.smoke(), **{"pretrained": "", **settings})


def system(seed: int = 0, **settings) -> CfadSystem:
    torch.manual_seed(seed)
    return CfadSystem(tiny(**settings), CLASSES)


def moving(
    start: int, length: int, speed: float = 1.0, corner: float = 4.0, side: float = 14.0
) -> np.ndarray:
    """Boxes (length, 4) of an actor that walks to the right."""
    x = corner + speed * np.arange(length)
    return np.stack([x, np.full(length, corner), x + side, np.full(length, corner + 1.5 * side)], -1)


def truth(
    tubes: list[tuple[int, np.ndarray]], config: CfadConfig, labels: list[int] | None = None
) -> TrueTubes:
    """The truth of tubes (start, boxes)."""
    boxes = torch.zeros(len(tubes), config.length, 4)
    for row, (start, tube) in zip(boxes, tubes, strict=True):
        row[start : start + len(tube)] = torch.as_tensor(tube)
    spans = torch.tensor([[start, start + len(tube)] for start, tube in tubes]).float().reshape(-1, 2)
    keys = key_labels([tube for _, tube in tubes], config) if tubes else np.zeros((0, config.samples))
    chosen = torch.tensor(labels if labels is not None else [0] * len(tubes)).long()
    return TrueTubes(boxes, spans, chosen, torch.as_tensor(keys).float())


def batch(
    config: CfadConfig, truths: list[TrueTubes], warm: bool = False, seed: int = 0
) -> dict[str, Tensor]:
    """A batch of random maps with these truths."""
    generator = torch.Generator().manual_seed(seed)
    side = [edge // 4 for edge in config.size]
    items = [
        {
            "maps": torch.randn(config.length, 32, *side, generator=generator),
            **one._asdict(),
            "valid": torch.ones(len(one.labels), dtype=torch.bool),
            "warm": torch.tensor(warm),
        }
        for one in truths
    ]
    return collate(items)
