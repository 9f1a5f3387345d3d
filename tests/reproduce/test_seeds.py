"""A seed of a sweep sets everything that is random, but for what the row says that its seeds share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from stad_lite.reproduce.experiments import baselines, cfad, flow_subnet, matching, pcsc, sp_tad, step

PRETRAINED = "smoke"
"""Small backbones are pretrained here too, as they are in lessons."""


def digest(network: Any, prefix: str) -> str:
    """What tells the weights of a part from others; nothing where there is none."""
    state = {key: value for key, value in network.state_dict().items() if key.startswith(prefix)}
    text = b"".join(value.cpu().numpy().tobytes() for value in state.values())
    return hashlib.sha256(text).hexdigest() if state else ""


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path) -> Iterator[None]:
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    step_base, pcsc_config = step.base, pcsc.config_of
    monkeypatch.setattr(step, "base", lambda profile: replace(step_base(profile), pretrained=PRETRAINED))
    monkeypatch.setattr(pcsc, "config_of", lambda *asked: replace(pcsc_config(*asked), pretrained=PRETRAINED))
    for cached in (step.source, step.maps):
        cached.cache_clear()
    yield
    for cached in (step.source, step.maps):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("experiment", "variant"),
    [
        (baselines, "rgb"),
        (step, "base"),
        (step, "late"),
        (sp_tad, "base"),
        (sp_tad, "backbone_1e-5"),
        (pcsc, "base"),
        (cfad, "base"),
        (flow_subnet, "base"),
        (matching, "one_to_one"),
    ],
    ids=lambda given: given if isinstance(given, str) else given.__name__.rpartition(".")[2],
)
def test_two_seeds_share_what_is_said(experiment, variant, monkeypatch):
    asked: list[tuple[int, int, set[str], str, str]] = []

    def watched(system: Any, data: Any, config: Any, *_: Any) -> None:
        names = {data.name(index).split()[0].strip(",") for index in range(len(data))}
        weights = digest(system.network, "backbone"), digest(system.network, "")
        asked.append((config.seed, data.seed, names, *weights))

    monkeypatch.setattr(experiment, "fit_unkept", watched)
    found = []
    for seed in (0, 1):
        asked.clear()
        experiment.run(variant, seed, "smoke")
        assert asked and all(one[:2] == (seed, seed) for one in asked)  # order, mirroring
        found.append(asked.copy())
    first, second = (one[-1] for one in found)
    assert not first[2] & second[2]  # training clips
    assert (first[3] != second[3]) is bool(first[3])  # pretrained backbone
    assert first[4] != second[4]  # first weights
    assert set(experiment.shared(variant)) <= {"pretraining clips"}
