"""FlowNet2 against the published table of layers, its stack against a literal account of what parts see."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from stad_lite.errors import FormatError
from stad_lite.nets.flow.flownet import FlowNetC, FlowNetSD
from stad_lite.nets.flow.flownet2 import FlowNet2
from stad_lite.nets.flow.warping import resize_flow

# Weights of NVIDIA/flownet2-pytorch bce69c8 (networks/FlowNetC.py, FlowNetSD.py, FlowNetFusion.py).
DECODER = {
    "deconv5.0": (1024, 512, 4, 4), "deconv4.0": (1026, 256, 4, 4), "deconv3.0": (770, 128, 4, 4),
    "deconv2.0": (386, 64, 4, 4),
    **{f"upsampled_flow{level}_to_{level - 1}": (2, 2, 4, 4) for level in (6, 5, 4, 3)},
}  # fmt: skip
COARSE = {
    "conv4.0": (512, 256, 3, 3), "conv4_1.0": (512, 512, 3, 3), "conv5.0": (512, 512, 3, 3),
    "conv5_1.0": (512, 512, 3, 3), "conv6.0": (1024, 512, 3, 3), "conv6_1.0": (1024, 1024, 3, 3),
}  # fmt: skip
PREDICT = {6: 1024, 5: 1026, 4: 770, 3: 386, 2: 194}
FLOWNET_C = {
    "conv1.0": (64, 3, 7, 7), "conv2.0": (128, 64, 5, 5), "conv3.0": (256, 128, 5, 5),
    "conv_redir.0": (32, 256, 1, 1), "conv3_1.0": (256, 473, 3, 3),
    **{f"predict_flow{level}": (2, inside, 3, 3) for level, inside in PREDICT.items()},
    **COARSE, **DECODER,
}  # fmt: skip
FLOWNET_SD = {
    "conv0.0": (64, 6, 3, 3), "conv1.0": (64, 64, 3, 3), "conv1_1.0": (128, 64, 3, 3),
    "conv2.0": (128, 128, 3, 3), "conv2_1.0": (128, 128, 3, 3), "conv3.0": (256, 128, 3, 3),
    "conv3_1.0": (256, 256, 3, 3),
    "inter_conv5.0": (512, 1026, 3, 3), "inter_conv4.0": (256, 770, 3, 3),
    "inter_conv3.0": (128, 386, 3, 3), "inter_conv2.0": (64, 194, 3, 3),
    "predict_flow6": (2, 1024, 3, 3), "predict_flow5": (2, 512, 3, 3), "predict_flow4": (2, 256, 3, 3),
    "predict_flow3": (2, 128, 3, 3), "predict_flow2": (2, 64, 3, 3),
    **COARSE, **DECODER,
}  # fmt: skip
FUSION = {
    "conv0.0": (64, 11, 3, 3), "conv1.0": (64, 64, 3, 3), "conv1_1.0": (128, 64, 3, 3),
    "conv2.0": (128, 128, 3, 3), "conv2_1.0": (128, 128, 3, 3),
    "deconv1.0": (128, 32, 4, 4), "deconv0.0": (162, 16, 4, 4),
    "inter_conv1.0": (32, 162, 3, 3), "inter_conv0.0": (16, 82, 3, 3),
    "predict_flow2": (2, 128, 3, 3), "predict_flow1": (2, 32, 3, 3), "predict_flow0": (2, 16, 3, 3),
    "upsampled_flow2_to_1": (2, 2, 4, 4), "upsampled_flow1_to_0": (2, 2, 4, 4),
}  # fmt: skip
STRIDES = {"conv1": 2, "conv2": 2, "conv3": 2, "conv4": 2, "conv5": 2, "conv6": 2}


@pytest.fixture(scope="module")
def published() -> FlowNet2:
    with torch.device("meta"):
        return FlowNet2()


@pytest.mark.parametrize(
    ("part", "table"), [("flownetc", FLOWNET_C), ("flownets_d", FLOWNET_SD), ("flownetfusion", FUSION)]
)
def test_layers_are_the_published_ones(published, part, table):
    net = published.get_submodule(part)
    state = net.state_dict()
    assert {k.removesuffix(".weight"): tuple(v.shape) for k, v in state.items() if "weight" in k} == table
    assert {name.removesuffix(".bias") for name in state if name.endswith(".bias")} == set(table)
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            assert module.stride[0] == STRIDES.get(name.removesuffix(".0"), 1), name
            assert module.padding[0] == module.kernel_size[0] // 2
    activated = [name for name, module in net.named_modules() if isinstance(module, torch.nn.LeakyReLU)]
    wanted = {f"{name.removesuffix('.0')}.1" for name in table if name.startswith(("conv", "deconv"))}
    assert set(activated) == wanted  # none behind inter_conv and predictions


def test_parameters_are_as_many_as_published(published):
    """The head of the published models.py counts 162,518,834."""
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in published.named_children()}
    assert counts["flownetc"] == 39_175_298 and counts["flownets_d"] == 45_371_666
    assert counts["flownets_1"] == counts["flownets_2"] == 38_676_506 + 6 * 64 * 7 * 7
    assert counts["flownetfusion"] == 581_226 and sum(counts.values()) == 162_518_834
    images = torch.empty(1, 3, 300, 300, device="meta")
    assert published(images, images).shape == (1, 2, 300, 300)
    with pytest.raises(FormatError, match="levels"):
        FlowNet2(depth=2)


def test_flownet_c_sees_the_first_image_and_every_second_displacement():
    net, seen = FlowNetC(depth=3, width=0.125, reach=4), []
    net.conv3_1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    first, second = torch.rand(2, 1, 3, 24, 32)
    net.flows(torch.cat([first, second], 1))
    ones, twos = (net.conv3(net.conv2(net.conv1(image))) for image in (first, second))
    torch.testing.assert_close(seen[0][:, :4], net.conv_redir(ones))
    height, width = ones.shape[2:]
    for y in range(height):
        for x in range(width):
            for row, dy in enumerate((-4, -2, 0, 2, 4)):
                for column, dx in enumerate((-4, -2, 0, 2, 4)):
                    cost = torch.zeros(1)
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        cost = (ones[:, :, y, x] * twos[:, :, y + dy, x + dx]).mean(1)
                    cost = torch.where(cost < 0, 0.1 * cost, cost)
                    torch.testing.assert_close(seen[0][:, 4 + 5 * row + column, y, x], cost)


def test_flownet_c_s_finest_flow_sees_the_first_image():
    net, seen = FlowNetC(depth=3, width=0.125, reach=2), []
    net.predict_flow2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    first, second = torch.rand(2, 1, 3, 16, 24)
    net.flows(torch.cat([first, second], 1))
    torch.testing.assert_close(seen[0][:, :16], net.conv2(net.conv1(first)))


def test_small_motion_is_smoothed_before_every_prediction():
    net, seen = FlowNetSD(depth=3, width=0.125), {}
    for name in ("inter_conv2", "predict_flow2", "conv2_1", "deconv2", "upsampled_flow3_to_2"):
        net.get_submodule(name).register_forward_hook(
            lambda _, inputs, out, name=name: seen.__setitem__(name, (inputs[0], out))
        )
    net.flows(torch.rand(1, 6, 16, 24))
    assert seen["predict_flow2"][0] is seen["inter_conv2"][1]
    parts = [seen[name][1] for name in ("conv2_1", "deconv2", "upsampled_flow3_to_2")]
    torch.testing.assert_close(seen["inter_conv2"][0], torch.cat(parts, 1))


def shifted(image: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Every place's colour at a whole displacement, that of the border beyond it."""
    got, (height, width) = torch.empty_like(image), image.shape[2:]
    for y in range(height):
        for x in range(width):
            dx, dy = (round(float(part)) for part in flow[0, :, y, x])
            got[:, :, y, x] = image[:, :, min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)]
    return got


def test_every_part_sees_what_the_published_stack_shows_it():
    """All parts say constants: C (4, 0), S1 (0, -3), S2 (2, 1) and SD (-1, 2) pixels of the input."""
    net, seen = FlowNet2(depth=3, width=0.125, reach=2).eval(), {}
    said = {"flownetc": (4, 0), "flownets_1": (0, -3), "flownets_2": (2, 1), "flownets_d": (-1, 2)}
    first_layers = {
        "flownets_1": "conv1",
        "flownets_2": "conv1",
        "flownets_d": "conv0",
        "flownetfusion": "conv0",
    }
    with torch.no_grad():
        for part, (dx, dy) in said.items():
            head = net.get_submodule(part).predict_flow2
            head.weight.zero_()
            unit = 20.0 if part == "flownets_d" else 1 / 20.0
            head.bias.copy_(torch.tensor([dx, dy]) * unit)
        for part, name in first_layers.items():
            net.get_submodule(f"{part}.{name}").register_forward_pre_hook(
                lambda _, inputs, part=part: seen.__setitem__(part, inputs[0])
            )
        first, second = torch.rand(2, 1, 3, 16, 24)
        net(first, second)
    mean = (first + second).mean((2, 3), keepdim=True) / 2
    one, two = first - mean, second - mean
    fields = {part: torch.tensor(v).float().view(1, 2, 1, 1).expand(1, 2, 16, 24) for part, v in said.items()}
    for part, before in (("flownets_1", "flownetc"), ("flownets_2", "flownets_1")):
        warped = shifted(two, fields[before])
        left = (one - warped).square().sum(1, keepdim=True).sqrt()
        wanted = torch.cat([one, two, warped, fields[before] / 20, left], 1)
        torch.testing.assert_close(seen[part], wanted, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen["flownets_d"], torch.cat([one, two], 1))
    small, large = fields["flownets_d"], fields["flownets_2"]
    lengths = [flow.square().sum(1, keepdim=True).sqrt() for flow in (small, large)]
    left = [(one - shifted(two, flow)).square().sum(1, keepdim=True).sqrt() for flow in (small, large)]
    wanted = torch.cat([one, small, large, *lengths, *left], 1)
    torch.testing.assert_close(seen["flownetfusion"], wanted, atol=1e-5, rtol=1e-4)


def test_the_fused_flow_comes_back_at_the_image_s_size():
    net = FlowNet2(depth=3, width=0.125, reach=2).eval()
    with torch.no_grad():
        net.flownetfusion.predict_flow0.weight.zero_()
        net.flownetfusion.predict_flow0.bias.copy_(torch.tensor([3.0, -2.0]))
        image = torch.rand(1, 3, 20, 24)  # the network sees 24 x 24
        flow = net(image, image)
    constant = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 24, 24)
    torch.testing.assert_close(flow, resize_flow(constant, 20, 24))


def test_the_first_two_flows_are_lifted_smoothly_and_the_last_two_repeat():
    net, seen = FlowNet2(depth=3, width=0.125, reach=2).eval(), {}
    for part, name in (("flownets_1", "conv1"), ("flownets_2", "conv1"), ("flownetfusion", "conv0")):
        net.get_submodule(f"{part}.{name}").register_forward_pre_hook(
            lambda _, inputs, part=part: seen.__setitem__(part, inputs[0])
        )
    with torch.no_grad():
        net(*torch.rand(2, 1, 3, 16, 24))

    def repeats(flow: torch.Tensor) -> bool:
        return torch.equal(flow, flow[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3))

    assert not repeats(seen["flownets_1"][:, 9:11]) and not repeats(seen["flownets_2"][:, 9:11])
    assert repeats(seen["flownetfusion"][:, 3:5]) and repeats(seen["flownetfusion"][:, 5:7])


def test_all_parts_learn():
    net = FlowNet2(depth=3, width=0.125, reach=2)
    first, second = F.interpolate(torch.rand(2, 3, 6, 6), size=(24, 24)).split(1)
    net(first, second).square().sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
