"""Pairs, fields at the frames' size, the image that is made of them."""

from __future__ import annotations

import pytest
import torch

from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.model import FlowSubnetNetwork
from stad_lite.flow_subnet.motion import MotionNetwork, pair_places, paired
from stad_lite.nets.flow import flownet, pwcnet
from tests.flow_subnet.cases import config, network, sequences, video


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [("two", [(0, 1), (1, 2), (2, 3)]), ("one", [(1, 2), (2, 3)]), ("released", [(0, 2), (1, 3)])],
)
def test_which_frames_are_paired(pairs, wanted):
    """Of a sequence k - 1, k, k + 1, k + 2 that has two middle frames."""
    numbers = torch.arange(8).reshape(8, 1)  # two sequences of four
    first, second = (paired([numbers], place, 4)[0][:, 0].tolist() for place in pair_places(pairs))
    assert list(zip(first, second, strict=True)) == wanted + [(a + 4, b + 4) for a, b in wanted]


def test_frames_of_300_pixels_are_estimated_at_320(monkeypatch):
    with torch.device("meta"):
        motion = MotionNetwork(FlowSubnetConfig.paper())
        assert motion.multiple == 64
        seen = motion.features(torch.zeros(1, 3, 300, 300))
    assert seen[0].shape[2:] == (160, 160) and len(seen) == 6


@pytest.mark.parametrize("side", [24, 48, 50, 100])
@pytest.mark.parametrize("estimator", ["pwcnet", "flownets", "spynet"])
def test_fields_have_the_frames_size_and_pixels(estimator, side):
    motion = MotionNetwork(config(estimator=estimator)).eval()
    images = torch.rand(2, 3, side, side)
    features = motion.features(images)
    flow = motion.between(*([maps[n : n + 1] for maps in features] for n in (0, 1)))[0]
    field = motion.field(flow, (side, side))
    assert field.shape == (1, 2, side, side)
    ones = motion.field(torch.ones_like(flow), (side, side))
    input_side = -(-side // motion.multiple) * motion.multiple
    unit = 1.0 if estimator == "spynet" else 20.0
    torch.testing.assert_close(ones, torch.full_like(ones, unit * side / input_side))
    if estimator != "spynet" and side == 48:  # where nothing is resized twice
        library = pwcnet.estimate if estimator == "pwcnet" else flownet.estimate
        torch.testing.assert_close(field, library(motion.net, images[:1], images[1:]), rtol=1e-4, atol=1e-4)


def test_the_codes_vectors_keep_the_pixels_of_the_networks_input():
    motion = MotionNetwork(config(vectors="raw"))
    assert motion.field(torch.full((1, 2, 16, 16), 0.1), (50, 50)).unique().allclose(torch.tensor(2.0))


@pytest.mark.parametrize("pairs", ["two", "one"])
def test_each_field_reaches_the_image(pairs):
    """W x H x 4 to W x H x 3 (Fig. 2), each of the numbers counts."""
    motion = MotionNetwork(config(pairs=pairs))
    fields = torch.zeros(1, 2 * motion.config.fields, 8, 8)
    plain = motion.image(fields)
    assert plain.shape == (1, 3, 8, 8)
    for channel in range(fields.shape[1]):
        moved = fields.clone()
        moved[:, channel] = 1.0
        assert (motion.image(moved) - plain).abs().amax() > 1e-3


def test_motion_is_as_large_as_pixels_for_the_backbone():
    for normalise, size in (("unit", 1.0), ("bgr", 127.5)):
        assert MotionNetwork(config(normalise=normalise, flow_scale=4.0)).scale == pytest.approx(size / 4)


def test_the_order_of_the_frames_counts():
    net = network()
    frames = sequences(video(3))
    said, turned = net(frames), net(frames.flip(1))
    assert not torch.allclose(said.flows[0], turned.flows[0])
    assert not torch.allclose(said.scores, turned.scores)


def test_given_flow_takes_the_place_of_the_network():
    net = network(estimator="given")
    frames, flow = sequences(video(4)), torch.randn(1, 3, 2, 48, 48)
    said = net(frames, flow)
    assert said.scores.shape[1] == 2 and said.flows == []
    for pair, changed in ((0, [True, False]), (1, [True, True]), (2, [False, True])):
        other = flow.clone()
        other[:, pair] += 1
        differs = (net(frames, other).scores - said.scores).abs().amax((0, 2, 3)) > 1e-6
        assert differs.tolist() == changed


def test_the_teacher_stays_as_it_began():
    torch.manual_seed(0)
    net = FlowSubnetNetwork(config(supervision="teacher"), 2).train()
    frames = sequences(video(3))
    before = net(frames)
    assert before.taught[:, :, ::4, ::4].shape == before.flows[0].shape
    for parameter in net.motion.net.parameters():
        parameter.data += 0.01
    after = net(frames)
    assert torch.equal(before.taught, after.taught) and not torch.equal(before.flows[0], after.flows[0])
    assert not any(parameter.requires_grad for parameter in net.motion.teacher.parameters())
    net.motion.reset_teacher()
    assert not torch.equal(net(frames).taught, before.taught)
