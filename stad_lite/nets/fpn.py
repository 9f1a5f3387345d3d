"""Feature pyramids: from several levels of a backbone to as many of one width, in space or in time."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from einops import reduce
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.layers import CONVS


class FeaturePyramid(nn.Module):
    """Lateral convolutions, a top-down path of additions, and an output convolution a level.

    in_channels: of each level, finest first
    channels: of every level of the pyramid
    dims: 2 for maps (b, c, h, w), 1 for sequences (b, c, t)
    extra: coarser levels on top, each the one below pooled with stride 2
    pool: ``subsample`` takes every second cell (Detectron), ``max`` the larger of two (SP-TAD)
    Source: Lin et al., Feature Pyramid Networks, Sec. 3; PCSC Sec. 3.3; SP-TAD Sec. 3.1.2 (dims 1, extra 1).

    >>> pyramid = FeaturePyramid([8, 16, 32], channels=4, dims=1, extra=1)
    >>> from torch import zeros
    >>> [tuple(s.shape) for s in pyramid([zeros(1, 8, 16), zeros(1, 16, 8), zeros(1, 32, 4)])]
    [(1, 4, 16), (1, 4, 8), (1, 4, 4), (1, 4, 2)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        dims: int = 2,
        extra: int = 0,
        pool: str = "max",
    ) -> None:
        super().__init__()
        if pool not in ("max", "subsample"):
            raise FormatError(f"no pooling {pool!r}", remedy="use max or subsample")
        self.lateral = nn.ModuleList([CONVS[dims](n, channels, 1) for n in in_channels])
        self.output = nn.ModuleList([CONVS[dims](channels, channels, 3, padding=1) for _ in in_channels])
        self.extra, self.window = extra, 2 if pool == "max" else 1
        self.max_pool = (F.max_pool1d, F.max_pool2d)[dims - 1]
        for conv in [*self.lateral, *self.output]:
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the pyramid's levels, finest first.

        levels: (b, in_channels[i], *axes), finest first
        returns: (b, channels, *axes), one a level and ``extra`` more
        raises: FormatError for another number of levels
        """
        if len(levels) != len(self.lateral):
            raise FormatError(
                f"{len(levels)} levels for a pyramid of {len(self.lateral)}", remedy="give one map a level"
            )
        merged = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        for i in reversed(range(len(merged) - 1)):
            merged[i] = merged[i] + F.interpolate(merged[i + 1], size=merged[i].shape[2:])
        out = [conv(level) for conv, level in zip(self.output, merged, strict=True)]
        for _ in range(self.extra):
            out.append(self.max_pool(out[-1], self.window, 2, ceil_mode=self.window == 2))
        return out


def over_space(maps: Tensor) -> Tensor:
    """Return the mean over space: (b, c, t, h, w) -> (b, c, t) (SP-TAD Sec. 3.1.2)."""
    return reduce(maps, "b c t h w -> b c t", "mean")


def over_time(maps: Tensor) -> Tensor:
    """Return the mean over time: (b, c, t, h, w) -> (b, c, h, w) (PCSC leaves the way open)."""
    return reduce(maps, "b c t h w -> b c h w", "mean")
