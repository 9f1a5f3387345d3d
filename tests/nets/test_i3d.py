"""I3D against the published table of layers, names and shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from stad_lite.errors import FormatError
from stad_lite.nets.i3d import END_POINTS, I3D, MIXED, SamePool3D, Unit3D
from stad_lite.nets.layers import fixed_padding, same_padding

# End point -> channels, (t, h, w) of 64 frames of 224 x 224: Quo Vadis Fig. 3 with the strides written there.
TABLE = {
    "Conv3d_1a_7x7": (64, 32, 112), "MaxPool3d_2a_3x3": (64, 32, 56), "Conv3d_2b_1x1": (64, 32, 56),
    "Conv3d_2c_3x3": (192, 32, 56), "MaxPool3d_3a_3x3": (192, 32, 28),
    "Mixed_3b": (256, 32, 28), "Mixed_3c": (480, 32, 28), "MaxPool3d_4a_3x3": (480, 16, 14),
    "Mixed_4b": (512, 16, 14), "Mixed_4c": (512, 16, 14), "Mixed_4d": (512, 16, 14),
    "Mixed_4e": (528, 16, 14), "Mixed_4f": (832, 16, 14), "MaxPool3d_5a_2x2": (832, 8, 7),
    "Mixed_5b": (832, 8, 7), "Mixed_5c": (1024, 8, 7),
}  # fmt: skip
# Shapes of some tensors as pytorch-i3d's rgb_imagenet.pt stores them.
SHAPES = {
    "Conv3d_1a_7x7.conv3d.weight": (64, 3, 7, 7, 7),
    "Conv3d_1a_7x7.bn.running_var": (64,),
    "Conv3d_2c_3x3.conv3d.weight": (192, 64, 3, 3, 3),
    "Mixed_3b.b1b.conv3d.weight": (128, 96, 3, 3, 3),
    "Mixed_4e.b2a.conv3d.weight": (32, 512, 1, 1, 1),
    "Mixed_4f.b0.conv3d.weight": (256, 528, 1, 1, 1),
    "Mixed_5b.b3b.bn.weight": (128,),
    "Mixed_5c.b2b.conv3d.weight": (128, 48, 3, 3, 3),
    "logits.conv3d.weight": (400, 1024, 1, 1, 1),
    "logits.conv3d.bias": (400,),
}


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def on_meta(*args, **options) -> I3D:
    with torch.device("meta"):
        return I3D(*args, **options).eval()


def test_shapes_are_those_of_the_table():
    found = on_meta()(meta(2, 3, 64, 224, 224), END_POINTS)
    assert list(found) == list(END_POINTS) == list(TABLE)
    for name, (channels, time, space) in TABLE.items():
        assert tuple(found[name].shape) == (2, channels, time, space, space), name


@pytest.mark.parametrize(
    ("size", "end_point", "wanted"),
    [
        ((256, 96, 96), "Mixed_3c", (480, 128, 12, 12)),  # SP-TAD
        ((256, 96, 96), "Mixed_4f", (832, 64, 6, 6)),
        ((256, 96, 96), "Mixed_5c", (1024, 32, 3, 3)),
        ((96, 224, 224), "Mixed_5b", (832, 12, 7, 7)),  # CFAD
        ((36, 400, 400), "Mixed_4f", (832, 9, 25, 25)),  # STEP on AVA
        ((16, 320, 427), "Conv3d_2c_3x3", (192, 8, 80, 107)),  # PCSC: rounded up
        ((16, 320, 427), "Mixed_5c", (1024, 2, 10, 14)),
    ],
)
def test_shapes_in_the_papers(size, end_point, wanted):
    net = on_meta()
    found = net(meta(1, 3, *size), [end_point])[end_point]
    assert tuple(found.shape[1:]) == wanted
    time, space = net.strides[end_point]
    assert wanted[1:] == tuple(-(-n // s) for n, s in zip(size, (time, space, space), strict=True))
    assert net.channels[end_point] == wanted[0]


def test_parameters_have_the_published_names_shapes_and_count():
    state = on_meta(num_classes=400).state_dict()
    units = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"]
    units += [f"{block}.{branch}" for block in MIXED for branch in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")]
    parts = ["conv3d.weight", *(f"bn.{n}" for n in ("weight", "bias", "running_mean", "running_var"))]
    wanted = {f"{unit}.{part}" for unit in units for part in [*parts, "bn.num_batches_tracked"]}
    assert set(state) == wanted | {"logits.conv3d.weight", "logits.conv3d.bias"}
    for name, shape in SHAPES.items():
        assert tuple(state[name].shape) == shape, name


def test_parameters_are_counted_by_hand():
    """Weights of every convolution and two numbers per channel of its norm, summed from the table."""
    total = 64 * 3 * 343 + 64 * 64 + 192 * 64 * 27 + 2 * (64 + 64 + 192)
    channels = 192
    for b0, b1a, b1b, b2a, b2b, b3b in MIXED.values():
        total += channels * (b0 + b1a + b2a + b3b) + 27 * (b1a * b1b + b2a * b2b)
        total += 2 * (b0 + b1a + b1b + b2a + b2b + b3b)
        channels = b0 + b1b + b2b + b3b
    counted = sum(p.numel() for p in on_meta().parameters())
    assert counted == total == 12_287_264  # 12.29 M
    with_classes = sum(p.numel() for p in on_meta(num_classes=400).parameters())
    assert with_classes == total + 1024 * 400 + 400
    assert sum(p.numel() for p in on_meta(2).parameters()) == total - 64 * 343


def test_operations():
    """163 GFLOP for 256 x 96 x 96, two a multiplication and addition, counted by torch on the meta device."""
    net = on_meta()
    with FlopCounterMode(display=False) as counter:
        net(meta(1, 3, 256, 96, 96))
    assert counter.get_total_flops() / 1e9 == pytest.approx(163.3, abs=0.1)


def convolved(clip: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """One axis, SAME: output i is centred so that what is missing is shared, the odd one at the end."""
    n, k = len(clip), len(kernel)
    outputs = -(-n // stride)
    missing = max((outputs - 1) * stride + k - n, 0)
    padded = np.concatenate([np.zeros(missing // 2), clip, np.zeros(missing - missing // 2)])
    return np.array([padded[i * stride : i * stride + k] @ kernel for i in range(outputs)])


@pytest.mark.parametrize(
    ("n", "k", "stride"), list(itertools.product((1, 4, 5, 7, 8), (1, 2, 3, 7), (1, 2, 3)))
)
def test_same_padding_in_time(n, k, stride):
    random = np.random.default_rng(0)
    clip, kernel = random.normal(size=n), random.normal(size=k)
    unit = Unit3D(1, 1, (k, 1, 1), (stride, 1, 1), norm="none", activation=False).double()
    with torch.no_grad():
        unit.conv3d.weight.copy_(torch.tensor(kernel).reshape(1, 1, k, 1, 1))
        unit.conv3d.bias.zero_()
        out = unit(torch.tensor(clip).reshape(1, 1, n, 1, 1)).flatten().numpy()
    np.testing.assert_allclose(out, convolved(clip, kernel, stride), atol=1e-12)


@pytest.mark.parametrize("size", [8, 9, 25, 26, 28])
@pytest.mark.parametrize(
    ("kernel", "stride"), [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))]
)
def test_pools_pad_zeros(size, kernel, stride):
    maps = torch.rand(1, 2, 5, size, size, generator=torch.Generator().manual_seed(0))
    sides = same_padding(maps.shape[2:], kernel, stride)
    flat = [n for pair in reversed(sides) for n in pair]
    torch.testing.assert_close(
        SamePool3D(kernel, stride)(maps), F.max_pool3d(F.pad(maps, flat), kernel, stride), rtol=0, atol=0
    )
    assert SamePool3D(kernel, stride)(maps).shape[-1] == -(-size // stride[-1])


def test_paddings_agree_where_the_strides_divide():
    torch.manual_seed(0)
    net = I3D(width=0.125, blocks=("Mixed_3b", "Mixed_4f", "Mixed_5c")).eval()
    other = I3D(width=0.125, blocks=("Mixed_3b", "Mixed_4f", "Mixed_5c"), padding="fixed").eval()
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        clip = torch.randn(1, 3, 16, 32, 32)
        for name, maps in net(clip, net.names).items():
            torch.testing.assert_close(other(clip, [name])[name], maps)
        clip = torch.randn(1, 3, 16, 50, 50)  # 25 cells after the first layer: pooled by 3 / 2
        ours, theirs = (n(clip, ["MaxPool3d_2a_3x3"])["MaxPool3d_2a_3x3"] for n in (net, other))
    assert ours.shape == theirs.shape and not torch.allclose(ours, theirs)


def test_fixed_pool_is_that_of_the_ports():
    """Pad kernel - stride (the odd one at the end), then pool, rounding up."""
    maps = torch.rand(1, 1, 4, 25, 25)
    wanted = F.max_pool3d(F.pad(maps, (0, 1, 0, 1)), (1, 3, 3), (1, 2, 2), ceil_mode=True)
    torch.testing.assert_close(SamePool3D((1, 3, 3), (1, 2, 2), "fixed")(maps), wanted)
    assert fixed_padding((1, 3, 3), (1, 2, 2)) == [(0, 0), (0, 1), (0, 1)]


def test_small_networks_are_the_same_class():
    net = I3D(
        2, width=0.125, blocks=("Mixed_3c", "Mixed_5b"), norm="group", strides={"MaxPool3d_5a_2x2": (1, 1, 1)}
    )
    maps = net(torch.randn(2, 2, 8, 33, 32), ["Mixed_3c", "Mixed_5b"])
    assert net.strides["Mixed_5b"] == (4, 16) and net.channels["Mixed_5b"] == 104
    assert tuple(maps["Mixed_5b"].shape) == (2, 104, 2, 3, 2)
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for m in net.modules())
    maps["Mixed_5b"].sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_clip_s_features_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    net = I3D(width=0.125, blocks=("Mixed_3c",), final="Mixed_3c", norm="group").train()
    clips = torch.randn(3, 3, 4, 16, 16)
    together = net(clips)["Mixed_3c"]
    torch.testing.assert_close(together[1:2], net(clips[1:2])["Mixed_3c"], atol=1e-3, rtol=1e-3)


def test_frozen_norms_stay_frozen():
    net = I3D(width=0.125, blocks=("Mixed_3b",), final="Mixed_3b", frozen=True).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(torch.randn(2, 3, 4, 16, 16))["Mixed_3b"].sum().backward()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    grads = {name for name, p in net.named_parameters() if p.grad is not None}
    assert grads and not any(".bn." in name for name in grads)
    assert net.training and not net.Mixed_3b.b0.bn.training
    assert net.Mixed_3b.b0.bn.eps == 1e-3
    thawed = I3D(width=0.125, blocks=("Mixed_3b",), final="Mixed_3b").train()
    assert thawed.Mixed_3b.b0.bn.training


def test_classifier_averages_pairs_of_steps():
    torch.manual_seed(0)
    net = I3D(width=0.125, blocks=("Mixed_5c",), norm="group", num_classes=5).eval()
    clip = torch.randn(2, 3, 32, 64, 64)
    with torch.no_grad():
        maps = net(clip)["Mixed_5c"].mean((3, 4))  # (2, c, 4)
        pairs = (maps[:, :, :-1] + maps[:, :, 1:]) / 2
        weight = net.logits.conv3d.weight[:, :, 0, 0, 0]
        wanted = torch.einsum("kc,bct->bkt", weight, pairs).mean(2) + net.logits.conv3d.bias
        torch.testing.assert_close(net.classify(clip), wanted, atol=1e-5, rtol=1e-4)
        assert net.classify(clip[:, :, :8]).shape == (2, 5)


def test_unknown_names_are_refused():
    with pytest.raises(FormatError, match="Mixed3d"):
        I3D(final="Mixed3d")
    net = on_meta(final="Mixed_4f")
    with pytest.raises(FormatError, match="Mixed_5c"):
        net(meta(1, 3, 8, 32, 32), ["Mixed_5c"])
    with pytest.raises(FormatError, match="num_classes"):
        net.classify(meta(1, 3, 8, 32, 32))
