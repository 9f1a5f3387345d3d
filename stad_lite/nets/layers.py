"""What every network here is made of: scaled widths, normalisation, padding as TensorFlow's SAME."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import gcd
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.errors import FormatError

Norm = Literal["batch", "group", "none"]
Padding = Literal["same", "fixed"]

CONVS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def scaled(channels: int, width: float) -> int:
    """Return a layer's channels at a width: the nearest multiple of 4, at least 4; all at width 1.

    >>> scaled(112, 1.0), scaled(112, 0.25), scaled(16, 0.125)
    (112, 28, 4)
    """
    return channels if width == 1 else max(4, 4 * round(channels * width / 4))


def norm_layer(kind: Norm, channels: int, dims: int, eps: float = 1e-5, momentum: float = 0.1) -> nn.Module:
    """Return batch norm, group norm (at most 8 groups) or nothing, for maps with ``dims`` axes.

    Group norm knows no batch, so that two processes can equal one.
    """
    if kind == "batch":
        return BATCH_NORMS[dims](channels, eps=eps, momentum=momentum)
    if kind == "group":
        return nn.GroupNorm(gcd(channels, 8), channels, eps=eps)
    if kind == "none":
        return nn.Identity()
    raise FormatError(f"no normalisation {kind!r}", remedy="use batch, group or none")


@contextmanager
def values_to_norm() -> Iterator[None]:
    """Say what to do where a norm in training sees one value, as on maps of one cell (torch does not say).

    raises: FormatError
    """
    try:
        yield
    except ValueError as error:
        if "Expected more than 1 value per channel" not in str(error):
            raise
        problem = "a batch norm that is trained sees a single value of each channel"
        remedy = "give 2 items or more to each process and part of a batch, or choose group norm"
        raise FormatError(problem, remedy=remedy) from None


def freeze_norms(module: nn.Module, affine: bool = True) -> None:
    """Keep all batch norms at their published statistics: evaluation mode, and no gradient if ``affine``.

    ``train()`` switches them back; a network with ``frozen=True`` calls this again by itself.
    """
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
            if affine:
                part.requires_grad_(False)


def he_weights(module: nn.Module) -> None:
    """Draw all convolutions so that a ReLU keeps the size of what passes (He et al., Sec. 2.2)."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[tuple[int, int]]:
    """Return TensorFlow's SAME padding (before, after) of each axis, computed from the input's size.

    The output has ceil(size / stride) cells; where the padding is odd, the end gets one more.

    >>> same_padding([224, 225], [7, 7], [2, 2])
    [(2, 3), (3, 3)]
    """
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def fixed_padding(kernel: Sequence[int], stride: Sequence[int]) -> list[tuple[int, int]]:
    """Return the SAME padding of sizes that the stride divides: kernel - stride, whatever the input.

    >>> fixed_padding([7, 1], [2, 1])
    [(2, 3), (0, 0)]
    """
    totals = [max(k - s, 0) for k, s in zip(kernel, stride, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def pad(maps: Tensor, padding: Sequence[tuple[int, int]]) -> Tensor:
    """Return maps (b, c, *axes) with zeros before and after along each axis."""
    if not any(map(any, padding)):
        return maps
    return F.pad(maps, [n for pair in reversed(padding) for n in pair])


class ConvNorm(nn.Module):
    """Convolution, normalisation, ReLU; the names ``conv``, ``bn`` are those of RFB Net's checkpoints."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int | tuple[int, ...] = 1,
        *,
        stride: int = 1,
        padding: int | tuple[int, ...] = 0,
        dilation: int = 1,
        relu: bool = True,
        norm: Norm = "batch",
        dims: int = 2,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.conv = CONVS[dims](in_channels, channels, kernel, stride, padding, dilation, bias=norm == "none")
        self.bn = norm_layer(norm, channels, dims, momentum=momentum)
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, channels, ...) of maps (b, in_channels, ...)."""
        out = self.bn(self.conv(maps))
        return F.relu(out) if self.relu else out
