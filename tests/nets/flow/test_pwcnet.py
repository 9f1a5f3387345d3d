"""PWC-Net against its table of layers, and its parts against loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from stad_lite.errors import FormatError
from stad_lite.nets.flow.pwcnet import (
    LOSS_WEIGHTS,
    PWCNet,
    cost_volume,
    estimate,
    multi_scale_loss,
    normalised,
    small_pwcnet,
    warp_inside,
)

# Names and (out, in, k, k) of convolutions in the published pwc_net.pth.tar (NVlabs/PWC-Net, PWCDCNet).
SHAPES = {
    "conv1a.0": (16, 3, 3, 3), "conv1aa.0": (16, 16, 3, 3), "conv1b.0": (16, 16, 3, 3),
    "conv3a.0": (64, 32, 3, 3), "conv6aa.0": (196, 128, 3, 3), "conv6a.0": (196, 196, 3, 3),
    "conv6_0.0": (128, 81, 3, 3), "conv6_4.0": (32, 497, 3, 3), "predict_flow6": (2, 529, 3, 3),
    "deconv6": (2, 2, 4, 4), "upfeat6": (529, 2, 4, 4), "conv5_0.0": (128, 213, 3, 3),
    "conv4_0.0": (128, 181, 3, 3), "conv3_0.0": (128, 149, 3, 3), "conv2_0.0": (128, 117, 3, 3),
    "predict_flow2": (2, 565, 3, 3), "dc_conv1.0": (128, 565, 3, 3), "dc_conv4.0": (96, 128, 3, 3),
    "dc_conv7": (2, 32, 3, 3),
}  # fmt: skip


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def test_layers_are_the_published_ones():
    with torch.device("meta"):
        net = PWCNet()
    state = net.state_dict()
    for name, shape in SHAPES.items():
        assert tuple(state[f"{name}.weight"].shape) == shape, name
    assert len(state) == 2 * (6 * 3 + 5 * 6 + 4 * 2 + 7)
    assert sum(p.numel() for p in net.parameters()) == 9_374_274  # all but deconv2, which nothing reads
    dilations = [getattr(net, f"dc_conv{i}")[0].dilation[0] for i in range(1, 7)]
    assert dilations == [1, 2, 4, 8, 16, 1] and net.dc_conv7.dilation == (1, 1)
    assert {m.negative_slope for m in net.modules() if isinstance(m, torch.nn.LeakyReLU)} == {0.1}


def test_shapes_at_the_flow_subnet_s_size():
    with torch.device("meta"):
        net = PWCNet()
    flows = net(meta(2, 3, 320, 320), meta(2, 3, 320, 320))
    assert [tuple(flow.shape) for flow in flows] == [(2, 2, n, n) for n in (80, 40, 20, 10, 5)]
    with pytest.raises(FormatError, match="64"):
        net(meta(1, 3, 300, 300), meta(1, 3, 300, 300))
    with pytest.raises(FormatError, match="levels"):
        PWCNet(depth=7)


@pytest.mark.parametrize("reach", [1, 2])
def test_cost_volume_is_the_loop(reach):
    first, second = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    got, side = cost_volume(first, second, reach), 2 * reach + 1
    assert got.shape == (2, side * side, 4, 5)
    for y in range(4):
        for x in range(5):
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    cost = torch.zeros(2)
                    if 0 <= y + dy < 4 and 0 <= x + dx < 5:
                        cost = (first[:, :, y, x] * second[:, :, y + dy, x + dx]).mean(1)
                    torch.testing.assert_close(got[:, (dy + reach) * side + dx + reach, y, x], cost)


def test_normalised_maps_by_hand():
    """Pair by pair: each channel's mean over both images goes, one deviation for all channels."""
    first, second = torch.randn(2, 2, 3, 4, 5) * 3 + 7
    got = normalised(first, second)
    for item in range(2):
        both = torch.stack([first[item], second[item]])  # (image, c, h, w)
        less = both - torch.stack([both[:, c].mean() for c in range(3)]).view(1, 3, 1, 1)
        wanted = less / less.square().mean().sqrt()
        torch.testing.assert_close(torch.stack([got[0][item], got[1][item]]), wanted)
    flat = torch.ones(1, 3, 4, 5)
    assert not torch.stack(normalised(flat, flat)).any()


def test_the_small_network_compares_normalised_maps_and_begins_still():
    torch.manual_seed(0)
    first, second = torch.rand(2, 1, 3, 32, 32)
    net, loud = small_pwcnet(), small_pwcnet(still=False)
    with torch.no_grad():
        assert all(flow.abs().max() < 0.05 for flow in net(first, second))  # a pixel; many more without
        assert all(flow.abs().max() > 0.1 for flow in loud(first, second))
        seen = []
        net.conv3_0.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        net(first, second)
        ones, twos = (net.pyramid(image)[2] for image in (first, second))
        costs = F.leaky_relu(cost_volume(*normalised(ones, twos), reach=2), 0.1)
        torch.testing.assert_close(seen[0], costs)
        assert sum(p.numel() for p in net.parameters()) == 239_558


def test_warped_places_outside_are_zero():
    maps = torch.rand(1, 2, 4, 6) + 1
    flow = torch.zeros(1, 2, 4, 6)
    flow[:, 0] = 1.5
    got = warp_inside(maps, flow)
    torch.testing.assert_close(got[..., :4], (maps[..., 1:5] + maps[..., 2:]) / 2)
    assert not got[..., 4:].any()  # half of the place at 4 + 1.5 lies outside
    torch.testing.assert_close(warp_inside(maps, torch.zeros_like(flow)), maps)


def test_the_coarse_flow_moves_the_second_image_s_maps():
    """The scale between a level's flow and its cells: 20 / 2^level (0.625 at level 5, 5 at level 2)."""
    seen = {}
    net = PWCNet(depth=5, width=0.125).eval()
    with torch.no_grad():
        for level in range(2, 6):
            head = net.get_submodule(f"predict_flow{level}")
            head.weight.zero_()
            head.bias.copy_(torch.tensor([0.4, 0.2]))
        for level in range(3, 6):
            deconv = net.get_submodule(f"deconv{level}")
            deconv.weight.zero_()
            deconv.bias.copy_(torch.tensor([0.4, 0.0]))
        for name in ("conv2_0", "conv4_0"):
            layer = net.get_submodule(name)
            layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.__setitem__(name, inputs[0]))
        first, second = torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96)
        net(first, second)
        for level in (2, 4):
            ones, twos = (net.pyramid(image)[level - 1] for image in (first, second))
            flow = torch.zeros(1, 2, *ones.shape[2:])
            flow[:, 0] = 0.4 * 20 / 2**level
            costs = F.leaky_relu(cost_volume(ones, warp_inside(twos, flow)), 0.1)
            torch.testing.assert_close(seen[f"conv{level}_0"][:, :81], costs)


def test_estimate_gives_pixels_at_the_image_s_size():
    """The finest output is a constant (0.1, 0.2) of twenty pixels at the size that the network sees."""
    net = PWCNet(depth=4, width=0.125).eval()
    with torch.no_grad():
        for layer in (net.predict_flow2, net.dc_conv7):
            layer.weight.zero_()
            layer.bias.zero_()
        net.predict_flow2.bias.copy_(torch.tensor([0.1, 0.2]))
        seen = []
        net.conv1a.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        image = torch.rand(1, 3, 48, 60)  # the network sees 48 x 64
        flow = estimate(net, image, image)
        wanted = torch.tensor([2.0 * 60 / 64, 4.0]).view(1, 2, 1, 1).expand(1, 2, 48, 60)
        torch.testing.assert_close(flow, wanted)
        straight = torch.rand(1, 3, 32, 32)
        estimate(net, straight, straight)
        torch.testing.assert_close(seen[-1], straight[:, [2, 1, 0]])  # blue first


def test_loss_by_hand():
    truth = torch.zeros(2, 2, 16, 16)
    truth[:, 0], truth[:, 1] = 60, 80  # 5 in units of 20 pixels
    flows = [torch.zeros(2, 2, 4, 4), torch.zeros(2, 2, 2, 2)]
    wanted = 5 * 16 * LOSS_WEIGHTS[0] + 5 * 4 * LOSS_WEIGHTS[1]
    assert float(multi_scale_loss(flows, truth)) == pytest.approx(wanted)


def test_a_small_network_learns_its_pairs():
    """Four textures, each moved its own way: the error falls to a fraction of that of no flow."""
    torch.manual_seed(0)
    net = PWCNet(depth=3, width=0.25, reach=2)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    texture = F.interpolate(torch.rand(4, 3, 12, 12), scale_factor=4, mode="bilinear")
    moves = [(5, 0), (-4, 3), (0, -6), (6, 6)]
    seconds = torch.stack(
        [t[:, 8 - dy : 40 - dy, 8 - dx : 40 - dx] for t, (dx, dy) in zip(texture, moves, strict=True)]
    )
    firsts = texture[:, :, 8:40, 8:40]
    truth = torch.tensor(moves).float()[:, :, None, None].expand(4, 2, 32, 32)
    for _ in range(80):
        loss = multi_scale_loss(net(firsts, seconds), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert all(p.grad is not None for p in net.parameters())
    with torch.no_grad():
        error = (estimate(net, firsts.flip(1), seconds.flip(1)) - truth).norm(dim=1).mean()
    assert float(error) < 0.3 * float(truth.norm(dim=1).mean())
