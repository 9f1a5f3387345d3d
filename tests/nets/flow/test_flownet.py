"""FlowNetS against its table of layers, and its parts against what they should see."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from stad_lite.errors import FormatError
from stad_lite.nets.flow.flownet import FlowNetS, estimate
from stad_lite.nets.flow.pwcnet import multi_scale_loss

# Names and shapes of the weights of FlowNet2-S (NVIDIA/flownet2-pytorch 4ade7e0, networks/FlowNetS.py with
# six input channels). Its header counts 38,676,504 parameters; the layers that it lists have 38,676,506.
SHAPES = {
    "conv1.0": (64, 6, 7, 7), "conv2.0": (128, 64, 5, 5), "conv3.0": (256, 128, 5, 5),
    "conv3_1.0": (256, 256, 3, 3), "conv4.0": (512, 256, 3, 3), "conv4_1.0": (512, 512, 3, 3),
    "conv5.0": (512, 512, 3, 3), "conv5_1.0": (512, 512, 3, 3), "conv6.0": (1024, 512, 3, 3),
    "conv6_1.0": (1024, 1024, 3, 3),
    "deconv5.0": (1024, 512, 4, 4), "deconv4.0": (1026, 256, 4, 4), "deconv3.0": (770, 128, 4, 4),
    "deconv2.0": (386, 64, 4, 4),
    "predict_flow6": (2, 1024, 3, 3), "predict_flow5": (2, 1026, 3, 3), "predict_flow4": (2, 770, 3, 3),
    "predict_flow3": (2, 386, 3, 3), "predict_flow2": (2, 194, 3, 3),
    "upsampled_flow6_to_5": (2, 2, 4, 4), "upsampled_flow5_to_4": (2, 2, 4, 4),
    "upsampled_flow4_to_3": (2, 2, 4, 4), "upsampled_flow3_to_2": (2, 2, 4, 4),
}  # fmt: skip


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def test_layers_are_the_published_ones():
    with torch.device("meta"):
        net = FlowNetS()
    state = net.state_dict()
    weights = {name.removesuffix(".weight"): tuple(state[name].shape) for name in state if "weight" in name}
    assert weights == SHAPES
    biases = {name.removesuffix(".bias") for name in state if name.endswith(".bias")}
    assert biases == {name for name in SHAPES if not name.startswith("upsampled")}
    assert sum(p.numel() for p in net.parameters()) == 38_676_506
    slopes = [m.negative_slope for m in net.modules() if isinstance(m, torch.nn.LeakyReLU)]
    assert slopes == [0.1] * 14
    strides = {name: net.get_submodule(f"{name}.0").stride[0] for name in ("conv1", "conv3", "conv3_1")}
    assert strides == {"conv1": 2, "conv3": 2, "conv3_1": 1}


def test_shapes_at_the_flow_subnet_s_size():
    with torch.device("meta"):
        net = FlowNetS()
    flows = net(meta(2, 3, 320, 320), meta(2, 3, 320, 320))
    assert [tuple(flow.shape) for flow in flows] == [(2, 2, n, n) for n in (80, 40, 20, 10, 5)]
    with pytest.raises(FormatError, match="64"):
        net(meta(1, 3, 300, 300), meta(1, 3, 300, 300))
    with pytest.raises(FormatError, match="levels"):
        FlowNetS(depth=7)


def test_the_mean_colour_of_both_images_is_taken_away():
    """FlowNet2-S's normalisation: per item and colour, over the pixels of both images."""
    net, seen = FlowNetS(depth=3, width=0.125), []
    net.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    first, second = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16) + 1
    net(first, second)
    for item in range(2):
        for colour in range(3):
            mean = (first[item, colour].sum() + second[item, colour].sum()) / (2 * 16 * 16)
            torch.testing.assert_close(seen[0][item, colour], first[item, colour] - mean)
            torch.testing.assert_close(seen[0][item, 3 + colour], second[item, colour] - mean)


def test_every_level_sees_its_maps_the_maps_and_the_flow_below():
    net, seen = FlowNetS(depth=4, width=0.125), {}
    for name in ("predict_flow3", "conv3_1", "deconv3", "upsampled_flow4_to_3", "predict_flow4"):
        net.get_submodule(name).register_forward_hook(
            lambda _, inputs, out, name=name: seen.__setitem__(name, (inputs[0], out))
        )
    flows = net(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
    parts = [seen[name][1] for name in ("conv3_1", "deconv3", "upsampled_flow4_to_3")]
    torch.testing.assert_close(seen["predict_flow3"][0], torch.cat(parts, 1))
    assert seen["upsampled_flow4_to_3"][0] is seen["predict_flow4"][1] is flows[2]
    assert seen["deconv3"][0] is seen["predict_flow4"][0]


def test_estimate_gives_pixels_at_the_image_s_size():
    """The finest output is a constant (0.1, 0.2) of twenty pixels at the size that the network sees."""
    net = FlowNetS(depth=4, width=0.125).eval()
    with torch.no_grad():
        net.predict_flow2.weight.zero_()
        net.predict_flow2.bias.copy_(torch.tensor([0.1, 0.2]))
        image = torch.rand(1, 3, 48, 60)  # the network sees 48 x 64
        flow = estimate(net, image, image)
    wanted = torch.tensor([2.0 * 60 / 64, 4.0]).view(1, 2, 1, 1).expand(1, 2, 48, 60)
    torch.testing.assert_close(flow, wanted)


def test_a_small_network_learns_its_pairs():
    """Four textures, each moved its own way: the error falls to a fraction of that of no flow."""
    torch.manual_seed(0)
    net = FlowNetS(depth=3, width=0.25)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    texture = F.interpolate(torch.rand(4, 3, 12, 12), scale_factor=4, mode="bilinear")
    moves = [(5, 0), (-4, 3), (0, -6), (6, 6)]
    seconds = torch.stack(
        [t[:, 8 - dy : 40 - dy, 8 - dx : 40 - dx] for t, (dx, dy) in zip(texture, moves, strict=True)]
    )
    firsts = texture[:, :, 8:40, 8:40]
    truth = torch.tensor(moves).float()[:, :, None, None].expand(4, 2, 32, 32)
    for _ in range(60):
        loss = multi_scale_loss(net(firsts, seconds), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert all(p.grad is not None for p in net.parameters())
    with torch.no_grad():
        error = (estimate(net, firsts, seconds) - truth).norm(dim=1).mean()
        swapped = (estimate(net, seconds, firsts) - truth).norm(dim=1).mean()
    none = truth.norm(dim=1).mean()
    assert float(error) < 0.3 * float(none) and float(swapped) > 2 * float(error)
