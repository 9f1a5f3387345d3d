"""The network: sizes, anchors, time in the neck, early fusion, the paper's own parts."""

from dataclasses import replace

import pytest
import torch

from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.model import CfadNetwork
from stad_lite.cfad.system import CfadSystem
from tests.cfad.cases import batch, moving, system, truth


@pytest.mark.parametrize("stream", ["rgb", "early"])
def test_maps_are_of_single_frames_and_features_are_not(stream):
    one = system(stream=stream).network.eval()
    frames = torch.randn(1, 16, 3 if stream == "rgb" else 5, 48, 48)
    other = frames.clone()
    other[:, 8] = torch.randn_like(other[:, 8])
    maps, others = one.maps(frames), one.maps(other)
    assert maps.shape == (1, 16, 32, 12, 12)
    torch.testing.assert_close(maps[:, 7], others[:, 7])
    features, changed = one.features(maps), one.features(others)
    assert features.shape == (1, 16, 16, 6, 6)
    assert not torch.allclose(features[:, :, 7], changed[:, :, 7], atol=1e-4)


def test_anchors_stand_on_the_cells():
    one = system().network
    one.sizes.copy_(torch.tensor([[8.0, 16.0]] * 6))
    anchors = one.anchors(2, 3).reshape(2, 3, 6, 4)
    assert anchors[1, 2, 5].tolist() == [16.0, 4.0, 24.0, 20.0]
    again = CfadNetwork(one.config, 3)
    again.load_state_dict(one.state_dict())
    assert torch.equal(again.anchors(2, 3), one.anchors(2, 3))  # sizes are kept with the weights


def test_a_small_paper_network_trains_a_step_and_finds_tubes():
    config = replace(
        CfadConfig.paper(),
        size=(64, 64),
        length=32,
        samples=6,
        span_lengths=(16.0, 32.0),
        width=32,
        span_width=32,
    )
    torch.manual_seed(0)
    one = CfadSystem(config, ("a", "b"))
    items = batch(config, [truth([(4, moving(0, 20))], config)])
    items["frames"] = torch.randn(1, 32, 3, 64, 64)
    del items["maps"]
    terms = one.loss(items)
    sum(terms.values()).backward()
    learnt = [name for name, p in one.network.backbone.named_parameters() if p.grad is not None]
    assert learnt and all(torch.isfinite(value) for value in terms.values())
    (tubes,) = one.predict({"frames": items["frames"], "count": torch.tensor([40])})
    assert all(tube.end <= 40 for tube in tubes)


def test_the_papers_sizes():
    config = CfadConfig.paper()
    assert (config.length, config.samples, config.order, config.segment, config.sigma) == (96, 16, 4, 6, 0.8)
    with torch.device("meta"):
        network = CfadNetwork(config, 24)
    assert sum(p.numel() for p in network.parameters()) == 79_811_148  # as the docstring of paper() says
