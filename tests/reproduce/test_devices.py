"""On which device the experiments train, pretrain, keep maps and detect; there is no GPU in these tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from stad_lite.baselines import pretraining
from stad_lite.reproduce.experiments import experiment_module, experiment_names, flow, pcsc, protocol

GPU = "cuda:1"
VARIANTS = [
    *((name, next(iter(experiment_module(name).VARIANTS))) for name in experiment_names()),
    ("sp_tad", "backbone_0"),
    *(("protocol", name) for name in list(protocol.VARIANTS)[1:]),
]


class Arrived(Exception):
    """Ends a run where it would train."""


@pytest.fixture(name="elsewhere")
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> dict[str, set[str]]:
    """Devices that networks are moved to, stay as they are, and tell that they were: what -> devices."""
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    found: dict[str, set[str]] = {"to": set(), "pretrained": set()}

    def to(self: nn.Module, place: Any, *_: Any, **__: Any) -> nn.Module:
        found["to"].add(str(place))
        return self

    def pretrained(*given: Any, device: Any = None, **named: Any) -> Any:
        found["pretrained"].add(str(device))
        return known(*given, **named)

    known = pretraining.pretrained
    monkeypatch.setattr(nn.Module, "to", to)
    for module in (
        "baselines.pretraining",
        "flow_subnet.pretraining",
        "step.system",
        "cfad.system",
        "pcsc.system",
    ):
        monkeypatch.setattr(f"stad_lite.{module}.pretrained", pretrained)
    monkeypatch.setattr("stad_lite.training.profile.torch.cuda.synchronize", lambda place: None)
    return found


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_run_trains_on_its_device(name, variant, elsewhere, monkeypatch):
    def fit(system: Any, data: Any, plan: Any, device: str, *_: Any) -> None:
        raise Arrived(device)

    def train(net: Any, pairs: Any, plan: Any, size: Any, device: Any) -> None:
        raise Arrived(str(device))

    module = experiment_module(name)
    if name == "flow":
        monkeypatch.setattr(flow, "train", train)
    else:
        monkeypatch.setattr(pcsc if name == "trims" else module, "fit_unkept", fit)
    with pytest.raises(Arrived) as told:
        module.run(variant, 0, "smoke", device=GPU)
    assert told.value.args == (GPU,)
    assert elsewhere["pretrained"] <= {GPU}
    if name in ("cfad", "pcsc", "trims", "step"):
        assert GPU in elsewhere["to"], "where its maps are made"


@pytest.mark.parametrize("variant", protocol.VARIANTS)
def test_large_is_the_catalogues_own(variant):
    entry, (config, plan, clips, amounts) = protocol.find(variant), protocol.configured(variant, "large")
    assert plan == entry.schedule("large") and config == replace(
        entry.config("large"), **protocol.LARGE.get(variant, {})
    )
    assert (clips.height, clips.width) == tuple(config.size) == (112, 112)
    assert all(getattr(config, name, clips.frames) == clips.frames for name in ("length", "window"))
    assert amounts[0] == (400, 50)
