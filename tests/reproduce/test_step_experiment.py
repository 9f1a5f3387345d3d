"""The ablations of STEP run, say what they changed, and keep what was trained."""

from dataclasses import fields

import pytest

from stad_lite.errors import StadError
from stad_lite.reproduce.experiments import step
from stad_lite.step.config import StepConfig


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "step_cache"
    monkeypatch.setenv("STAD_CACHE", str(folder))
    step.source.cache_clear()
    step.maps.cache_clear()
    return folder


def test_every_variant_changes_what_it_says():
    base = step.base("lesson")
    known = {field.name for field in fields(StepConfig)} | {"training", "fusion", "rule", "ground"}
    for name, settings in step.VARIANTS.items():
        assert set(settings) <= known, name
        changed = {key for key, value in settings.items() if getattr(base, key, None) != value}
        assert bool(changed) is (name != "base"), name


@pytest.mark.parametrize("variant", ["base", "anticipation", "stepwise"])
def test_figures_of_a_variant(variant):
    figures = step.run(variant, 0, "smoke")
    steps = {f"{name}{s}" for name in ("step", "input_", "best_") for s in (1, 2, 3)}
    rules = ("copy", "extrapolation", "anticipation") if variant == "anticipation" else ()
    beside = {f"beside_{rule}_{step}" for rule in rules for step in (2, 3)}
    assert set(figures) == steps | beside | {"frame_map", "input_out", "best_out", "detect_ms", "cpu_seconds"}
    assert all(
        0 <= value <= 100 for name, value in figures.items() if name not in ("detect_ms", "cpu_seconds")
    )
    assert figures["frame_map"] == figures["step3"]


def test_context_variants_see_other_clips():
    plain, told = (step.source("smoke", "test", ground=ground).annotations for ground in (0.0, 1.0))
    assert plain.videos.keys() == told.videos.keys()
    labels = [
        [tube.label for video in some.videos.values() for tube in video.tubes] for some in (plain, told)
    ]
    assert len(labels[0]) == len(labels[1]) and labels[0] != labels[1]


@pytest.mark.parametrize("variant", step.VARIANTS)
def test_every_variant_runs(variant):
    figures = step.run(variant, 0, "smoke")
    assert all(0 <= value <= 100 for name, value in figures.items() if "ms" not in name and "cpu" not in name)


def test_late_fusion_joins_the_kept_detectors(own_cache):
    figures = step.run("late", 1, "smoke")
    kept = sorted((own_cache / "step" / "heads").glob("*.pt"))
    again = step.run("late_mean", 1, "smoke")
    assert sorted((own_cache / "step" / "heads").glob("*.pt")) == kept
    assert set(figures) == set(again) == {"frame_map", "step1", "step2", "step3", "detect_ms", "cpu_seconds"}


def test_the_same_seed_gives_the_same_figures(own_cache):
    first = step.run("no_context", 2, "smoke")
    for path in (own_cache / "step" / "heads").glob("*.pt"):
        path.unlink()
    again = step.run("no_context", 2, "smoke")
    for name in first:
        if name not in ("detect_ms", "cpu_seconds"):
            assert first[name] == again[name]


def test_what_there_is_not_is_refused():
    with pytest.raises(StadError, match="variant"):
        step.run("without_everything", 0, "smoke")
    with pytest.raises(StadError, match="huge"):
        step.run("base", 0, "huge")
