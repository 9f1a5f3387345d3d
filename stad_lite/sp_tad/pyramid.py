"""The temporal feature pyramid in the paper's three kinds, and the rule that gives a proposal its level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.fpn import FeaturePyramid


class TemporalPyramid(nn.Module):
    """Levels of one width from the stages of a backbone.

    kind: ``intermediate``: every stage is a level, and one more is pooled on top (strides 2, 4, 8, 16);
        ``single``: the last stage alone (8); ``high``: the last stage, two more that are convolved from it
        with stride 2, and one that is pooled on top (8, 16, 32, 64)
    in_channels: of each stage, finest first
    strides: frames for one step of each stage; afterwards ``strides`` holds those of the levels
    Source: SP-TAD Sec. 3.1.2 and 4.4.2 (how the high levels are made is not said there).

    >>> stages = [torch.zeros(1, c, t) for c, t in ((8, 32), (16, 16), (24, 8))]
    >>> for kind in ("intermediate", "single", "high"):
    ...     pyramid = TemporalPyramid(kind, (8, 16, 24), (2, 4, 8), channels=4)
    ...     print(pyramid.strides, [level.shape[2] for level in pyramid(stages)])
    (2, 4, 8, 16) [32, 16, 8, 4]
    (8,) [8]
    (8, 16, 32, 64) [8, 4, 2, 1]
    """

    def __init__(
        self, kind: str, in_channels: Sequence[int], strides: Sequence[int], channels: int = 256
    ) -> None:
        super().__init__()
        last, top = in_channels[-1], strides[-1]
        self.down = nn.ModuleList()
        if kind == "intermediate":
            self.first, extra = 0, 1
            levels, inputs = [*strides, 2 * top], list(in_channels)
        elif kind == "single":
            self.first, extra = len(in_channels) - 1, 0
            levels, inputs = [top], [last]
        elif kind == "high":
            self.first, extra = len(in_channels) - 1, 1
            levels, inputs = [top, 2 * top, 4 * top, 8 * top], [last] * 3
            self.down.extend(nn.Conv1d(last, last, 3, 2, 1) for _ in range(2))
        else:
            raise FormatError(f"no pyramid {kind!r}", remedy="use intermediate, single or high")
        self.strides = tuple(levels)
        self.fpn = FeaturePyramid(inputs, channels, dims=1, extra=extra)

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels, finest first, each (b, channels, steps).

        stages: (b, in_channels[i], steps) of each stage, finest first
        """
        levels = list(stages[self.first :])
        for down in self.down:
            levels.append(torch.relu(down(levels[-1])))
        return self.fpn(levels)


def pyramid_level(lengths: Tensor, levels: int) -> Tensor:
    """Return the level from which each proposal reads, 0 the finest.

    The bars of the equation are read as the floor, and what leaves the pyramid goes to its nearest level:
    with four levels a proposal shorter than a quarter of the window reads the finest.

    lengths: (...) of the proposals, in windows (t / T)
    Source: SP-TAD Eq. 1, l = floor(l0 + log2(t / T)) with l0 the highest level.

    >>> pyramid_level(torch.tensor([0.1, 0.3, 0.5, 0.99, 1.0, 1.4]), 4).tolist()
    [0, 1, 2, 2, 3, 3]
    """
    highest = levels - 1
    smallest = torch.finfo(lengths.dtype).tiny
    level = (highest + lengths.clamp(min=smallest).log2()).floor()
    return level.nan_to_num().clamp(0, highest).long()
