"""Every field of every config with values that cannot be: either a run works or the field is named first.

"Works" is building, one step of training and detection on one tiny clip, all of it finite.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch

from stad_lite import linking, runs
from stad_lite.cli import main
from stad_lite.data.synthetic.sequences import SequenceSettings, sequence_source
from stad_lite.errors import FormatError
from stad_lite.linking.entry import PRESETS
from stad_lite.records import FrameBoxes, Predictions, VideoPredictions
from stad_lite.schedule import TrainConfig, learning_rate
from stad_lite.settings import OneOf
from stad_lite.systems import SYSTEMS
from stad_lite.training import run_folder
from stad_lite.training.loop import fit
from tests.training.tiny import Points, Tiny

NUMBERS = (0, -1, 1e99, 10**99, math.nan, math.inf, -math.inf, True)
OTHERS = ((), "", "wrong", None)

TINY = {
    "data.clips": "1", "data.settings.frames": "8", "data.settings.span": "3,6",
    "data.settings.height": "32", "data.settings.width": "32", "data.settings.actors": "2,2", "model.size": "32,32",
}  # fmt: skip
"""Settings of all systems; those of each follow."""
SMALLER = {
    "baseline": {"model.channels": "8,8,8", "model.hidden": "8", "model.flow_stack": "3"},
    "step": {"model.pretrained": "", "model.width": "8", "model.hidden": "8"},
    "sp_tad": {"model.backbone.crop": "24,24", "model.window": "32", "model.test_stride": "32"},
    "pcsc": {
        "model.frames": "3", "model.stages": "1", "model.widths": "8,8,8", "model.channels": "8",
        "model.hidden_maps": "8,8", "model.rpn_after": "6,6", "model.roi": "2", "model.hidden": "8",
    },
}  # fmt: skip
SLOW = {"pretrained": ("smoke", "lesson"), "kind": ("features",)}
"""Field -> words that are not tried: they train backbones first, or read another kind of source."""
DATA_DECIDES = {"sp_tad": {"proposals": 1, "fps": 1000}}
"""System -> what only the data can refuse: more instances than proposals, windows of a few frames."""


def kinds(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, type) of every field, those of parts behind a dot."""
    hints = get_type_hints(type(settings), include_extras=True)
    for field in fields(settings):
        held = getattr(settings, field.name)
        if is_dataclass(held):
            yield from kinds(held, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", hints[field.name]


def values(kind: Any) -> list[Any]:
    """Return what is tried for a type: nonsense, both ends of a range (of counts the lower), every word."""
    return [*NUMBERS, *OTHERS, *allowed(kind)]


def allowed(kind: Any) -> list[Any]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return [value for part in parts for value in allowed(part)]
    if origin is Literal:
        return list(parts)
    if origin is Annotated and isinstance(parts[1], OneOf):
        return list(parts[1].words)
    if origin is Annotated:
        return [parts[1].low] if parts[0] is int else [parts[1].low, parts[1].high]
    if origin is tuple:
        counts = (1, 3) if parts[-1] is Ellipsis else (len(parts) - 1, len(parts), len(parts) + 1)
        entries = [*NUMBERS[:5], "wrong", *allowed(parts[0])[:2]]
        return [(entry,) * count for count in counts for entry in entries]
    return [True, False] if kind is bool else []


def changed(settings: Any, path: str, value: Any) -> Any:
    """Return the settings with the field at a path changed."""
    name, _, rest = path.partition(".")
    return replace(settings, **{name: changed(getattr(settings, name), rest, value) if rest else value})


def accepted(settings: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, value, settings with it) of all that is taken; what is not names field, value and range."""
    seen = {settings}
    for path, kind in kinds(settings):
        name = path.rpartition(".")[2]
        for value in values(kind):
            if isinstance(value, str) and value in SLOW.get(name, ()):
                continue
            try:
                found = changed(settings, path, value)
            except FormatError as error:
                assert name in error.problem and error.remedy, f"{path}={value!r}: {error}"
                entries = value if isinstance(value, tuple) and value else (value,)
                assert any(repr(one)[:20] in error.problem for one in entries) or "entries" in error.problem, str(error)
                continue
            if found not in seen:
                seen.add(found)
                yield path, value, found


opened = lru_cache(maxsize=None)(lambda data, size: data.open(size))


def tiny(name: str) -> runs.Spec:
    """Return the smallest run of a system."""
    return runs.make_spec(name, "smoke", {**TINY, **SMALLER.get(name, {})})


def works(spec: runs.Spec) -> None:
    """Build, learn from one item, and detect in one clip."""
    torch.manual_seed(0)
    entry, source = spec.entry, opened(spec.data, spec.model.size)
    system = entry.build(spec.model, source.classes)
    data = entry.training_set(system, source)
    system.network.train()
    loss = torch.stack([term.sum() for term in system.loss(entry.collate([data[len(data) // 2]])).values()]).sum()
    loss.backward()
    slopes = [p.grad for p in system.network.parameters() if p.grad is not None]
    assert torch.isfinite(torch.cat([loss[None], *(slope.flatten() for slope in slopes)])).all()
    entry.detect(system, source)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def run_all(spec: runs.Spec, part: str, refused_by_data: dict[str, Any]) -> None:
    """Change every field of a part of a spec; what only the data can tell may be refused later, in words."""
    for path, value, found in accepted(getattr(spec, part)):
        try:
            works(replace(spec, **{part: found}))
        except Exception as error:
            if refused_by_data.get(path) == value and isinstance(error, FormatError) and error.remedy:
                continue
            pytest.fail(f"{part}.{path}={value!r} is accepted, and then {type(error).__name__}: {error}")


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_setting_of_a_system(name):
    run_all(tiny(name), "model", DATA_DECIDES.get(name, {}))


def test_every_setting_of_the_data():
    run_all(tiny("baseline"), "data", {"settings.flow": False, "settings.actors": (0, 0)})


def test_every_setting_of_training(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "plot_run", lambda run: None)
    for number, (path, value, config) in enumerate(accepted(TrainConfig(steps=2, batch=2))):
        if config.total_steps(10) <= 10:
            fit(Tiny(), Points(), config, tmp_path / str(number), device="cpu", say=lambda text: None)
        assert math.isfinite(learning_rate(1, 2, config)), f"{path}={value!r}"


def boxes() -> Predictions:
    """Two actors on six frames, with a hole in one of them."""
    frame = np.array([0, 0, 1, 1, 2, 4, 4, 5])
    box = np.array([[4.0 + n, 4, 12, 20] for n in range(8)]) + np.array([0, 0, 8, 8])
    found = FrameBoxes(frame, np.arange(8) % 2, box, np.linspace(0.2, 0.9, 8))
    return Predictions(("run", "jump"), {"a": VideoPredictions(frames=found)})


@pytest.mark.parametrize("method", PRESETS)
def test_every_setting_of_linking(method):
    for preset in PRESETS[method].values():
        for _, _, config in accepted(preset()):
            linking.link(boxes(), method, config)


@pytest.mark.parametrize("trim", [linking.LabelSmoothing(), linking.MedianFilter()])
def test_every_setting_of_trimming(trim):
    loose = linking.OnlineConfig(min_boxes=1)
    for _, _, config in accepted(trim):
        linking.link(boxes(), "online", loose, config)


def test_every_setting_of_feature_sequences():
    for _, _, settings in accepted(SequenceSettings.smoke()):
        source = sequence_source(settings, [0], "train")
        assert all(np.isfinite(stage).all() for stage in source.features(source.videos[0]))
