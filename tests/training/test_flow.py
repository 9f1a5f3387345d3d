"""Pairs of frames with exact flow, their mirror images, and what a few steps do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite.data.synthetic import Settings, render
from stad_lite.errors import FormatError
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.pwcnet import small_pwcnet
from stad_lite.nets.flow.warping import warp
from stad_lite.training.flow import SCHEDULES, pairs_of, train, turned

SMALL = Settings(frames=6, height=48, width=64, actors=(1, 1), span=(2, 4))


def test_pairs_are_frames_that_follow_on_each_other():
    clips = [render(SMALL, seed) for seed in (0, 1)]
    pairs = pairs_of(clips)
    assert len(pairs) == 10
    for number, (clip, frame) in enumerate((clip, frame) for clip in clips for frame in range(5)):
        assert np.array_equal(pairs.first[number], clip.frames[frame])
        assert np.array_equal(pairs.second[number], clip.frames[frame + 1])
        assert np.array_equal(pairs.flow[number], clip.flow[frame])
    some = pairs_of(clips, step=3)
    assert np.array_equal(some.second, pairs.second[[0, 3, 5, 8]]) and len(some) == 4
    with pytest.raises(FormatError, match="no flow"):
        pairs_of([render(replace(SMALL, flow=False), 0)])
    with pytest.raises(FormatError, match="no clips"):
        pairs_of([])


def test_error_is_the_mean_over_pairs():
    pairs = pairs_of([render(SMALL, 0)])
    lengths = np.linalg.norm(pairs.flow.astype(np.float64), axis=-1)
    none = pairs.error(lambda first, _: np.zeros((*first.shape[:2], 2)))
    assert none == pytest.approx(lengths.mean(), rel=1e-6)


@pytest.mark.parametrize("turn", range(8))
def test_turned_flow_still_explains_the_turned_second_image(turn):
    """Warping and turning may change places: in any of the eight ways the residual stays what it was."""
    pairs = pairs_of([render(SMALL, 3)])
    first, second, flow = pairs.batch(np.arange(5))
    one, two, field = turned((first, second), flow, turn)
    wanted = (first - warp(second, flow, "border")).abs().mean()
    torch.testing.assert_close((one - warp(two, field, "border")).abs().mean(), wanted)
    assert float(wanted) < 0.7 * float((first - second).abs().mean())
    shape = (64, 48) if turn & 4 else (48, 64)
    assert one.shape[2:] == two.shape[2:] == field.shape[2:] == shape


def test_the_eight_turns_differ():
    images = torch.rand(1, 3, 4, 4)
    flows = torch.rand(1, 2, 4, 4)
    turns = [torch.cat(turned((images,), flows, turn), 1) for turn in range(8)]
    assert all(not torch.equal(a, b) for i, a in enumerate(turns) for b in turns[:i])


@pytest.mark.parametrize("build", [small_pwcnet, lambda: FlowNetS(depth=3, width=0.125)])
def test_training_sees_what_estimating_sees(build):
    """A network that was trained on a pair has the colours, the size and the unit of ``flow_between``."""
    pairs = pairs_of([render(SMALL, 0)])
    torch.manual_seed(0)
    net, seen = build(), []
    first = net.conv1a if hasattr(net, "conv1a") else net.conv1
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    config = replace(SCHEDULES["smoke"], steps=1, batch=1, seed=5)
    train(net, pairs, config, size=(64, 64))
    assert not net.training and seen[0].shape[2:] == (64, 64)
    rng = np.random.default_rng(5)
    images = pairs.batch(rng.integers(5, size=1))[:2]
    one = turned(images, torch.zeros(1, 2, 48, 64), int(rng.integers(8)))[0]
    one = torch.nn.functional.interpolate(one, size=(64, 64), mode="bilinear")
    if len(seen) == 2:  # PWC-Net looks at one image after the other, blue first
        torch.testing.assert_close(seen[0], one.flip(1))
    else:
        torch.testing.assert_close(seen[0][:, :3].diff(dim=3), one.diff(dim=3))


def test_a_seed_repeats_bit_by_bit():
    pairs = pairs_of([render(SMALL, 0)])
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        net = small_pwcnet()
        train(net, pairs, replace(SCHEDULES["smoke"], seed=seed))
        states.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
