"""The bottom-up pathways: what becomes of the k frames."""

from __future__ import annotations

import torch

from stad_lite.pcsc.config import TAPS, Input
from stad_lite.pcsc.trunks import I3DTrunk, StackTrunk


@torch.no_grad()
def test_i3ds_maps_are_averaged_over_time():
    torch.manual_seed(0)
    trunk, clip = I3DTrunk("flow", Input(trunk="i3d", width=0.125)), torch.randn(1, 2, 8, 64, 64)
    maps = trunk.net(clip, TAPS)
    assert maps[TAPS[0]].shape[2] == 4
    for found, tap in zip(trunk(clip), TAPS, strict=True):
        torch.testing.assert_close(found, maps[tap].mean(2))


def test_the_stack_sees_every_frame_in_its_place():
    """PCSC Sec. 3.5: k neighbouring frames, not the key frame alone."""
    torch.manual_seed(0)
    trunk, maps = StackTrunk(4, frames=5, channels=(8, 8)), torch.randn(1, 5, 4, 8, 8, requires_grad=True)
    levels = trunk(maps)
    sum(level.square().sum() for level in levels).backward()
    assert maps.grad.flatten(2).any(2).all()
    assert not torch.allclose(trunk(maps.flip(1))[0], levels[0])
