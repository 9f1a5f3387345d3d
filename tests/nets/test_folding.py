"""Networks made ready for inference answer as before, from fewer operations."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stad_lite.nets.folding import FlatPool, WideUnit, fold, folded
from stad_lite.nets.i3d import I3D, SamePool3D
from stad_lite.nets.layers import ConvNorm, pad, same_padding
from stad_lite.nets.vgg import RFBBackbone


def stirred(network: nn.Module) -> nn.Module:
    """The network with statistics and factors of batch norms as training leaves them."""
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(part.running_mean, -0.3, 0.3)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.3, 0.3)
    return network.eval()


@pytest.mark.parametrize(("dims", "bias"), [*product((1, 2, 3), (True, False))])
def test_a_convolution_takes_its_norm_in(dims: int, bias: bool) -> None:
    torch.manual_seed(0)
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1](3, 4, 3, padding=1, bias=bias)
    norm = stirred((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dims - 1](4))
    maps = torch.randn(2, 3, *[5] * dims)
    torch.testing.assert_close(fold(conv, norm)(maps), norm(conv(maps)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "multiple", "norm"), [(3, 1, "batch"), (2, 4, "batch"), (3, 8, "group")]
)
def test_i3d_answers_as_before(channels: int, multiple: int, norm: str) -> None:
    torch.manual_seed(0)
    net = stirred(I3D(channels, width=0.125, norm=norm))
    clips, names = torch.randn(1, channels, 10, 34, 40), ["Conv3d_1a_7x7", "Mixed_3c", "Mixed_5c"]
    quick = folded(net, multiple)
    with torch.no_grad():
        expected, found = net(clips, names), quick(clips, names)
        last = quick(clips.contiguous(memory_format=torch.channels_last_3d), names)["Mixed_3c"]
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(last, expected["Mixed_3c"], rtol=1e-5, atol=1e-5)
    kinds = [type(part) for part in quick.modules()]
    assert not {nn.BatchNorm3d} & set(kinds) and kinds.count(FlatPool) >= 4 and kinds.count(WideUnit) == 1
    ones = [m for m in quick.modules() if isinstance(m, nn.Conv3d) and m.kernel_size == (1, 1, 1)]
    assert len(ones) == 1 + 9 * (2 if norm == "batch" else 4)
    assert not any(p.requires_grad for p in quick.parameters()) and any(
        p.requires_grad for p in net.parameters()
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: RFBBackbone(width=0.125, depth=3),
        lambda: nn.Sequential(ConvNorm(3, 4, 3), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
    ],
)
def test_other_networks_are_folded_too(build) -> None:
    torch.manual_seed(0)
    net = stirred(build())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = net(images), folded(net)(images)
    pairs = zip(found, expected, strict=True) if isinstance(expected, list) else [(found, expected)]
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded(net).modules())


KERNELS = [
    ((1, 3, 3), (1, 2, 2)),
    ((3, 3, 3), (2, 2, 2)),
    ((2, 2, 2), (2, 2, 2)),
    ((3, 3, 3), (1, 1, 1)),
    ((2, 2, 2), (1, 1, 1)),
]


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_pools_without_a_copy_are_those_of_filled_up_maps(kernel, stride) -> None:
    torch.manual_seed(0)
    for size in product((4, 5), (6, 7), (8, 9)):
        maps = torch.randn(2, 3, *size).relu()
        sides = same_padding(size, kernel, stride)
        expected = F.max_pool3d(pad(maps, sides), kernel, stride)
        pool = SamePool3D(kernel, stride)
        assert torch.equal(pool(maps), expected) and torch.equal(FlatPool(pool)(maps), expected)
