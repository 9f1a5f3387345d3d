"""The whole network: one backbone for both streams, nothing computed twice, no wait for the device."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.model import FlowSubnetNetwork
from tests.flow_subnet.cases import network, sequences, video


def test_both_streams_run_through_the_same_weights():
    """Eq. 3 and 4: one set of parameters, one storage, one gradient of both."""
    net = network().train()
    seen: list[Tensor] = []
    net.backbone.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    said = net(sequences(video(3)))
    assert len(seen) == 2 and seen[0].shape == seen[1].shape == (1, 3, 48, 48)
    torch.testing.assert_close(seen[0], net.appearance(sequences(video(3))[:, 1].float() / 255))
    storages = Counter(parameter.data_ptr() for parameter in net.parameters())
    assert max(storages.values()) == 1
    names = [name for name, _ in net.named_parameters()]
    assert sum("base.features.0.weight" in name for name in names) == 1
    said.scores.sum().backward()
    assert all(parameter.grad is not None for parameter in net.backbone.parameters())


@pytest.mark.parametrize("part", ["appearance", "motion"])
def test_each_stream_moves_the_shared_weights(part):
    """With the other stream's maps cut off, the backbone still learns from this one."""
    net = network().train()
    appearance = net.appearance(torch.rand(1, 3, 48, 48))
    motion = net.motion.image(torch.randn(1, 4, 48, 48))
    maps = list(net.maps(appearance, motion))
    other = 1 if part == "appearance" else 0
    maps[other] = [level.detach() for level in maps[other]]
    net.head(*net.fused(*maps))[0].sum().backward()
    assert net.backbone.base.features[0].weight.grad.abs().sum() > 0


def test_a_long_sequence_is_many_short_ones():
    net, frames = network(), sequences(video(6))
    whole = net(frames)
    assert whole.scores.shape[1] == 4
    for middle in range(1, 5):
        one = net(frames[:, middle - 1 : middle + 2])
        torch.testing.assert_close(whole.scores[:, middle - 1], one.scores[:, 0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(whole.offsets[:, middle - 1], one.offsets[:, 0], rtol=1e-4, atol=1e-5)


def test_every_pyramid_and_every_pair_is_computed_once():
    net = network()
    calls: Counter[str] = Counter()

    def counted(name: str, method: Any) -> Any:
        def call(*inputs: Any) -> Any:
            calls[name] += len(inputs[0]) if isinstance(inputs[0], Tensor) else len(inputs[0][0])
            return method(*inputs)

        return call

    flow_net = net.motion.net
    flow_net.pyramid = counted("pyramid", flow_net.pyramid)
    flow_net.match = counted("match", flow_net.match)
    net(sequences(video(6)))
    assert calls == {"pyramid": 6, "match": 5}


SETTINGS: dict[str, dict[str, Any]] = {
    "base": {},
    "pyramid": {"fusion": "pyramid"},
    "appearance": {"fusion": "appearance"},
    "released": {"pairs": "released", "vectors": "raw", "encoder": "norm", "convolutions": "separate",
                 "supervision": "none"},
    "spynet": {"estimator": "spynet"},
    "flownets": {"estimator": "flownets"},
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_forward_is_one_graph_without_a_wait(name, monkeypatch):
    """No .item(), .tolist(), .cpu(), and no shape that depends on what is seen: one graph, unbroken."""
    net = network(**SETTINGS[name])
    calls: list[str] = []
    for waits in ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__"):
        kept = getattr(Tensor, waits)

        def watched(self: Tensor, *inputs: Any, name: str = waits, kept: Any = kept) -> Any:
            calls.append(name)
            return kept(self, *inputs)

        monkeypatch.setattr(Tensor, waits, watched)
    frames = sequences(video(3))
    with torch.no_grad():
        plain = net(frames)
    assert calls == []
    monkeypatch.undo()
    torch._dynamo.reset()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    with torch.no_grad():
        found = compiled(frames)
    torch.testing.assert_close(found.scores, plain.scores)


def swapped(net: FlowSubnetNetwork, path: str, part: Any) -> None:
    """Put another thing in the place of a part."""
    parent, _, name = path.rpartition(".")
    owner = net.get_submodule(parent) if parent else net
    if name in owner._modules:
        owner._modules[name] = part
    else:
        setattr(owner, name, part)


class Same(nn.Module):
    """Gives back its first input."""

    def forward(self, first: Any, *others: Any) -> Any:
        return first


class Levels(nn.Module):
    """Gives the maps of a backbone with one level in another's place."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.backbone(images)
        return [maps[0], maps[1].flip(3), *maps[2:]]


PARTS: dict[str, Any] = {
    "the flow network: no motion": lambda net: setattr(
        net.motion, "between", lambda a, b: [torch.zeros(len(a[0]), 2, 12, 12)]
    ),
    "the flow network fed the second frame twice": lambda net: setattr(
        net.motion, "between", lambda a, b, kept=net.motion.between: kept(b, b)
    ),
    "the pairs in the other order": lambda net: setattr(
        net.motion, "between", lambda a, b, kept=net.motion.between: kept(b, a)
    ),
    "the convolution that fuses fields": lambda net: swapped(
        net, "motion.encoder", lambda fields: fields[:, :3]
    ),
    "the first field only": lambda net: setattr(
        net.motion, "image", lambda f, kept=net.motion.image: kept(torch.cat([f[:, :2], f[:, :2]], 1))
    ),
    "the backbone's fine block": lambda net: swapped(net, "backbone.fine", Same()),
    "a level in another's place": lambda net: swapped(net, "backbone", Levels(net.backbone)),
    "the fusion": lambda net: setattr(net, "fused", lambda a, m: (a, a)),
    "the fusion fed appearance twice": lambda net: setattr(
        net, "fused", lambda a, m, kept=net.fused: kept(a, a)
    ),
    "the fusion fed its streams the wrong way round": lambda net: setattr(
        net, "fused", lambda a, m, kept=net.fused: kept(m, a)
    ),
    "mean subtraction": lambda net: setattr(net, "appearance", lambda images: images),
}
"""What is left out, or fed what is beside it -> how."""


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_its_say(part):
    net, frames = network(), sequences(video(3))
    with torch.no_grad():
        for conv in net.backbone.base.modules():
            if isinstance(conv, nn.Conv2d):
                conv.weight *= 2  # random weights say little
        whole = net(frames)
        PARTS[part](net)
        assert (net(frames).scores - whole.scores).abs().amax() > 1e-3


def test_paper_takes_a_step_and_answers():
    """300 x 300 pixels, thinner networks of the same shape: one step of training and one answer."""
    settings = replace(
        FlowSubnetConfig.paper(), width=1 / 16, flow_width=0.1, normalise="unit", supervision="none"
    )
    torch.manual_seed(0)
    net = FlowSubnetNetwork(settings, 24).train()
    frames = torch.randint(0, 256, (2, 3, 3, 300, 300), dtype=torch.uint8)
    said = net(frames)
    (said.scores.mean() + said.offsets.mean()).backward()
    assert said.scores.shape == (2, 1, 11_620, 25) and said.flows[0].shape == (4, 2, 80, 80)
    assert all(p.grad is not None for n, p in net.named_parameters())


def test_papers_parameters():
    with torch.device("meta"):
        net = FlowSubnetNetwork(FlowSubnetConfig.paper(), 24)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    channels, cells = (512, 1024, 512, 256, 256, 256), (6, 6, 6, 6, 4, 4)
    by_hand = {
        "motion": 9_374_274 + 4 * 3 + 3,  # PWC-Net's own and the 1 x 1 convolution
        "backbone": 36_092_544,
        "fusion": sum(2 * n * n + n for n in channels),
        "head": sum((9 * n + 1) * k * (25 + 4) for n, k in zip(channels, cells, strict=True)),
    }
    assert count == by_hand and sum(count.values()) == 53_152_113
