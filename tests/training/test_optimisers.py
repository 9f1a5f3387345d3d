"""Groups of parameters: what is frozen stays, what has a factor moves by it, and a resumed run keeps both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stad_lite.errors import FormatError
from stad_lite.schedule import TrainConfig
from stad_lite.training import optimisers
from stad_lite.training.loop import fit
from tests.training.tiny import CONFIG, Points, Tiny

SGD = TrainConfig(steps=1, batch=4, optimiser="sgd", momentum=0, lr=0.1, weight_decay=0)


def moved(config: TrainConfig, folder: Path) -> dict[str, torch.Tensor]:
    """How far each parameter goes in one step."""
    system = Tiny(dropout=0)
    before = {name: value.clone() for name, value in system.network.state_dict().items()}
    fit(system, Points(), config, folder, device="cpu", say=lambda _: None)
    return {name: value - before[name] for name, value in system.network.state_dict().items()}


def test_factors_scale_the_step(tmp_path):
    plain = moved(SGD, tmp_path / "plain")
    factors = (("0", 0.5), ("3.weight", 0.25))
    scaled = moved(replace(SGD, lr_factors=factors, bias_factor=2.0), tmp_path / "scaled")
    expected = {"0.weight": 0.5, "0.bias": 1.0, "3.weight": 0.25, "3.bias": 2.0}
    for name, factor in expected.items():
        torch.testing.assert_close(scaled[name], factor * plain[name], rtol=1e-4, atol=1e-7)
        assert plain[name].abs().max() > 1e-4


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_what_is_frozen_does_not_even_decay(tmp_path, optimiser):
    config = replace(SGD, steps=3, optimiser=optimiser, weight_decay=0.5, lr_factors=(("0", 0),))
    changes = moved(config, tmp_path)
    assert changes["0.weight"].abs().max() == 0 == changes["0.bias"].abs().max()
    assert changes["3.weight"].abs().max() > 0
    state = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    assert [len(group["params"]) for group in state["optimiser"]["param_groups"]] == [2]
    assert state["config"]["lr_factors"] == [["0", 0.0]]


def test_biases_without_decay():
    network = Tiny().network
    config = replace(SGD, weight_decay=0.5, decay_bias=False)
    optimiser = optimisers.make(network, config)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimiser.step()
    shrunk = [float((a.detach() / b).mean()) for a, b in zip(network.parameters(), before, strict=True)]
    assert shrunk == pytest.approx([0.95, 1, 0.95, 1])


def test_adam_is_not_adamw():
    network = Tiny().network
    kinds = [type(optimisers.make(network, replace(SGD, optimiser=name))) for name in ("adam", "adamw")]
    assert kinds == [torch.optim.Adam, torch.optim.AdamW]


def test_a_resumed_run_keeps_its_groups(tmp_path):
    config = replace(CONFIG, steps=8, optimiser="adam", lr_factors=(("0", 0.1),), decay_bias=False)
    fit(Tiny(), Points(), config, tmp_path / "straight", device="cpu", say=lambda _: None)

    class Stopping(Tiny):
        calls = 0

        def loss(self, batch):
            self.calls += 1
            if self.calls > 5:
                raise KeyboardInterrupt
            return super().loss(batch)

    with pytest.raises(KeyboardInterrupt):
        fit(Stopping(), Points(), config, tmp_path / "run", device="cpu", say=lambda _: None)
    assert fit(Tiny(seed=5), Points(), config, tmp_path / "run", device="cpu", say=print).resumed_at == 5
    one, other = (
        torch.load(tmp_path / run / "checkpoints" / "last.pt", weights_only=True)
        for run in ("straight", "run")
    )
    for name, value in one["network"].items():
        assert torch.equal(value, other["network"][name])
    assert one["schedule"] == other["schedule"] and len(one["schedule"]["lr"]) == 4


@pytest.mark.parametrize("factors", [(("backbone", 0.1),), (("1", 0.1),)])
def test_a_prefix_that_fits_nothing(factors):
    with pytest.raises(FormatError, match="no parameter's name begins with; the network's parts are 0, 3"):
        optimisers.make(Tiny().network, replace(SGD, lr_factors=factors))


def test_nothing_left_to_train():
    with pytest.raises(FormatError, match="no parameter of the network is trained"):
        optimisers.make(Tiny().network, replace(SGD, lr_factors=(("0", 0), ("3", 0))))
