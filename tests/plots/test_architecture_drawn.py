"""The drawing of a network tells what a run of it did: order, outputs, parameters, calls."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stad_lite.errors import FormatError
from stad_lite.plots.architecture import architecture, layers


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.heads = nn.ModuleList([nn.Linear(4, 4, bias=False) for _ in range(3)])
        self.trunk = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.spare = nn.Linear(9, 9)

    def forward(self, x):
        x = self.trunk(self.trunk(x)[:, :3])
        for head in self.heads:
            x = head(x)
        return {"said": (self.last(x), x)}


def test_layers_come_in_the_order_of_the_calls():
    toy = Toy()
    found = layers(toy, lambda: toy(torch.zeros(5, 3)))
    assert [(one.name, one.shape, one.parameters, one.calls) for one in found] == [
        ("trunk", (5, 4), 16, 2),
        ("trunk.0", (5, 4), 16, 2),
        ("trunk.1", (5, 4), 0, 2),
        ("heads.0", (5, 4), 16, 1),
        ("heads.1", (5, 4), 16, 1),
        ("heads.2", (5, 4), 16, 1),
        ("last", (5, 2), 10, 1),
    ]
    assert [one.name for one in layers(toy, lambda: toy(torch.zeros(5, 3)), depth=1)] == ["trunk", "last"]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in toy.modules())


def test_the_drawing_says_the_same():
    toy = Toy()
    figure = architecture(toy, lambda: toy(torch.zeros(5, 3)))
    texts = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    assert texts[4:8] == ["trunk", "Sequential  2 calls", "5 x 4", "16"]
    place = texts.index("0 to 2")
    assert texts[place - 1] == "heads" and texts[place + 1 : place + 4] == ["Linear", "5 x 4", "48"]
    assert "spare" not in texts
    count = sum(p.numel() for p in toy.parameters())
    assert figure.get_label() == (
        f"Blocks from top to bottom: Toy with {count} parameters; data goes through trunk, heads, last."
    )


def test_the_meta_device_will_do_and_an_idle_run_will_not():
    with torch.device("meta"):
        toy = Toy()
        assert layers(toy, lambda: toy(torch.empty(5, 3)))[-1].shape == (5, 2)
    with pytest.raises(FormatError, match="calls no part"):
        architecture(toy, lambda: None)


def test_lists_inside_a_part_are_on_the_level_of_its_layers():
    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 4)
            self.over_time = nn.ModuleList([nn.Sequential(nn.Linear(4, 4)) for _ in range(2)])

        def forward(self, x):
            x = self.first(x)
            for layer in self.over_time:
                x = layer(x)
            return x

    net = nn.ModuleDict({"part": Part()})
    names = [one.name for one in layers(net, lambda: net["part"](torch.zeros(5, 3)))]
    assert names == ["part", "part.first", "part.over_time.0", "part.over_time.1"]


def test_a_list_that_is_called_is_one_layer() -> None:
    import torch
    from torch import nn

    class Called(nn.ModuleList):
        def forward(self, x):
            for layer in self:
                x = layer(x)
            return x

    class Part(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base = base

        def forward(self, x):
            for layer in [self.base] if isinstance(self.base, Called) else self.base:
                x = layer(x)
            return x

    for kind, inside in ((Called, ["part.base"]), (nn.ModuleList, ["part.base.0", "part.base.1"])):
        network = nn.Sequential()
        network.add_module("part", Part(kind([nn.Linear(2, 2), nn.Linear(2, 2)])))
        found = layers(network, lambda network=network: network(torch.zeros(1, 2)))
        assert [layer.name for layer in found] == ["part", *inside]
