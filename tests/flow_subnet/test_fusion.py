"""Fusion: the combinations by hand, which levels they touch, the pyramid by Eq. 7 written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from stad_lite.flow_subnet.fusion import ElementwiseFusion, PyramidFusion, combine, fusion_block
from tests.flow_subnet.cases import config

CHANNELS = (4, 6, 8)


def levels(seed: int) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    sides = (8, 4, 3)
    return [torch.randn(2, c, s, s) for c, s in zip(CHANNELS, sides, strict=True)]


def test_combinations_by_hand():
    a, m = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1), torch.tensor([5.0, 7.0]).view(1, 2, 1, 1)
    assert combine(a, m, "concat").flatten().tolist() == [1, 2, 5, 7]
    assert combine(a, m, "sum").flatten().tolist() == [6, 9]
    assert combine(a, m, "average").flatten().tolist() == [3, 4.5]


@pytest.mark.parametrize("how", ["concat", "sum", "average"])
@pytest.mark.parametrize("fused", ["all", "one"])
def test_elementwise(how, fused):
    appearance, motion = levels(0), levels(1)
    block = ElementwiseFusion(CHANNELS, how, fused)
    found = block(appearance, motion)
    count = 3 if fused == "all" else 1
    assert len(block.mix) == count
    for level, (maps, a, m) in enumerate(zip(found, appearance, motion, strict=True)):
        if level >= count:
            assert torch.equal(maps, a)
            continue
        conv = block.mix[level]
        weight, bias = conv.weight[:, :, 0, 0], conv.bias
        joined = torch.cat([a, m], 1) if how == "concat" else (a + m) / (1 + (how == "average"))
        by_hand = torch.einsum("oi,bihw->bohw", weight, joined) + bias[:, None, None]
        torch.testing.assert_close(maps, by_hand)


def test_the_pyramid_is_equation_7():
    appearance, motion = levels(0), levels(1)
    block = PyramidFusion(CHANNELS)
    found = block(appearance, motion)
    torch.testing.assert_close(found[2], appearance[2] + motion[2])
    for level in (1, 0):
        adjusted = block.adjust[level](found[level + 1])
        up = F.interpolate(adjusted, size=appearance[level].shape[2:], mode="bilinear", align_corners=False)
        torch.testing.assert_close(found[level], up + appearance[level] + motion[level])


def test_scales_interact_in_the_pyramid_alone():
    appearance, motion = levels(0), levels(1)
    other = [*appearance[:2], appearance[2] + 1]
    for how, reached in (("concat", False), ("pyramid", True)):
        block = fusion_block(config(fusion=how), CHANNELS)
        differs = not torch.equal(block(appearance, motion)[0], block(other, motion)[0])
        assert differs == reached


@pytest.mark.parametrize(("fusion", "place"), [("appearance", 0), ("motion", 1)])
def test_without_fusion_one_stream_is_left(fusion, place):
    streams = (levels(0), levels(1))
    found = fusion_block(config(fusion=fusion), CHANNELS)(*streams)
    assert all(torch.equal(*pair) for pair in zip(found, streams[place], strict=True))
