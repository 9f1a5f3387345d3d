"""Networks made ready for inference: the same answers from fewer and cheaper operations.

Batch norms become part of the convolutions before them, the 1 x 1 branches of an Inception block that read
the same map become one convolution, pools keep channels last, and first convolutions can be given more input
channels than there are, of zeros: some kernels of GPUs want multiples of 4 or 8.
"""

from __future__ import annotations

from copy import deepcopy
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stad_lite.nets.i3d import I3D, InceptionBlock, SamePool3D, Unit3D, beyond_the_end, sides_of
from stad_lite.nets.layers import pad

Sides = list[tuple[int, int]]


def folded(network: nn.Module, multiple: int = 1) -> nn.Module:
    """Return a copy of a network for inference alone, in evaluation mode and without gradients.

    multiple: first convolutions of I3D get input channels up to a multiple of it
    returns: what gives the same outputs, to 1e-5 in float32

    >>> from stad_lite.nets.i3d import I3D
    >>> net = folded(I3D(width=0.125, final="Mixed_3b"))
    >>> sum(isinstance(part, nn.BatchNorm3d) for part in net.modules())
    0
    """
    found = deepcopy(network).eval().requires_grad_(False)
    for part in list(found.modules()):
        _fold_inside(part)
    for part in list(found.modules()):
        for name, child in part.named_children():
            if isinstance(child, InceptionBlock) and _plain(child):
                setattr(part, name, JoinedBlock(child))
            elif isinstance(child, SamePool3D):
                setattr(part, name, FlatPool(child))
    for part in found.modules():
        if isinstance(part, I3D):
            first = part.get_submodule(part.names[0])
            assert isinstance(first, Unit3D)
            setattr(part, part.names[0], WideUnit(first, multiple))
    return found


def _fold_inside(part: nn.Module) -> None:
    """Fold the norms that a module holds right behind a convolution."""
    names = [("conv3d", "bn"), ("conv", "bn")]
    if isinstance(part, nn.Sequential):
        names = list(pairwise(part._modules))
    for first, second in names:
        conv, norm = getattr(part, first, None), getattr(part, second, None)
        if isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d) and isinstance(norm, _BatchNorm):
            setattr(part, first, fold(conv, norm))
            setattr(part, second, nn.Identity())


def fold(conv: Any, norm: _BatchNorm) -> Any:
    """Return one convolution that does what a convolution and the batch norm behind it do in evaluation mode.

    conv: ``nn.Conv1d``, ``Conv2d`` or ``Conv3d``
    """
    assert norm.running_mean is not None and norm.running_var is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    factor = factor * norm.weight.double() if norm.affine else factor
    shift = -norm.running_mean.double() * factor + (norm.bias.double() if norm.affine else 0)
    found = deepcopy(conv)
    weight = conv.weight.double() * factor.view(-1, *[1] * (conv.weight.ndim - 1))
    bias = shift if conv.bias is None else shift + conv.bias.double() * factor
    found.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    found.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
    return found


def _plain(block: InceptionBlock) -> bool:
    """Tell whether nothing but a convolution and a ReLU is left in the branches that are joined."""
    return all(isinstance(unit.bn, nn.Identity) for unit in (block.b0, block.b1a, block.b2a))


class JoinedBlock(nn.Module):
    """An Inception block whose three 1 x 1 convolutions on its input are one."""

    def __init__(self, block: InceptionBlock) -> None:
        super().__init__()
        convs: list[Any] = [unit.conv3d for unit in (block.b0, block.b1a, block.b2a)]
        self.widths = [conv.out_channels for conv in convs]
        self.joined = nn.Conv3d(convs[0].in_channels, sum(self.widths), 1)
        self.joined.weight = nn.Parameter(torch.cat([conv.weight for conv in convs]), requires_grad=False)
        bias = [conv.weight.new_zeros(len(conv.weight)) if conv.bias is None else conv.bias for conv in convs]
        self.joined.bias = nn.Parameter(torch.cat(bias), requires_grad=False)
        self.b1b, self.b2b, self.b3b = block.b1b, block.b2b, block.b3b
        self.b3a = FlatPool(block.b3a)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, channels, t, h, w) of maps (b, in_channels, t, h, w)."""
        one, two, three = F.relu(self.joined(maps)).split(self.widths, 1)
        return torch.cat([one, self.b1b(two), self.b2b(three), self.b3b(self.b3a(maps))], 1)


class FlatPool(nn.Module):
    """Max pool over space as one in two dimensions, then over time as the larger of shifted maps.

    A map that has its channels last keeps them there, and only time is filled up by a copy.
    """

    def __init__(self, pool: SamePool3D) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, c, t', h', w') of maps (b, c, t, h, w) that are nowhere below zero."""
        kernel, stride = self.pool.kernel, self.pool.stride
        sides = sides_of(maps, kernel, stride, self.pool.padding)
        if self.pool.padding == "fixed":  # its last window may reach further than is filled up
            return self.pool(maps)
        frames = maps.transpose(1, 2)
        flat = over_space(frames.flatten(0, 1), kernel[1:], stride[1:], sides[1:])
        flat = flat.unflatten(0, frames.shape[:2])
        if kernel[0] > 1 or stride[0] > 1:
            flat = over_time(flat, kernel[0], stride[0], sides[0])
        return flat.transpose(1, 2)


def over_space(maps: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], sides: Sides) -> Tensor:
    """Return the maximum over windows of maps (n, c, h, w); what they are filled up with is no larger."""
    before = [side for side, _ in sides]
    if all(first == last for first, last in sides):
        return F.max_pool2d(maps, kernel, stride, before)
    if beyond_the_end(sides, stride):
        return F.max_pool2d(maps, kernel, stride, ceil_mode=True)
    return F.max_pool2d(pad(maps, sides), kernel, stride)


def over_time(maps: Tensor, kernel: int, stride: int, sides: tuple[int, int]) -> Tensor:
    """Return the maximum over windows of the frames of maps (b, t, c, h, w), filled up with zeros."""
    full = F.pad(maps, (0, 0, 0, 0, 0, 0, *sides)) if any(sides) else maps
    last = full.shape[1] - kernel
    shifted = [full[:, first : first + last + 1 : stride] for first in range(kernel)]
    return reduce(torch.maximum, shifted)


class WideUnit(nn.Module):
    """A first convolution with more input channels than there are: one copy fills up channels and sides."""

    def __init__(self, unit: Unit3D, multiple: int) -> None:
        super().__init__()
        self.unit, self.more = unit, -unit.conv3d.in_channels % multiple
        weight = F.pad(unit.conv3d.weight.detach(), (0, 0, 0, 0, 0, 0, 0, self.more))
        self.weight = nn.Parameter(weight, requires_grad=False)
        if self.more:
            unit.conv3d.weight = self.weight

    def forward(self, clips: Tensor) -> Tensor:
        """Return (b, channels, t', h', w') of clips (b, in_channels, t, h, w)."""
        if not self.more:
            return self.unit(clips)
        unit = self.unit
        sides = sides_of(clips, unit.kernel, unit.stride, unit.padding)
        full = F.pad(clips, [n for pair in reversed([(0, self.more), *sides]) for n in pair])
        maps = unit.bn(F.conv3d(full, self.weight, unit.conv3d.bias, unit.stride))
        return F.relu(maps) if unit.activation else maps
