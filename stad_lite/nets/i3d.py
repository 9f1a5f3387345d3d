"""I3D: Inception inflated to three dimensions, with named end points.

Layer and parameter names are those of the published PyTorch weights (pytorch-i3d); ``weights.py`` maps the
other layouts to them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.layers import (
    Norm,
    Padding,
    fixed_padding,
    freeze_norms,
    he_weights,
    norm_layer,
    pad,
    same_padding,
    scaled,
)

Triple = tuple[int, int, int]

STEM: dict[str, tuple[int, Triple, Triple]] = {
    "Conv3d_1a_7x7": (64, (7, 7, 7), (2, 2, 2)),
    "Conv3d_2b_1x1": (64, (1, 1, 1), (1, 1, 1)),
    "Conv3d_2c_3x3": (192, (3, 3, 3), (1, 1, 1)),
}
"""Convolutions: channels, kernel and stride along (t, h, w)."""
POOLS: dict[str, tuple[Triple, Triple]] = {
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
"""Max pools: kernel and stride."""
MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Channels of the branches b0, b1a, b1b, b2a, b2b, b3b of each Inception block."""
END_POINTS = (
    "Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3",
    "Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f",
    "MaxPool3d_5a_2x2", "Mixed_5b", "Mixed_5c",
)  # fmt: skip
"""All end points in order."""


class Unit3D(nn.Module):
    """Convolution with SAME padding, normalisation, ReLU.

    padding: ``same`` computes it from the input's size, ``fixed`` from kernel and stride alone
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: Triple = (1, 1, 1),
        stride: Triple = (1, 1, 1),
        norm: Norm = "batch",
        padding: Padding = "same",
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(in_channels, channels, kernel, stride, bias=norm == "none")
        self.bn = norm_layer(norm, channels, 3, eps=1e-3, momentum=0.01)
        self.kernel, self.stride = kernel, stride
        self.padding, self.activation = padding, activation

    def forward(self, clips: Tensor) -> Tensor:
        """Return (b, channels, t', h', w') of clips (b, in_channels, t, h, w)."""
        sides = sides_of(clips, self.kernel, self.stride, self.padding)
        if all(before == after for before, after in sides):  # no copy of the whole map
            before = [before for before, _ in sides]
            maps = F.conv3d(clips, self.conv3d.weight, self.conv3d.bias, self.stride, before)
        else:
            maps = self.conv3d(pad(clips, sides))
        maps = self.bn(maps)
        return F.relu(maps) if self.activation else maps


class SamePool3D(nn.Module):
    """Max pool with SAME padding by zeros, as the published networks pad after a ReLU."""

    def __init__(self, kernel: Triple, stride: Triple, padding: Padding = "same") -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, c, t', h', w') of maps (b, c, t, h, w) that are nowhere below zero."""
        sides = sides_of(maps, self.kernel, self.stride, self.padding)
        ceil = self.padding == "fixed"
        if all(before == after for before, after in sides):  # minus infinity pads as zero does: no copy
            return F.max_pool3d(
                maps, self.kernel, self.stride, [before for before, _ in sides], ceil_mode=ceil
            )
        if not ceil and beyond_the_end(sides, self.stride):
            return F.max_pool3d(maps, self.kernel, self.stride, ceil_mode=True)
        return F.max_pool3d(pad(maps, sides), self.kernel, self.stride, ceil_mode=ceil)


def beyond_the_end(sides: Sequence[tuple[int, int]], stride: Sequence[int]) -> bool:
    """Tell whether maps need no filling up, but for a last window that reaches beyond their end.

    A pool that rounds its cells up takes such a window, with what is there of it.
    """
    return all(before == 0 and after < step for (before, after), step in zip(sides, stride, strict=True))


def sides_of(maps: Tensor, kernel: Triple, stride: Triple, padding: Padding) -> list[tuple[int, int]]:
    """Return the cells that maps (b, c, t, h, w) are filled up with before and after along each axis."""
    return (
        same_padding(maps.shape[2:], kernel, stride) if padding == "same" else fixed_padding(kernel, stride)
    )


class InceptionBlock(nn.Module):
    """Four branches side by side: 1; 1 then 3; 1 then 3; pool then 1.

    widths: channels of b0, b1a, b1b, b2a, b2b, b3b
    """

    def __init__(
        self, in_channels: int, widths: Sequence[int], norm: Norm = "batch", padding: Padding = "same"
    ) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        one, three = (1, 1, 1), (3, 3, 3)
        self.b0 = Unit3D(in_channels, b0, one, norm=norm, padding=padding)
        self.b1a = Unit3D(in_channels, b1a, one, norm=norm, padding=padding)
        self.b1b = Unit3D(b1a, b1b, three, norm=norm, padding=padding)
        self.b2a = Unit3D(in_channels, b2a, one, norm=norm, padding=padding)
        self.b2b = Unit3D(b2a, b2b, three, norm=norm, padding=padding)
        self.b3a = SamePool3D(three, one, padding)
        self.b3b = Unit3D(in_channels, b3b, one, norm=norm, padding=padding)
        self.channels = b0 + b1b + b2b + b3b

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, channels, t, h, w) of maps (b, in_channels, t, h, w)."""
        branches = self.b0(maps), self.b1b(self.b1a(maps)), self.b2b(self.b2a(maps)), self.b3b(self.b3a(maps))
        return torch.cat(branches, 1)


class I3D(nn.Module):
    """I3D up to one of its end points, at full size or small.

    in_channels: 3 for RGB in [-1, 1], 2 for flow (cut at 20 pixels, scaled to [-1, 1])
    width: factor on all channels
    blocks: Inception blocks to keep (None: all up to ``final``); a short list makes a shallow network
        whose end points keep their names
    final: the last end point
    strides: other strides for named layers, {"MaxPool3d_5a_2x2": (1, 1, 1)}
    norm: ``batch`` for published weights, ``group`` for small networks
    padding: ``same`` (from the input's size, as TensorFlow) or ``fixed`` (kernel - stride, as the ports);
        equal where every size is divisible by the strides
    frozen: batch norms stay in evaluation mode and get no gradient
    num_classes: adds the classifier of the published weights (needs ``final`` Mixed_5c)
    raises: FormatError for a name that is no end point
    Source: Carreira and Zisserman, Quo Vadis, Action Recognition?, Fig. 3.

    >>> net = I3D(width=0.125, blocks=("Mixed_3c", "Mixed_4f"), final="Mixed_4f", norm="group")
    >>> {name: tuple(m.shape) for name, m in net(torch.zeros(1, 3, 8, 32, 32), ["Mixed_4f"]).items()}
    {'Mixed_4f': (1, 104, 2, 2, 2)}
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        width: float = 1.0,
        blocks: Collection[str] | None = None,
        final: str = "Mixed_5c",
        strides: Mapping[str, Triple] | None = None,
        norm: Norm = "batch",
        padding: Padding = "same",
        frozen: bool = False,
        num_classes: int | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        strides = dict(strides or {})
        _check_names([final, *(blocks or ()), *strides])
        self.frozen = frozen
        self.names: list[str] = []
        self.channels: dict[str, int] = {}
        self.strides: dict[str, tuple[int, int]] = {}
        channels, time, space = in_channels, 1, 1
        for name in END_POINTS[: END_POINTS.index(final) + 1]:
            if name in MIXED and blocks is not None and name not in blocks:
                continue
            stride = strides.get(name, (STEM.get(name) or POOLS.get(name) or [(1, 1, 1)])[-1])
            layer, channels = _layer(name, channels, width, stride, norm, padding)
            time, space = time * stride[0], space * stride[1]
            self.add_module(name, layer)
            self.names.append(name)
            self.channels[name], self.strides[name] = channels, (time, space)
        if norm != "group":  # frozen norms scale nothing, so that torch's own weights would fade to 4e-6 here
            he_weights(self)
        self.dropout = nn.Dropout(dropout)
        self.logits = None
        if num_classes is not None:
            self.logits = Unit3D(channels, num_classes, norm="none", activation=False)
        self.train()

    def forward(self, clips: Tensor, end_points: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return the maps of the named end points (the last one without a name).

        clips: (b, in_channels, t, h, w)
        returns: name -> (b, channels[name], about t / strides[name][0], h / strides[name][1], ...)
        raises: FormatError for an end point that this network does not have
        """
        wanted = set(end_points or self.names[-1:])
        if not wanted <= set(self.names):
            raise FormatError(
                f"no end point {', '.join(sorted(wanted - set(self.names)))}",
                remedy=f"this network has {', '.join(self.names)}",
            )
        found, maps = {}, clips
        for name in self.names:
            maps = self.get_submodule(name)(maps)
            if name in wanted:
                found[name] = maps
            if len(found) == len(wanted):
                break
        return found

    def classify(self, clips: Tensor) -> Tensor:
        """Return class logits (b, num_classes) of clips (b, in_channels, t, h, w), averaged over time.

        Maps are averaged over space and over neighbouring pairs of steps, as in the published network.
        """
        if self.logits is None:
            raise FormatError("this I3D has no classifier", remedy="build it with num_classes")
        (maps,) = self(clips).values()
        pairs = F.avg_pool3d(maps, (min(2, maps.shape[2]), *maps.shape[3:]), stride=1)
        return reduce(self.logits(self.dropout(pairs)), "b c t 1 1 -> b c", "mean")

    def train(self, mode: bool = True) -> I3D:
        """Switch to training, except batch norms that are frozen."""
        super().train(mode)
        if self.frozen:
            freeze_norms(self)
        return self


class I3DBlocks(nn.Sequential):
    """Some Inception blocks of I3D behind each other, under its names, for a head.

    in_channels: of the maps that the first one takes
    width: factor on all channels; ``channels`` tells what comes out

    >>> I3DBlocks(16, ("Mixed_5b", "Mixed_5c"), width=0.125)(torch.zeros(1, 16, 2, 3, 3)).shape
    torch.Size([1, 128, 2, 3, 3])
    """

    def __init__(
        self, in_channels: int, names: Sequence[str], width: float = 1.0, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        self.channels = in_channels
        for name in names:
            block, self.channels = _layer(name, self.channels, width, (1, 1, 1), norm, "same")
            self.add_module(name, block)


def _check_names(names: Collection[str]) -> None:
    unknown = [name for name in names if name not in END_POINTS]
    if unknown:
        raise FormatError(f"I3D has no layer {', '.join(unknown)}", remedy=f"use {', '.join(END_POINTS)}")


def _layer(
    name: str, channels: int, width: float, stride: Triple, norm: Norm, padding: Padding
) -> tuple[nn.Module, int]:
    """Return the layer of an end point and the channels that come out of it."""
    if name in POOLS:
        return SamePool3D(POOLS[name][0], stride, padding), channels
    if name in STEM:
        out, kernel, _ = STEM[name]
        return Unit3D(channels, scaled(out, width), kernel, stride, norm, padding), scaled(out, width)
    block = InceptionBlock(channels, [scaled(n, width) for n in MIXED[name]], norm, padding)
    return block, block.channels
