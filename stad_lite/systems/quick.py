"""Prediction on a GPU the fast way, with the plain way behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from stad_lite.errors import NotFiniteError
from stad_lite.nets.folding import folded

BACKBONES = ("backbone", "backbones", "trunks")
"""What a module of backbones is called in a system's network."""
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}

Result = TypeVar("Result")


@contextmanager
def quick(network: nn.Module, device: torch.device, dtype: torch.dtype = torch.float16) -> Iterator[None]:
    """Predict in float16, through backbones that are folded and keep channels last.

    bfloat16, in which networks train, has eight times the rounding: it moves video-mAP by up to .3 points
    (``benchmarks.bench_quick``).

    network: of a system; afterwards it has its own backbones again
    device: that it is on
    dtype: of what autocast computes in half precision
    """
    kept = {name: network.get_submodule(name) for name in BACKBONES if hasattr(network, name)}
    try:
        for name, part in kept.items():
            setattr(network, name, channels_last(folded(part, 4)))
        with torch.autocast(device.type, dtype):
            yield
    finally:
        for name, part in kept.items():
            setattr(network, name, part)


def channels_last(network: nn.Module) -> nn.Module:
    """Keep the kernels of a network so that maps with channels last need no copy; return it."""
    for parameter in network.parameters():
        if parameter.ndim in FORMATS:
            parameter.data = parameter.data.contiguous(memory_format=FORMATS[parameter.ndim])
    return network


def quickly(
    network: nn.Module, device: torch.device, work: Callable[[], Result], say: Callable[[str], object] = print
) -> Result:
    """Return what a function returns, ``quick`` on a GPU; on the CPU, and where a GPU refuses, plainly.

    say: is told when it was
    """
    if device.type != "cpu":
        try:
            with quick(network, device):
                return work()
        except (RuntimeError, NotImplementedError, NotFiniteError) as error:
            say(f"plain prediction, since the fast one failed: {' '.join(str(error).split())[:200]}")
    return work()
