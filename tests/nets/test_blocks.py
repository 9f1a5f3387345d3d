"""Blocks against their formulas written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from stad_lite.errors import FormatError
from stad_lite.nets.blocks import (
    FineReceptiveFieldBlock,
    Hourglass1d,
    NonLocal,
    ReceptiveFieldBlock,
    temporal_difference,
)
from stad_lite.nets.layers import norm_layer, scaled


@pytest.mark.parametrize(("dims", "axes"), [(1, (5,)), (2, (3, 4)), (3, (2, 3, 2))])
def test_non_local_is_a_softmax_over_all_positions(dims, axes):
    torch.manual_seed(0)
    block = NonLocal(6, dims).double()
    torch.nn.init.normal_(block.out.weight)
    maps = torch.randn(2, 6, *axes, dtype=torch.float64)
    wanted = torch.zeros_like(maps)
    for b in range(2):
        flat = maps[b].flatten(1)  # (c, n)
        embedded = [e.weight.flatten(1) @ flat + e.bias[:, None] for e in (block.theta, block.phi, block.g)]
        for i in range(flat.shape[1]):
            weights = torch.exp(
                torch.stack([embedded[0][:, i] @ embedded[1][:, j] for j in range(flat.shape[1])])
            )
            seen = (embedded[2] * weights / weights.sum()).sum(1)
            wanted[b].flatten(1)[:, i] = flat[:, i] + block.out.weight.flatten(1) @ seen + block.out.bias
    torch.testing.assert_close(block(maps), wanted)


def test_a_new_non_local_block_changes_nothing():
    maps = torch.randn(1, 8, 2, 3, 3)
    block = NonLocal(8)
    torch.testing.assert_close(block(maps), maps, rtol=0, atol=0)
    block(maps).sum().backward()
    assert block.out.weight.grad.abs().sum() > 0  # and yet it learns
    assert block.theta.out_channels == 4


def test_a_pooled_non_local_block_looks_at_maxima():
    torch.manual_seed(0)
    block = NonLocal(6, pool=2).double()
    torch.nn.init.normal_(block.out.weight)
    maps = torch.randn(2, 6, 3, 5, 4, dtype=torch.float64)
    query, key, value = (embed(maps) for embed in (block.theta, block.phi, block.g))
    looked = []
    for found in (key, value):
        cells = [
            found[:, :, t, y : y + 2, x : x + 2].amax((2, 3))
            for t in range(3)
            for y in (0, 2, 4)
            for x in (0, 2)
        ]
        looked.append(torch.stack(cells, 2))
    weights = torch.einsum("bcn,bcm->bnm", query.flatten(2), looked[0]).softmax(2)
    seen = torch.einsum("bnm,bcm->bcn", weights, looked[1]).reshape(2, 3, 3, 5, 4)
    torch.testing.assert_close(block(maps), maps + block.out(seen))


def test_temporal_difference_is_the_loop():
    maps = torch.randn(2, 3, 5, 4, 4)
    got = temporal_difference(maps)
    assert got.shape == (2, 3, 4, 4, 4)
    for i in range(4):
        torch.testing.assert_close(got[:, :, i], maps[:, :, i + 1] - maps[:, :, i])


@pytest.mark.parametrize("length", [6, 7, 8, 16])
@pytest.mark.parametrize("depth", [1, 2])
def test_hourglass_keeps_the_length(length, depth):
    net = Hourglass1d(8, hidden=4, out_channels=3, depth=depth)
    out = net(torch.randn(2, 8, length))
    assert out.shape == (2, 3, length)
    out.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_hourglass_narrows_in_the_middle():
    net = Hourglass1d(832)
    seen = []
    for unit in net.down:
        unit.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
    net(torch.randn(1, 832, 16))
    assert seen == [(512, 8), (512, 4)] and net.enter.conv.out_channels == 256


def test_hourglass_sees_the_whole_sequence():
    torch.manual_seed(0)
    net, sequence = Hourglass1d(4, hidden=8), torch.randn(1, 4, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(sequence)[0, 0, 8], sequence)
    assert (gradient.abs().sum(1) > 0).sum() >= 14


@pytest.mark.parametrize("stride", [1, 2])
def test_receptive_field_block_reaches_as_far_as_its_dilations(stride):
    torch.manual_seed(0)
    block = ReceptiveFieldBlock(16, 8, stride=stride).eval()
    maps = torch.randn(1, 16, 49, 49, requires_grad=True)
    out = block(maps)
    assert out.shape == (1, 8, -(-49 // stride), -(-49 // stride))
    middle = out.shape[2] // 2
    (gradient,) = torch.autograd.grad(block.branch3(maps)[0, :, middle, middle].sum(), maps)
    seen = (gradient.abs().sum((0, 1)) > 0).nonzero()
    reach = (seen.max(0).values - seen.min(0).values + 1).tolist()
    assert reach[0] == (14 * stride + 1) + 6  # 7 x 1, then dilation 7 either side
    assert reach[1] == (14 * stride + 1) + 6


def test_receptive_field_block_adds_its_shortcut():
    torch.manual_seed(0)
    for block in (
        ReceptiveFieldBlock(16, 8, scale=0.0).eval(),
        FineReceptiveFieldBlock(32, 8, scale=0.0).eval(),
    ):
        maps = torch.randn(2, block.shortcut.conv.in_channels, 5, 5)
        torch.testing.assert_close(block(maps), F.relu(block.shortcut(maps)))


def test_fine_block_fuses_seven_branches():
    torch.manual_seed(0)
    block = FineReceptiveFieldBlock(32, 8, scale=0.5).eval()
    maps = torch.randn(1, 32, 15, 15)
    parts = torch.cat([getattr(block, f"branch{i}")(maps) for i in range(7)], 1)
    assert parts.shape[1] == 28
    torch.testing.assert_close(block(maps), F.relu(0.5 * block.ConvLinear(parts) + block.shortcut(maps)))


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(FormatError, match="multiples of 16"):
        ReceptiveFieldBlock(24, 8)
    with pytest.raises(FormatError, match="multiples of 32"):
        FineReceptiveFieldBlock(48, 8)
    with pytest.raises(FormatError, match="normalisation"):
        norm_layer("layer", 8, 2)


def test_widths():
    assert [scaled(n, 0.25) for n in (16, 24, 96, 832)] == [4, 8, 24, 208]
    assert all(scaled(n, 1.0) == n for n in (1, 3, 17))
    assert norm_layer("group", 12, 3).num_groups == 4
