"""Frames as people see them: the same content in more pixels than the boxes count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Drawn:
    """Frames for pictures; what the plots take as frames may be these, with boxes as they are.

    pixels: (t, scale * h, scale * w, 3) uint8, or one frame without t
    scale: pixels of the picture for one of the boxes'

    >>> clip = Drawn(np.zeros((8, 256, 256, 3), np.uint8), 4)
    >>> len(clip[2:4]), clip[0].size
    (2, (64, 64))
    """

    pixels: np.ndarray
    scale: int = 1

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Any) -> Drawn:
        """Return one frame, or some: a number, a slice or an array of numbers."""
        return replace(self, pixels=self.pixels[index])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in the pixels that boxes count."""
        height, width = self.pixels.shape[-3:-1]
        return height // self.scale, width // self.scale
