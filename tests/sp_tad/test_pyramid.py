"""The three pyramids and the rule of the levels."""

from __future__ import annotations

import math

import pytest
import torch

from stad_lite.errors import FormatError
from stad_lite.sp_tad.pyramid import TemporalPyramid, pyramid_level

CHANNELS, STRIDES, WINDOW = (6, 8, 10), (2, 4, 8), 64


def stages(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2, c, WINDOW // s, generator=generator) for c, s in zip(CHANNELS, STRIDES, strict=True)
    ]


@pytest.mark.parametrize(
    ("kind", "strides"), [("intermediate", (2, 4, 8, 16)), ("single", (8,)), ("high", (8, 16, 32, 64))]
)
def test_levels_have_the_strides_they_say(kind, strides):
    pyramid = TemporalPyramid(kind, CHANNELS, STRIDES, 12)
    assert pyramid.strides == strides
    assert [tuple(level.shape) for level in pyramid(stages())] == [(2, 12, WINDOW // s) for s in strides]


@pytest.mark.parametrize(("kind", "read"), [("intermediate", {0, 1, 2}), ("single", {2}), ("high", {2})])
def test_only_the_intermediate_pyramid_reads_all_stages(kind, read):
    pyramid = TemporalPyramid(kind, CHANNELS, STRIDES, 12)
    given = [stage.requires_grad_() for stage in stages()]
    sum(level.square().sum() for level in pyramid(given)).backward()
    assert {i for i, stage in enumerate(given) if stage.grad is not None and stage.grad.any()} == read


def test_what_is_known_of_coarse_steps_reaches_the_finest_level():
    pyramid = TemporalPyramid("intermediate", CHANNELS, STRIDES, 12)
    given = [stage.requires_grad_() for stage in stages()]
    pyramid(given)[0].sum().backward()
    assert given[2].grad is not None and given[2].grad.any()
    with torch.no_grad():
        levels = pyramid(given)
    torch.testing.assert_close(levels[3], torch.maximum(levels[2][..., ::2], levels[2][..., 1::2]))


def test_an_unknown_kind_is_refused():
    with pytest.raises(FormatError, match="no pyramid 'deep'"):
        TemporalPyramid("deep", CHANNELS, STRIDES)


def test_level_follows_equation_one():
    """l = floor(l0 + log2(t / T)), cut to the levels; claim tad-level."""
    for levels in (1, 4):
        lengths = torch.linspace(0.001, 2.0, 4001)
        expected = [
            min(max(math.floor(levels - 1 + math.log2(t)), 0), levels - 1) for t in lengths.double().tolist()
        ]
        assert pyramid_level(lengths, levels).tolist() == expected
    halves = torch.tensor([0.0625, 0.125, 0.25, 0.5, 1.0])
    assert pyramid_level(halves, 4).tolist() == [0, 0, 1, 2, 3]


def test_degenerate_lengths_read_the_finest_level():
    odd = torch.tensor([0.0, -0.3, torch.nan, torch.inf])
    assert pyramid_level(odd, 4).tolist() == [0, 0, 0, 3]
