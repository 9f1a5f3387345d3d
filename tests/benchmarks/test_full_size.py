"""A step that is cut at the backbone's maps is the same step; calls take their turn."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks import measure
from benchmarks.full_size import cut, once
from benchmarks.measure import in_turn
from stad_lite.pcsc import system as pcsc
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.schedule import TrainConfig
from stad_lite.step import system as step
from stad_lite.step.config import StepConfig
from stad_lite.training.examples import CLASSES, Noise

TRAIN = TrainConfig(steps=1, optimiser="sgd", lr=0.1, clip_norm=5.0)
STEP = replace(StepConfig.smoke(), pretrained="", frozen=False)


def example(name: str):
    """Return a system whose backbone is trained, a batch, and where its backbones are."""
    torch.manual_seed(0)
    if name == "step":
        system, pipeline = step.StepSystem(STEP, CLASSES), step
        places = system.network, ["backbone"]
    else:
        system, pipeline = pcsc.build(PCSCConfig.smoke(), CLASSES), pcsc
        places = system.network.trunks, ["rgb", "flow"]
    data = pipeline.training_set(system, Noise(tuple(system.config.size)).source())
    return system, pipeline.collate([data[3]]), places


@pytest.mark.parametrize("name", ["step", "pcsc"])
def test_a_cut_step_is_the_plain_step(name):
    system, batch, (parent, names) = example(name)
    plain = copy.deepcopy(system)
    for one in (system, plain):  # a batch norm or a dropout would need the same state: there are none here
        one.network.train()
    torch.manual_seed(1)
    optimiser = torch.optim.SGD(plain.network.parameters(), TRAIN.lr, 0.9, weight_decay=TRAIN.weight_decay)
    torch.stack(list(plain.loss(batch).values())).sum().backward()
    torch.nn.utils.clip_grad_norm_(plain.network.parameters(), TRAIN.clip_norm)
    optimiser.step()
    torch.manual_seed(1)
    found = once(system, batch, TRAIN, cut(parent, names))
    ours = {key.replace(".inner", ""): value for key, value in system.network.state_dict().items()}
    before = example(name)[0].network.state_dict()
    moved = 0
    for key, value in plain.network.state_dict().items():
        torch.testing.assert_close(ours[key], value, atol=1e-6, rtol=1e-4)
        moved += not torch.equal(value, before[key]) and key.startswith(("backbone.", "trunks."))
    assert moved > 4
    for part in ("prediction", "training step"):
        assert 0 < found[part]["share of the backbone, %"] < 100 and found[part]["CPU s"] > 0
    assert found["parameters"] == sum(p.numel() for p in plain.network.parameters())
    own = sum(p.numel() for n in names for p in parent.get_submodule(n).parameters())
    assert found["parameters of the backbone"] == own


def test_maps_without_gradient_are_not_cut():
    (one,) = cut(parent := nn.Sequential(nn.Flatten()), ["0"])
    maps = parent[0].inner.register_forward_hook(lambda *_: {"maps": torch.ones(2)})
    assert not one(torch.ones(1, 2))["maps"].requires_grad
    one.finish()
    assert one.seconds >= 0 and maps


def test_calls_take_their_turn_after_one_each_to_warm_up():
    calls: list[str] = []
    found = in_turn({name: lambda n=name: calls.append(n) for name in "ab"}, rounds=3)
    assert calls == list("ab" * 4) and set(found) == {"a", "b"}


def test_parts_are_compared_with_the_first_row(monkeypatch):
    taken = {("a", "trunk"): 6.0, ("a", "heads"): 2.0, ("b", "trunk"): 6.0, ("b", "heads"): 10.0}
    monkeypatch.setattr(measure, "in_turn", lambda works, rounds: {key: taken[key] for key in works})
    calls = {row: {"trunk": list, "heads": list} for row in "ab"}
    figures, seconds = measure.compare_parts(calls, "trunk", items=2, rounds=1)
    assert seconds == {"a": {"trunk": 3.0, "heads": 1.0}, "b": {"trunk": 3.0, "heads": 5.0}}
    assert figures["a"]["share of the trunk, %"] == 75 and figures["a"]["whole, times the first row's"] == 1
    assert figures["b"]["heads, ms"] == 5000 and figures["b"]["whole, times the first row's"] == 2
