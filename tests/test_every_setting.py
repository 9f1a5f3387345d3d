"""Every field of every config with values that cannot be: either a run works or the field is named first.

"Works" is building, one step of training and detection on one tiny clip, all of it finite.
"""

from __future__ import annotations

import json
import math
import random
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch

from stad_lite import linking, runs
from stad_lite.catalogue import ENTRIES
from stad_lite.cli import main
from stad_lite.data.synthetic.sequences import SequenceSettings, sequence_source
from stad_lite.errors import FormatError, StadError
from stad_lite.linking.entry import PRESETS
from stad_lite.records import FrameBoxes, Predictions, VideoPredictions
from stad_lite.schedule import TrainConfig, learning_rate, plain
from stad_lite.settings import OneOf
from stad_lite.training import run_folder
from stad_lite.training.loop import fit
from tests.training.tiny import Points, Tiny

NUMBERS = (0, -1, 1e99, 10**99, math.nan, math.inf, -math.inf, True)
OTHERS = ((), "", "wrong", None)

TINY = {
    "data.clips": "1", "data.settings.frames": "8", "data.settings.span": "3,6",
    "data.settings.height": "32", "data.settings.width": "32", "data.settings.actors": "2,2",
    "model.size": "32,32",
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
    "cfad": {
        "model.pretrained": "", "model.length": "8", "model.proposal_epochs": "0", "model.width": "8",
        "model.span_width": "8",
    },
    "flow_subnet": {"model.pretrained": "", "model.frozen_items": "0"},
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
    """Yield (path, value, settings with it) of what is taken; what is not names field, value and range."""
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
                named = "entries" in error.problem or any(repr(one)[:20] in error.problem for one in entries)
                assert named, f"{path}={value!r}: {error}"
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
    terms = system.loss(entry.collate([data[len(data) // 2]]))
    loss = torch.stack(list(terms.values())).sum()
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
            if refused_by_data.get(path) == value and isinstance(error, StadError) and error.remedy:
                continue
            pytest.fail(f"{part}.{path}={value!r} is accepted, and then {type(error).__name__}: {error}")


@pytest.mark.parametrize("name", ENTRIES)
def test_every_setting_of_a_system(name):
    run_all(tiny(name), "model", DATA_DECIDES.get(name, {}))


def test_every_setting_of_the_data():
    run_all(tiny("baseline"), "data", {"name": "wrong", "settings.flow": False, "settings.actors": (0, 0)})


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


CONTRADICTIONS = [
    ("baseline", "model.frames=4 model.clip=2"),
    ("baseline", "model.depth=1,2,2 model.channels=8,8"),
    ("baseline", "model.size=32,32 model.depth=1,1,1,1,1,1,1 model.channels=8,8,8,8,8,8,8"),
    ("baseline", "train.steps=5 train.epochs=2"),
    ("baseline", "train.batch=3 train.accumulation=2"),
    ("baseline", "data.settings.span=6,3"),
    ("baseline", "data.settings.span=3,9 data.settings.frames=10"),
    ("baseline", "data.settings.actors=3,1"),
    ("baseline", "data.settings.actor_height=0.8,0.9 data.settings.target_scale=2"),
    ("step", "model.clips=1,3,5 model.thresholds=0.2,0.3"),
    ("step", "model.clips= model.thresholds="),
    ("step", "model.clip=6 model.backbone=i3d"),
    ("step", "model.backbone=i3d model.stream=early model.clip=8"),
    ("sp_tad", "model.test_stride=64 model.window=32"),
    ("sp_tad", "model.window=40 model.backbone.strides=2,4,8"),
    ("sp_tad", "model.size=32,32 model.backbone.crop=24,40"),
    ("sp_tad", "model.channels=10 model.attention=4"),
    ("sp_tad", "model.backbone.channels=8,8 model.backbone.strides=2,4,8"),
    ("sp_tad", "model.backbone.kind=light model.backbone.strides=4,8,16"),
    ("pcsc", "model.scales=8 model.hidden_maps=8,8"),
    ("pcsc", "model.trunk=i3d model.scales=8,16"),
    ("pcsc", "model.trunk=i3d model.scales=8,16,32,64 model.blocks=Mixed_3b"),
    ("pcsc", "model.reduction=16 model.channels=8"),
    ("pcsc", "model.pretrained=smoke model.widths=8,8,8"),
    ("pcsc", "model.depth=1,2,2 model.widths=8,8"),
    ("pcsc", "model.trim.width=4"),
    ("cfad", "model.backbone=i3d model.length=20"),
    ("cfad", "model.backbone=i3d model.size=48,64"),
    ("cfad", "model.span_lengths="),
    ("cfad", "model.negative=0.6 model.positive=0.5"),
    ("cfad", "model.span_negative=0.6 model.span_match=0.5"),
    ("pcsc", "model.own_nms=0.2 model.other_nms=0.9"),
    ("flow_subnet", "model.levels=2 model.box_shares=0.1,0.2"),
    ("flow_subnet", "model.pairs=released model.supervision=exact"),
    ("flow_subnet", "model.estimator=given model.pairs=released model.supervision=none"),
    ("flow_subnet", "model.pretrained=smoke model.norm=none"),
]
"""Settings that cannot be together."""
ODD = [
    ("baseline", "model.min_score=1 model.keep=1"),
    ("step", "model.clips=1,3 model.thresholds=0.9,0.1"),
    ("step", "model.stride=16 model.clip=2"),
    ("sp_tad", "model.pairs=1 model.most=1000 model.min_score=1"),
    ("sp_tad", "model.train_stride=64 model.window=32"),
    ("pcsc", "model.rpn_before=1,1 model.rpn_after=9,9"),
    ("pcsc", "model.confidence=1 model.min_score=1"),
    ("cfad", "model.samples=30 model.length=2"),
    ("cfad", "model.min_score=1 model.span_score=1"),
    ("cfad", "model.selection=random model.alpha=0 model.through=keys"),
    ("pcsc", "model.linking.pre_nms=1 model.linking.keep=20 model.linking.min_boxes=30"),
    ("flow_subnet", "model.min_score=1 model.nms=0 model.trim=road"),
    ("flow_subnet", "model.positive=1 model.negatives=0 model.keep=1 model.linked=1"),
]
"""Settings that look wrong together and only find little."""


def texts(words: str) -> dict[str, str]:
    return dict(word.split("=") for word in words.split())


@pytest.mark.parametrize(("name", "words"), CONTRADICTIONS)
def test_settings_that_contradict_each_other(name, words):
    with pytest.raises(FormatError) as caught:
        runs.make_spec(name, "smoke", texts(words))
    told = [key for key in texts(words) if f"{key.rpartition('.')[2]} is " in caught.value.problem]
    assert len(told) >= min(2, len(texts(words))) and caught.value.remedy, str(caught.value)


@pytest.mark.parametrize(("name", "words"), ODD)
def test_settings_that_look_wrong_together(name, words):
    works(runs.with_texts(tiny(name), texts(words)))


@pytest.mark.parametrize("name", ENTRIES)
def test_two_settings_at_once(name):
    """Values that are taken one by one: together they are refused or the run works."""
    spec, draw = tiny(name), random.Random(0)
    known = DATA_DECIDES.get(name, {})
    singles = [(path, value) for path, value, _ in accepted(spec.model) if path not in {"backbone", *known}]
    for _ in range(12):
        model = spec.model
        try:
            for path, value in draw.sample(singles, 2):
                model = changed(model, path, value)
        except FormatError:
            continue
        works(replace(spec, model=model))


@pytest.mark.parametrize(
    ("system", "word", "told"),
    [
        ("baseline", "model.nms=-1", "model.nms is -1; give a number from 0 to 1"),
        ("step", "model.dropout=2", "model.dropout is 2; give a number from 0 to 0.95"),
        ("pcsc", "model.stage_keep=0", "model.stage_keep is 0; give a whole number from 1 to"),
        ("sp_tad", "model.eta=0", "model.eta is 0; give a number from 0.1 to 1000"),
        ("pcsc", "model.confidence=nan", "model.confidence is 'nan'; give a number from 0 to 1"),
        ("pcsc", "model.linking.nms=1e999", "linking.nms is '1e999'; give none or a number from 0 to 1"),
        ("step", "model.roi=pool", "model.roi is 'pool'; choose from align, legacy, max"),
        ("step", "model.cuboids=grid7", "model.cuboids is 'grid7'; choose from grid11, "),
        ("step", "model.thresholds=0.2,0.3,7", "model.thresholds[2] is 7; give a number from 0.01 to 1"),
        ("step", "model.clips=1,3,5", "clips is (1, 3, 5) and thresholds is (0.2, 0.35); give both"),
        ("baseline", "model.size=48", "model.size has 1 entries; give 2"),
        ("pcsc", "train.lr=1e99", "train.lr is 1e+99; give a number from 0 to 1"),
        ("baseline", "train.seed=-1", "train.seed is -1; give a whole number from 0 to 4294967295"),
        ("baseline", "data.clips=0", "data.clips is 0; give a whole number from 1 to 1000000"),
        ("baseline", "data.settings.noise=inf", "settings.noise is 'inf'; give a number from 0.0 to 64.0"),
    ],
)  # fmt: skip
def test_the_command_line_refuses_and_writes_nothing(system, word, told, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    line = ["train", system, "--profile", "smoke", "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*line, "--set", word]) == 2
    assert told in (text := capsys.readouterr().err) and text.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_the_data_decides_writes_no_run(tmp_path, capsys):
    line = ["train", "sp_tad", "--profile", "smoke", "--out", str(tmp_path / "run"), "--device", "cpu"]
    settings = {"model.proposals": "1", "data.clips": "2", "data.settings.actors": "3,3"}
    assert main([*line, *(part for pair in settings.items() for part in ("--set", "=".join(pair)))]) == 2
    assert "take more proposals" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_of_a_run_is_held_to_the_same_ranges(tmp_path):
    """A run's own description is read by the same rules."""
    spec = runs.make_spec("baseline", "smoke", {})
    told = {"format": runs.FORMAT, **plain(spec)}
    told["model"]["nms"] = 7
    (tmp_path / "system.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(FormatError, match=r"model\.nms is 7; give a number from 0 to 1"):
        runs.read_spec(tmp_path)
