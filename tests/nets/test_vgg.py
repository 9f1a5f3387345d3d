"""VGG16 and its dilated variant against the published layouts."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from stad_lite.anchors import RFB300
from stad_lite.errors import FormatError
from stad_lite.nets.vgg import VGG, DilatedVGG, Halve, RFBBackbone

# Place of each convolution in torchvision's vgg16().features, and its channels.
FEATURES = {
    0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256),
    17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512),
}  # fmt: skip
# The same of vgg16_reducedfc.pth: conv6 and conv7 instead of fc6 and fc7.
REDUCED = {place: (*channels, 3) for place, channels in FEATURES.items()} | {
    31: (512, 1024, 3),
    33: (1024, 1024, 1),
}
# Branches of RFB Net-E's blocks at 300: (in, out, kernel height, kernel width) in the order of their layers.
RFB_1024 = {
    "branch0": [(1024, 256, 1, 1), (256, 256, 3, 3)],
    "branch1": [(1024, 128, 1, 1), (128, 256, 3, 3), (256, 256, 3, 3)],
    "branch2": [(1024, 128, 1, 1), (128, 192, 3, 3), (192, 256, 3, 3), (256, 256, 3, 3)],
    "branch3": [(1024, 128, 1, 1), (128, 192, 1, 7), (192, 256, 7, 1), (256, 256, 3, 3)],
}
RFB_A = {
    "branch0": [(512, 64, 1, 1), (64, 64, 3, 3)],
    "branch1": [(512, 64, 1, 1), (64, 64, 3, 1), (64, 64, 3, 3)],
    "branch2": [(512, 64, 1, 1), (64, 64, 1, 3), (64, 64, 3, 3)],
    "branch3": [(512, 64, 1, 1), (64, 64, 3, 1), (64, 64, 3, 3)],
    "branch4": [(512, 64, 1, 1), (64, 64, 1, 3), (64, 64, 3, 3)],
    "branch5": [(512, 32, 1, 1), (32, 48, 1, 3), (48, 64, 3, 1), (64, 64, 3, 3)],
    "branch6": [(512, 32, 1, 1), (32, 48, 3, 1), (48, 64, 1, 3), (64, 64, 3, 3)],
}


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def shapes(net: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


def test_names_and_shapes_are_torchvision_s():
    with torch.device("meta"):
        found = shapes(VGG())
    wanted = {f"features.{n}.weight": (o, i, 3, 3) for n, (i, o) in FEATURES.items()}
    wanted |= {f"features.{n}.bias": (o,) for n, (_, o) in FEATURES.items()}
    assert found == wanted
    assert sum(torch.Size(s).numel() for s in found.values()) == 14_714_688


def test_step_s_map():
    with torch.device("meta"):
        net = VGG().eval()
    maps = net(meta(2, 3, 400, 400), ["conv4_3", "conv5_3"])
    assert tuple(maps["conv5_3"].shape) == (2, 512, 25, 25) and net.strides["conv5_3"] == 16
    assert tuple(maps["conv4_3"].shape) == (2, 512, 50, 50)
    with FlopCounterMode(display=False) as counter:
        net(meta(1, 3, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(
        15.35, abs=0.01
    )  # VGG16's 15.47 GMAC less its FCs


def test_flow_stacks_widen_the_first_layer_only():
    with torch.device("meta"):
        rgb, flow = shapes(VGG()), shapes(VGG(15))
    assert flow.pop("features.0.weight") == (64, 15, 3, 3)
    rgb.pop("features.0.weight")
    assert rgb == flow


def test_small_vgg():
    net = VGG(depth=(1, 2, 2), channels=(32, 32, 32), norm="group", last_dilation=2)
    convs = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convs) == 5 and convs[-1].dilation == (2, 2) and convs[-2].dilation == (1, 1)
    maps = net(torch.randn(2, 3, 64, 48))
    assert list(maps) == ["conv3_2"] and tuple(maps["conv3_2"].shape) == (2, 32, 16, 12)
    maps["conv3_2"].sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_an_end_point_is_the_relu_of_its_convolution():
    torch.manual_seed(0)
    net = VGG(width=0.0625, depth=(2, 1))
    image = torch.randn(1, 3, 8, 8)
    wanted = net.features[1](net.features[0](image))
    found = net(image, ["conv2_1", "conv1_1"])
    torch.testing.assert_close(found["conv1_1"], wanted)
    assert found["conv2_1"].min() == 0


def test_dilated_names_and_shapes():
    with torch.device("meta"):
        found = shapes(DilatedVGG())
    wanted = {f"{n}.weight": (o, i, k, k) for n, (i, o, k) in REDUCED.items()}
    assert found == wanted | {f"{n}.bias": (o,) for n, (_, o, _) in REDUCED.items()}
    assert sum(torch.Size(s).numel() for s in found.values()) == 20_483_904


def block_shapes(branches: dict, last: int, out: int, shortcut: int) -> dict[str, tuple[int, ...]]:
    convs = {f"{b}.{i}": (o, n, h, w) for b, cs in branches.items() for i, (n, o, h, w) in enumerate(cs)}
    convs |= {"ConvLinear": (out, last, 1, 1), "shortcut": (out, shortcut, 1, 1)}
    wanted = {f"{name}.conv.weight": shape for name, shape in convs.items()}
    for part in ("weight", "bias", "running_mean", "running_var"):
        wanted |= {f"{name}.bn.{part}": shape[:1] for name, shape in convs.items()}
    return wanted | {f"{name}.bn.num_batches_tracked": () for name in convs}


def test_receptive_field_blocks_are_the_table_s():
    with torch.device("meta"):
        net = RFBBackbone()
    assert shapes(net.extras[0]) == block_shapes(RFB_1024, 1024, 1024, 1024)
    assert shapes(net.extras[1]) == block_shapes(RFB_1024, 1024, 512, 1024)
    assert shapes(net.Norm) == block_shapes(RFB_A, 448, 512, 512)
    assert shapes(net.extras[2])["branch2.1.conv.weight"] == (
        96,
        64,
        3,
        3,
    )  # 512 / 8 = 64, half of it three times
    assert [m.dilation[0] for m in net.Norm.modules() if getattr(m, "kernel_size", 0) == (3, 3)] == [
        1, 3, 3, 5, 5, 7, 7,
    ]  # fmt: skip
    assert {m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.01}
    names = {name.split(".")[0] for name in shapes(net)}
    assert names == {"base", "reduce", "up_reduce", "Norm", "extras"}
    assert shapes(net)["base.31.weight"] == (1024, 512, 3, 3)


def test_maps_fit_the_default_boxes():
    with torch.device("meta"):
        net = RFBBackbone().eval()
    maps = net(meta(1, 3, 300, 300))
    assert [m.shape[1] for m in maps] == [512, 1024, 512, 256, 256, 256] == list(net.channels)
    assert tuple(m.shape[2] for m in maps) == tuple(m.shape[3] for m in maps) == RFB300.maps


def test_small_detector_backbone():
    net = RFBBackbone(width=0.125, depth=3, norm="group", base_norm="group")
    maps = net(torch.randn(2, 3, 96, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 12, 12), (128, 6, 6), (64, 3, 3)]
    sum(m.sum() for m in maps).backward()
    assert all(p.grad is not None for p in net.parameters())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())


def test_frozen_blocks():
    net = RFBBackbone(width=0.125, depth=2, frozen=True).train()
    before = net.reduce.bn.running_mean.clone()
    net(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(net.reduce.bn.running_mean, before, rtol=0, atol=0)


def test_bad_settings_are_refused():
    with pytest.raises(FormatError, match="conv9_9"):
        VGG(width=0.0625)(torch.zeros(1, 3, 32, 32), ["conv9_9"])
    with pytest.raises(FormatError, match="maps"):
        RFBBackbone(depth=7)
    with pytest.raises(FormatError, match="depth"):
        VGG(depth=())


@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_halving_is_max_pooling(size: tuple[int, int], form: torch.memory_format):
    maps = torch.randn(2, 3, *size).relu().contiguous(memory_format=form)
    pooled = torch.nn.functional.max_pool2d(maps, 2)
    assert torch.equal(Halve()(maps), pooled)
    assert torch.equal(Halve()(maps.requires_grad_()), pooled)
