"""Blocks that several papers build on: non-local, temporal difference, hourglass, receptive fields."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.layers import CONVS, ConvNorm, Norm


class NonLocal(nn.Module):
    """Every position looks at all others: embedded Gaussian, added to the input.

    The last convolution starts at zero, so that a new block changes nothing.

    channels: of the input and output
    dims: axes of the maps: 1 (t), 2 (h, w) or 3 (t, h, w)
    hidden: channels of the embeddings (None: half of ``channels``)
    pool: cells of the last two axes that are looked at as one, their maximum (the paper's subsampling trick);
        who looks is not pooled
    Source: Wang et al., Non-local Neural Networks, Sec. 3.3, as CFAD Sec. 3.2 uses it.

    >>> NonLocal(8, dims=3)(torch.zeros(1, 8, 2, 3, 3)).shape
    torch.Size([1, 8, 2, 3, 3])
    """

    def __init__(self, channels: int, dims: int = 3, hidden: int | None = None, pool: int = 1) -> None:
        super().__init__()
        self.pool = pool
        hidden = hidden or max(channels // 2, 1)
        self.theta = CONVS[dims](channels, hidden, 1)
        self.phi = CONVS[dims](channels, hidden, 1)
        self.g = CONVS[dims](channels, hidden, 1)
        self.out = CONVS[dims](hidden, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, channels, *axes) of maps (b, channels, *axes)."""
        query, key, value = self.theta(maps), self.phi(maps), self.g(maps)
        if self.pool > 1:
            key, value = (_pooled(one, self.pool) for one in (key, value))
        query, key, value = (rearrange(one, "b c ... -> b (...) c") for one in (query, key, value))
        # The embedded Gaussian is exp(query . key) without a factor.
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return maps + self.out(rearrange(seen, "b n c -> b c n").reshape(len(maps), -1, *maps.shape[2:]))


def _pooled(maps: Tensor, size: int) -> Tensor:
    """The maximum over size x size cells of the last two axes; what is left over at the end has its own."""
    flat = F.max_pool2d(maps.flatten(1, -3), size, ceil_mode=True)
    return flat.reshape(*maps.shape[:-2], *flat.shape[-2:])


def temporal_difference(maps: Tensor) -> Tensor:
    """Return what changes from each step to the next: (b, c, t, ...) -> (b, c, t - 1, ...).

    Source: CFAD Sec. 3.2 (the input of the Diff Block's branch).

    >>> temporal_difference(torch.tensor([[[1.0, 4.0, 9.0]]]))
    tensor([[[3., 5.]]])
    """
    return maps[:, :, 1:] - maps[:, :, :-1]


class Hourglass1d(nn.Module):
    """Down and up again along time, with what each length had added on the way up.

    in_channels: of the sequence
    hidden: channels inside
    out_channels: of the result (1 for an importance score a step)
    depth: how often the length is halved (rounded up)
    Source: CFAD Sec. 3.3 (key timestamp selection); the layers are our choice.

    >>> Hourglass1d(16, hidden=8)(torch.zeros(2, 16, 6)).shape
    torch.Size([2, 1, 6])
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int = 256,
        out_channels: int = 1,
        depth: int = 2,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        inner = 2 * hidden

        def unit(source: int, target: int, stride: int = 1) -> ConvNorm:
            return ConvNorm(source, target, 3, stride=stride, padding=1, norm=norm, dims=1)

        self.enter = unit(in_channels, hidden)
        self.down = nn.ModuleList([unit(hidden if i == 0 else inner, inner, 2) for i in range(depth)])
        self.up = nn.ModuleList([unit(inner, hidden if i == 0 else inner) for i in range(depth)])
        self.leave = nn.Conv1d(hidden, out_channels, 1)

    def forward(self, sequence: Tensor) -> Tensor:
        """Return (b, out_channels, n) of a sequence (b, in_channels, n)."""
        sequence = self.enter(sequence)
        passed = []
        for down in self.down:
            passed.append(sequence)
            sequence = down(sequence)
        for up, before in zip(reversed(self.up), reversed(passed), strict=True):
            sequence = before + F.interpolate(up(sequence), size=before.shape[2])
        return self.leave(sequence)


class ReceptiveFieldBlock(nn.Module):
    """RFB: four branches that see dilations 1, 3, 5 and 7, fused and added to a shortcut.

    in_channels: divisible by 16
    stride: of all branches
    scale: of the fused branches before they are added
    raises: FormatError for channels that cannot be divided
    Source: Liu et al., Receptive Field Block Net, Fig. 4; the variant with a 7-wide branch is RFB Net-E's,
        which the flow sub-network's detector takes.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, scale: float = 1.0, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        _check_divisible(in_channels)
        self.scale, n = scale, in_channels // 8
        wide = n // 2 * 3

        def far(dilation: int) -> ConvNorm:
            return _conv(2 * n, 2 * n, 3, norm, dilation=dilation, relu=False)

        self.branch0 = nn.Sequential(_conv(in_channels, 2 * n, 1, norm, stride), far(1))
        self.branch1 = nn.Sequential(_conv(in_channels, n, 1, norm), _conv(n, 2 * n, 3, norm, stride), far(3))
        self.branch2 = nn.Sequential(
            _conv(in_channels, n, 1, norm),
            _conv(n, wide, 3, norm),
            _conv(wide, 2 * n, 3, norm, stride),
            far(5),
        )
        self.branch3 = nn.Sequential(
            _conv(in_channels, n, 1, norm),
            _conv(n, wide, (1, 7), norm),
            _conv(wide, 2 * n, (7, 1), norm, stride),
            far(7),
        )
        self.ConvLinear = _conv(8 * n, channels, 1, norm, relu=False)
        self.shortcut = _conv(in_channels, channels, 1, norm, stride, relu=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, channels, h', w') of maps (b, in_channels, h, w)."""
        branches = [self.branch0(maps), self.branch1(maps), self.branch2(maps), self.branch3(maps)]
        return F.relu(self.ConvLinear(torch.cat(branches, 1)) * self.scale + self.shortcut(maps))


class FineReceptiveFieldBlock(nn.Module):
    """RFB for the finest map: seven thin branches, dilations 1, 3, 3, 5, 5, 7, 7 behind 3 x 1 and 1 x 3.

    in_channels: divisible by 32
    scale: of the fused branches before they are added
    raises: FormatError for channels that cannot be divided
    Source: RFB Net-E (``Norm``), as the flow sub-network's code takes it.
    """

    def __init__(self, in_channels: int, channels: int, scale: float = 1.0, norm: Norm = "batch") -> None:
        super().__init__()
        _check_divisible(in_channels, 32)
        self.scale, n = scale, in_channels // 8
        half, mid = n // 2, n // 4 * 3
        tall, flat = (3, 1), (1, 3)

        def branch(dilation: int, *steps: tuple[int, int, int | tuple[int, int]]) -> nn.Sequential:
            layers = [_conv(source, target, kernel, norm) for source, target, kernel in steps]
            return nn.Sequential(*layers, _conv(n, n, 3, norm, dilation=dilation, relu=False))

        enter, enter_half = (in_channels, n, 1), (in_channels, half, 1)
        self.branch0 = branch(1, enter)
        self.branch1 = branch(3, enter, (n, n, tall))
        self.branch2 = branch(3, enter, (n, n, flat))
        self.branch3 = branch(5, enter, (n, n, tall))
        self.branch4 = branch(5, enter, (n, n, flat))
        self.branch5 = branch(7, enter_half, (half, mid, flat), (mid, n, tall))
        self.branch6 = branch(7, enter_half, (half, mid, tall), (mid, n, flat))
        self.ConvLinear = _conv(7 * n, channels, 1, norm, relu=False)
        self.shortcut = _conv(in_channels, channels, 1, norm, relu=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, channels, h, w) of maps (b, in_channels, h, w)."""
        branches = [self.get_submodule(f"branch{i}")(maps) for i in range(7)]
        return F.relu(self.ConvLinear(torch.cat(branches, 1)) * self.scale + self.shortcut(maps))


def _conv(
    in_channels: int,
    channels: int,
    kernel: int | tuple[int, int],
    norm: Norm,
    stride: int = 1,
    dilation: int = 1,
    relu: bool = True,
) -> ConvNorm:
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (dilation * (sides[0] // 2), dilation * (sides[1] // 2))
    return ConvNorm(
        in_channels,
        channels,
        sides,
        stride=stride,
        padding=padding,
        dilation=dilation,
        relu=relu,
        norm=norm,
        momentum=0.01,
    )


def _check_divisible(channels: int, by: int = 16) -> None:
    if channels % by:
        raise FormatError(
            f"{channels} channels cannot be split over the branches", remedy=f"use multiples of {by}"
        )
