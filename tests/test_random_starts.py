"""A random start of every system: every stage of its backbone lives, and RGB and flow reach it alike.

Measured on the first clip of the synthetic benchmark, through the systems' own data sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.catalogue import ENTRIES, PROFILES
from stad_lite.nets import weights
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.pwcnet import PWCNet
from stad_lite.nets.inputs import FLOW_SCALE
from stad_lite.sp_tad.config import Backbone
from stad_lite.step.config import StepConfig
from tests.nets import layouts

BACKBONE = re.compile(r"(backbones?|trunks)\.")
STAGES = ("Unit3D", "SamePool3D", "InceptionBlock", "ConvNorm", "ReLU")
CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
FLOW_NETWORKS = (PWCNet, FlowNetS)
"""What estimates flow and is fed RGB."""

CHEAP: dict[str, dict[str, Any]] = {
    "step": {"size": (64, 64), "clips": (1, 1, 1), "width": 16, "hidden": 16},
    "sp_tad": {"size": (64, 64), "window": 32, "test_stride": 16},
    "pcsc": {"size": (64, 64), "hidden": 16},
    "cfad": {"size": (64, 64), "length": 32},
    "flow_subnet": {"size": (64, 64), "levels": 3, "box_shares": (0.1, 0.2, 0.37, 0.54)},
}
"""System -> what makes its paper profile cheap and leaves its backbone as it is; else small frames."""


def config_of(name: str, profile: str, **changes: Any) -> Any:
    config = ENTRIES[name].config(profile)
    if profile != "paper":
        return replace(config, **changes)
    cheap = dict(CHEAP.get(name, {"size": (64, 64)}))
    if name == "sp_tad":
        cheap["backbone"] = replace(config.backbone, crop=(48, 48))
    return replace(replace(config, **cheap).thawed(), **changes)


class Seen(Exception):
    """The backbones have run: heads may be as large as they like."""


@contextmanager
def watched(network: nn.Module, trunks: list[nn.Module]) -> Iterator[tuple[dict, dict]]:
    """Gather each stage's deviation, and of each first convolution its input and what it does."""
    deviations: dict[str, float] = {}
    calls: dict[str, tuple[Tensor, Tensor, Any]] = {}
    inside = {name: part for name, part in network.named_modules() if BACKBONE.match(name)}
    names = {id(part.weight): name for name, part in inside.items() if isinstance(part, CONVS)}
    left = {id(trunk) for trunk in trunks}

    def stage(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            deviations.setdefault(name, float(output.std()))

        return hook

    def stop(module: nn.Module, inputs: Any, output: Any) -> None:
        left.discard(id(module))
        if not left:
            raise Seen

    for name, module in inside.items():
        if type(module).__name__ in STAGES:
            module.register_forward_hook(stage(name))
    for trunk in trunks:
        trunk.register_forward_hook(stop)

    def watching(conv: Any) -> Any:
        def call(inputs: Tensor, weight: Tensor, bias: Any = None, *more: Any, **named: Any) -> Tensor:
            if (name := names.get(id(weight))) is not None and weight.shape[1] in (2, 3, 5, 10, 13, 18):
                run = lambda x, w: conv(x, w, None, *more, **named)  # noqa: E731
                calls.setdefault(name, (inputs.detach(), weight.detach(), run))
            return conv(inputs, weight, bias, *more, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("conv1d", "conv2d", "conv3d"):
            patch.setattr(F, name, watching(getattr(F, name)))
        yield deviations, calls


@torch.no_grad()
def look(name: str, config: Any, state: Any = None) -> tuple[dict[str, float], dict[str, float]]:
    """Return the deviation of every stage, and that of the first layers' response to rgb and flow.

    state: published weights to begin with
    """
    entry = ENTRIES[name]
    source = replace(entry.data("lesson"), clips=1).open(config.size)
    torch.manual_seed(0)
    system = entry.rebuild(config, source.classes)
    trunks = entry.trunks(system)
    for trunk in trunks.values() if state else ():
        weights.load(trunk.nets[0], state, behind=trunk.behind)
    last = [trunk.nets[0] for trunk in trunks.values() if trunk.published]
    with watched(system.network, last) as (deviations, calls), suppress(Seen):
        data = entry.training_set(system, source)
        batch = entry.collate([data[0], data[len(data) // 2]])
        system.network.train()
        system.loss(batch)
    return deviations, responses(calls)


def responses(calls: Mapping[str, tuple[Tensor, Tensor, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for inputs, weight, run in calls.values():
        channels = weight.shape[1]
        if "rgb" not in found and channels == 3:
            found["rgb"] = float(run(inputs, weight).std())
        elif "flow" not in found and channels in (2, 10, 18):
            found["flow"] = float(run(inputs, weight).std())
        elif channels in (5, 13):
            found["rgb"] = float(run(inputs[:, :3], weight[:, :3]).std())
            found["flow"] = float(run(inputs[:, 3:], weight[:, 3:]).std())
            found["all"] = float(run(inputs, weight).std())
    return found


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_stage_lives(name, profile):
    deviations, _ = look(name, config_of(name, profile))
    assert len(deviations) >= 5
    assert {n: d for n, d in deviations.items() if not 0.05 < d < 20} == {}


def ava(**changes: Any) -> StepConfig:
    small = {"size": (64, 64), "width": 16, "hidden": 16, "head": "vector", "clips": (1, 1, 1)}
    return replace(StepConfig.paper_ava(), **{**small, **changes})


FROZEN = {
    "step": ava(),
    "sp_tad": config_of("sp_tad", "paper", backbone=Backbone(crop=(48, 48), flow_reach=FLOW_SCALE)),
    "pcsc": config_of("pcsc", "paper", frozen=True, flow_scale=FLOW_SCALE),
}
"""I3D whose norms neither normalise nor learn, as before weights are loaded, on inputs of like size."""


@pytest.mark.parametrize("name", FROZEN)
def test_every_stage_lives_where_norms_are_frozen(name):
    deviations, _ = look(name, FROZEN[name])
    assert len(deviations) > 60
    assert {n: d for n, d in deviations.items() if not 0.05 < d < 20} == {}


def step(stream: str, backbone: str, normalise: str = "unit", depth: int = 1) -> StepConfig:
    if backbone == "i3d":
        return ava(stream=stream, flow_scale=20.0)
    sizes = {"flow_depth": 1 if stream == "rgb" else depth, "frozen": False}
    return replace(StepConfig.smoke(), stream=stream, backbone=backbone, normalise=normalise, **sizes)


def streams(backbone: str, *more: Any) -> tuple[StepConfig, ...]:
    return step("rgb", backbone, *more), step("flow", backbone, *more)


SHARES: dict[str, tuple[str, tuple[Any, ...], float]] = {
    **{
        f"baseline {profile} {fusion}": ("baseline", (config_of("baseline", profile, fusion=fusion),), 0.2)
        for profile in PROFILES
        for fusion in ("early", "late")
    },
    "baseline, a stream each": (
        "baseline", tuple(config_of("baseline", "lesson", modality=one) for one in ("rgb", "flow")), 0.2,
    ),
    **{f"step small {n}": ("step", streams("small", "unit", n), 0.2) for n in (1, 5)},
    **{f"step small early {n}": ("step", (step("early", "small", "unit", n),), 0.2) for n in (1, 5)},
    "step lesson": ("step", (config_of("step", "lesson"),), 0.2),
    **{f"step vgg16 {fed}": ("step", streams("vgg16", fed, 5), 0.2) for fed in ("unit", "bgr", "imagenet")},
    **{
        f"step vgg16 early {fed}": ("step", (step("early", "vgg16", fed, 5),), 0.2)
        for fed in ("unit", "bgr", "imagenet")
    },
    **{f"{name} {profile}": (name, (config_of(name, profile),), 0.2)
       for name in ("sp_tad", "pcsc") for profile in PROFILES[:2]},
    **{f"cfad {profile}": ("cfad", (config_of("cfad", profile, stream="early"),), 0.2)
       for profile in PROFILES[:2]},
    # published I3D takes 20 pixels of flow for 1, and these clips move by a tenth of that
    "step i3d": ("step", streams("i3d"), 0.1),
    "sp_tad i3d": ("sp_tad", (config_of("sp_tad", "paper"),), 0.1),
    "pcsc i3d": ("pcsc", (config_of("pcsc", "paper"),), 0.1),
}  # fmt: skip
"""Variant -> system, its configuration or those of both streams, least share of either in the response."""


@pytest.mark.parametrize("variant", SHARES)
def test_rgb_and_flow_have_their_share_of_the_first_layer(variant):
    name, configs, least = SHARES[variant]
    found: dict[str, float] = {}
    for config in configs:
        found |= look(name, config)[1]
    share = found["flow"] / (found["rgb"] + found["flow"])
    assert least < share < 1 - least, found


@pytest.mark.parametrize("name", ENTRIES)
def test_every_system_of_two_streams_is_measured(name):
    config = ENTRIES[name].config("paper")
    with torch.device("meta"):
        streams = ENTRIES[name].trunks(ENTRIES[name].rebuild(config, ("one",)))
    seen = {stream for stream, trunk in streams.items() if not isinstance(trunk.nets[0], FLOW_NETWORKS)}
    assert seen == {"rgb"} or name in {system for system, _, _ in SHARES.values()}


@pytest.mark.parametrize("fed", ["bgr", "imagenet"])
def test_a_published_first_layer_keeps_its_size_beside_flow(fed):
    """VGG16 that sees flow behind RGB answers as the one that sees RGB alone, half of it to flow."""
    state = layouts.vgg16(classifier=False)
    state["features.0.weight"] -= 0.4  # no filter of one sign, and none without a mean
    alone = look("step", step("rgb", "vgg16", fed), state)[1]
    both = look("step", step("early", "vgg16", fed, 5), state)[1]
    assert 0.5 < both["all"] / alone["rgb"] < 2
    assert 0.2 < both["flow"] / (both["rgb"] + both["flow"]) < 0.8
