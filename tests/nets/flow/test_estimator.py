"""All flow networks under one call, at any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite.nets.flow.estimator import estimator, flow_between
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.flownet2 import FlowNet2
from stad_lite.nets.flow.pwcnet import small_pwcnet
from stad_lite.nets.flow.spynet import SPyNet

NETWORKS = {
    "pwc-net": small_pwcnet,
    "flownet-s": lambda: FlowNetS(depth=3, width=0.125),
    "flownet2": lambda: FlowNet2(depth=3, width=0.125, reach=2),
    "spynet": lambda: SPyNet(depth=2, width=0.25),
}
SAYS = {
    "pwc-net": ("predict_flow2", 1 / 20),
    "flownet-s": ("predict_flow2", 1 / 20),
    "flownet2": ("flownetfusion.predict_flow0", 1),
    "spynet": ("levels.1.model.conv5", 1),
}
"""Network -> the layer that speaks last, and pixels in its unit."""
SILENT = ("dc_conv7", "levels.0.model.conv5")
"""What is added to that."""


@pytest.mark.parametrize("name", NETWORKS)
def test_pixels_are_those_of_the_image(name):
    """A network that says (2, 1) pixels at 48 x 32 means (1, .5) of an image of 24 x 16."""
    net, (layer, unit) = NETWORKS[name]().eval(), SAYS[name]
    with torch.no_grad():
        for part, parameter in net.named_parameters():
            if part.startswith((layer, *SILENT)):
                parameter.zero_()
        net.get_parameter(f"{layer}.bias").copy_(torch.tensor([2.0, 1.0]) * unit)
        images = torch.rand(2, 2, 3, 16, 24)
        own = flow_between(net, *images)
        enlarged = flow_between(net, *images, size=(32, 48))
    wanted = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1).expand(2, 2, 16, 24)
    torch.testing.assert_close(own, wanted)
    torch.testing.assert_close(enlarged, wanted / 2)


def test_an_estimator_takes_frames_as_they_are_read():
    net = small_pwcnet().eval()
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 36, 3), dtype=np.uint8)
    flow = estimator(net, (32, 64))(*frames)
    assert flow.shape == (20, 36, 2) and flow.dtype == np.float32
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        wanted = flow_between(net, images[:1], images[1:], (32, 64))[0]
    np.testing.assert_allclose(flow, wanted.permute(1, 2, 0).numpy(), atol=1e-6)
