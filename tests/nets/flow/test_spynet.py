"""SPyNet: the published weights on the pairs that their authors gave, and the network's shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stad_lite.data.flow import end_point_error
from stad_lite.data.flying_chairs import read_pairs
from stad_lite.nets.flow.estimator import estimator
from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.weights import load, read_spynet


@pytest.fixture(scope="module")
def trained(stad_data: Path) -> SPyNet:
    folder = stad_data / "weights" / "spynet"
    if not folder.is_dir():
        pytest.skip("no SPyNet weights here")
    net = SPyNet().eval()
    report = load(net, read_spynet(folder))
    assert len(report.loaded) == 50 and not (report.unused or report.missing)
    return net


@pytest.mark.parametrize(("pair", "zero", "wanted"), [("00001", 4.306, 1.24), ("00002", 2.113, 0.528)])
def test_published_weights_on_flying_chairs(trained, stad_data, pair, zero, wanted):
    """Measured once with the weights' own code: end-point errors 1.24 and 0.528 pixels."""
    if not (stad_data / "flow").is_dir():
        pytest.skip("no FlyingChairs pairs here")
    first, second, truth = read_pairs()[pair]
    assert end_point_error(0 * truth, truth) == pytest.approx(zero, abs=1e-3)
    assert end_point_error(estimator(trained)(first, second), truth) == pytest.approx(wanted, abs=1e-3)
    swapped = estimator(trained)(first[..., ::-1], second[..., ::-1])
    assert end_point_error(swapped, truth) > wanted + 5e-4  # red and blue are not the same to it


def test_published_weights_at_another_size(trained):
    """A texture moved by (3, 2) pixels, at a size that no level divides."""
    torch.manual_seed(0)
    texture = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 28), scale_factor=6, mode="bicubic").clamp(
        0, 1
    )
    first, second = texture[:, :, 10:111, 10:147], texture[:, :, 8:109, 7:144]
    with torch.no_grad():
        flow = trained(first, second)
    assert flow.shape == (1, 2, 101, 137)
    inner = flow[0, :, 15:-15, 15:-15].flatten(1).median(1).values
    torch.testing.assert_close(inner, torch.tensor([3.0, 2.0]), atol=0.4, rtol=0)


def test_a_level_only_corrects():
    """With all corrections zero the flow is zero; a constant one of the coarsest level doubles each time."""
    net = SPyNet(depth=3, width=0.25)
    with torch.no_grad():
        for level in net.levels:
            level.model.conv5.weight.zero_()
            level.model.conv5.bias.zero_()
        images = torch.rand(2, 3, 16, 24)
        assert not net(images, images).any()
        net.levels[0].model.conv5.bias.copy_(torch.tensor([1.0, -0.5]))
        wanted = torch.tensor([4.0, -2.0]).view(1, 2, 1, 1).expand(2, 2, 16, 24)
        torch.testing.assert_close(net(images, images), wanted)


def test_parameters_and_widths():
    with torch.device("meta"):
        net = SPyNet()
    assert sum(p.numel() for p in net.parameters()) == 5 * 240_050  # 1.2 M, as the paper says
    assert tuple(net.state_dict()["levels.4.model.conv2.weight"].shape) == (64, 32, 7, 7)
    small = SPyNet(depth=2, width=0.25)
    flow = small(torch.rand(1, 3, 10, 14), torch.rand(1, 3, 10, 14))
    flow.sum().backward()
    assert flow.shape == (1, 2, 10, 14) and all(p.grad is not None for p in small.parameters())
