"""Feature pyramids against their sums written out, and the lengths in the papers."""

from __future__ import annotations

import pytest
import torch

from stad_lite.errors import FormatError
from stad_lite.nets.fpn import FeaturePyramid, over_space, over_time


def test_top_down_path_by_hand():
    """With identity convolutions a level is itself plus all coarser ones, repeated."""
    pyramid = FeaturePyramid([1, 1, 1], channels=1)
    with torch.no_grad():
        for conv in [*pyramid.lateral, *pyramid.output]:
            conv.weight.zero_()
            conv.weight[0, 0, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 1
            conv.bias.zero_()
    levels = [torch.randn(1, 1, n, n) for n in (8, 4, 2)]
    got = pyramid(levels)
    up = [
        level.repeat_interleave(8 // n, 2).repeat_interleave(8 // n, 3)
        for level, n in zip(levels, (8, 4, 2), strict=True)
    ]
    torch.testing.assert_close(got[0], up[0] + up[1] + up[2])
    torch.testing.assert_close(got[2], levels[2])


def test_sp_tad_s_levels():
    """Lengths T/2 to T/16 of 256 frames, two streams side by side (SP-TAD Sec. 3.1.2)."""
    sequences = [torch.randn(1, c, t) for c, t in ((960, 128), (1664, 64), (2048, 32))]
    pyramid = FeaturePyramid([960, 1664, 2048], dims=1, extra=1)
    got = pyramid(sequences)
    assert [tuple(s.shape) for s in got] == [(1, 256, n) for n in (128, 64, 32, 16)]
    pairs = torch.maximum(got[2][:, :, ::2], got[2][:, :, 1::2])
    torch.testing.assert_close(got[3], pairs)


def test_pcsc_s_levels_and_odd_sizes():
    sizes = [
        (64, 80, 107),
        (120, 40, 54),
        (208, 20, 27),
        (256, 10, 14),
    ]  # 320 x 427 pixels, a quarter as wide
    pyramid = FeaturePyramid([c for c, _, _ in sizes], channels=8, extra=1, pool="subsample")
    got = pyramid([torch.randn(1, *size) for size in sizes])
    assert [tuple(m.shape[2:]) for m in got] == [size[1:] for size in sizes] + [(5, 7)]
    torch.testing.assert_close(got[4], got[3][:, :, ::2, ::2])


def test_every_level_learns():
    pyramid = FeaturePyramid([4, 4], channels=4, dims=1, extra=1)
    pyramid([torch.randn(2, 4, 9), torch.randn(2, 4, 5)])[0].sum().backward()
    assert pyramid.lateral[1].weight.grad.abs().sum() > 0 and pyramid.output[1].weight.grad is None


def test_means():
    clip = torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(over_space(clip), clip.mean((3, 4)))
    torch.testing.assert_close(over_time(clip), clip.mean(2))


def test_what_does_not_fit_is_refused():
    with pytest.raises(FormatError, match="levels"):
        FeaturePyramid([4, 4])([torch.zeros(1, 4, 2, 2)])
    with pytest.raises(FormatError, match="pooling"):
        FeaturePyramid([4], pool="mean")
