"""Small networks and sequences of noise that the tests of this package share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.model import FlowSubnetNetwork

CLASSES = ("run", "jump", "wave")


def config(**changes: Any) -> FlowSubnetConfig:
    """Return the smoke settings without pretrained weights."""
    return replace(FlowSubnetConfig.smoke(), pretrained="", **changes)


def network(seed: int = 0, **changes: Any) -> FlowSubnetNetwork:
    """Return a random network in evaluation mode."""
    torch.manual_seed(seed)
    return FlowSubnetNetwork(config(**changes), len(CLASSES)).eval()


def video(frames: int, side: int = 48, seed: int = 0) -> np.ndarray:
    """Return frames (t, h, w, 3) uint8: patches that move by two pixels a frame over noise."""
    random = np.random.default_rng(seed)
    wide = random.integers(0, 256, (side // 4, side // 4 + frames, 3), dtype=np.uint8)
    wide = wide.repeat(4, 0).repeat(4, 1)
    return np.stack([wide[:, 2 * n : 2 * n + side] for n in range(frames)])


def sequences(frames: np.ndarray) -> Tensor:
    """Return (1, t, 3, h, w) of frames (t, h, w, 3)."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2)[None]
