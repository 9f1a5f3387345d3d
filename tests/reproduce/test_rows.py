"""Kept runs: what a file says comes back, early files are read, and damage is named."""

from __future__ import annotations

import json
import math
import re

import pytest

from stad_lite.errors import FormatError, StadError
from stad_lite.reproduce import rows
from stad_lite.reproduce.experiments import experiment_names
from stad_lite.reproduce.rows import (
    NOT_RECORDED,
    Row,
    Sweep,
    config_of,
    keep_row,
    read_sweep,
    stale,
    write_sweep,
)
from stad_lite.schedule import plain

FULL = Row(
    *("base", 3, {"width": 2}, {"map": 51.0}, ("backbone",), "smoke"),
    *("0123456789abcdef", "fedcba987654+", "a processor", "2026-11-29T06:00+00:00", 12.5, 11.25),
)
EARLY = {
    "format": "stad-lite/sweep/1", "experiment": "toy", "profile": "smoke", "command": "c", "versions": {},
    "runs": [
        {"variant": "base", "seed": 0, "settings": {}, "figures": {"map": 50.0, "cpu_seconds": 3.0}},
        {"variant": "wide", "seed": 0, "settings": {"width": 2}, "figures": {"map": 55.0}, "shared": ["all"]},
    ],
}  # fmt: skip


def put(folder, document):
    path = folder / "toy-smoke.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_what_is_written_is_read(tmp_path):
    kept = Sweep("toy", "smoke", (FULL,))
    assert read_sweep("toy", "smoke", write_sweep(kept, tmp_path).parent) == kept
    assert read_sweep("toy", "lesson", tmp_path).rows == ()


def test_early_files_are_read_and_their_rows_outlive_a_new_one(tmp_path):
    put(tmp_path, EARLY)
    base, wide = read_sweep("toy", "smoke", tmp_path).rows
    assert (base.config, base.commit, base.device, base.date) == (NOT_RECORDED,) * 4
    assert (base.shared, wide.shared, base.cost, wide.cost) == ((NOT_RECORDED,), ("all",), 3.0, 0.0)
    kept = keep_row("toy", "smoke", FULL, tmp_path)
    assert kept.rows == (base, FULL, wide) == read_sweep("toy", "smoke", tmp_path).rows
    assert json.loads((tmp_path / "toy-smoke.json").read_text("utf-8"))["format"] == rows.FORMAT


@pytest.mark.parametrize("path", sorted(rows.SWEEPS.glob("*.json")), ids=lambda path: path.stem)
def test_the_library_s_runs_are_read_and_say_what_they_shared(path):
    kept = read_sweep(*path.stem.rsplit("-", 1))
    assert kept.rows and all(NOT_RECORDED not in row.shared for row in kept.rows)
    assert all(row.cost > 0 for row in kept.rows)


def test_a_run_goes_stale_with_what_it_went_by(toy):
    config = config_of("toy", "wide", "smoke")
    row = Row("wide", 0, {"width": 2}, {"map": 1.0}, ("backbone",), "smoke", config)
    assert stale(row, "toy") == ""
    toy.rate = 0.2
    assert stale(row, "toy") == "its configuration has changed"
    toy.common = ()
    assert stale(row, "toy") == "what its seeds share has changed"
    toy.VARIANTS["wide"] = {"width": 3}
    assert stale(row, "toy") == "its settings have changed"
    del toy.VARIANTS["wide"]
    assert stale(row, "toy") == "there is no such variant now"
    assert stale(Row("base", 0, {}, {}, (), "smoke"), "toy") == ""  # early: its configuration is not known


ALIKE = {"step": {"anticipation_gamma_1"}}
"""Variants that stand in a row of their own and are another one's settings."""


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_says_what_its_runs_go_by(name):
    module = rows.experiment_module(name)
    found = {config_of(name, variant, "lesson") for variant in module.VARIANTS}
    assert len(found) == len(module.VARIANTS.keys() - ALIKE.get(name, set())), "two variants are one"
    assert found.isdisjoint(config_of(name, variant, "smoke") for variant in module.VARIANTS)
    assert all(str(one).endswith("not kept") or one.command for one in module.CHOSEN)


DAMAGE = [
    (lambda d: d.pop("format"), r"its format is not 'stad-lite/sweep/2'"),
    (lambda d: d.update(experiment="step"), r"its experiment is 'step', by its name 'toy'"),
    (lambda d: d.update(profile="lesson"), r"its profile is 'lesson', by its name 'smoke'"),
    (lambda d: d.update(runs={}), r"no list of runs"),
    (lambda d: d["runs"].append(3), r"run 2 is '3'; give its fields"),
    (lambda d: d["runs"].append(d["runs"][0]), r"runs 1 and 2 are both 'base' with seed 3"),
    (lambda d: d["runs"][0].pop("commit"), r"run 1 has no commit; mend it, or delete it"),
    (lambda d: d["runs"][0].update(seed="x"), r"run 1.seed is 'x'; give a whole number"),
    (lambda d: d["runs"][0].update(seed=True), r"run 1.seed is True"),
    (lambda d: d["runs"][0]["figures"].update(map="high"), r"run 1.figures.map is 'high'; give a number"),
    (lambda d: d["runs"][0].update(colour="red"), r"run 1 has no colour; known are variant"),
    (lambda d: d["runs"][0].update(profile="lesson"), r"run 1 is of profile 'lesson', the file of 'smoke'"),
]


@pytest.mark.parametrize(("damage", "told"), DAMAGE, ids=[told for _, told in DAMAGE])
def test_damage_is_named_with_file_run_and_remedy(damage, told, tmp_path):
    path = write_sweep(Sweep("toy", "smoke", (FULL,)), tmp_path)
    document = json.loads(path.read_text("utf-8"))
    damage(document)
    put(tmp_path, document)
    with pytest.raises(FormatError, match=rf"toy-smoke\.json: .*{told}"):
        read_sweep("toy", "smoke", tmp_path)


def test_a_file_that_ends_early_is_named_and_what_is_no_number_is_not_written(tmp_path):
    path = write_sweep(Sweep("toy", "smoke", (FULL,)), tmp_path)
    path.write_text(path.read_text("utf-8")[:-20], "utf-8")
    with pytest.raises(FormatError, match=r"toy-smoke\.json: (not JSON|.*ends too early)"):
        read_sweep("toy", "smoke", tmp_path)
    with pytest.raises(ValueError):
        write_sweep(Sweep("toy", "lesson", (Row("base", 0, {}, {"map": math.nan}),)), tmp_path)
    assert not (tmp_path / "toy-lesson.json").exists()


def test_figures_that_are_not_there_are_asked_for_in_vain():
    known = Sweep("toy", "smoke", (Row("base", 0, {}, {"map": 1.0}),))
    with pytest.raises(StadError, match=r"no figure 'ap'.*map"):
        known.values("base", "ap")
    with pytest.raises(StadError, match=rf"not run.*{re.escape(rows.command('toy', 'smoke', ['wide']))}"):
        known.values("wide", "map")


def test_variants_that_were_hardly_run_are_left_out():
    found = [
        Row(name, seed, {}, {"map": 10.0 * seed}) for name, n in (("a", 3), ("b", 1)) for seed in range(n)
    ]
    kept = Sweep("toy", "lesson", tuple(found))
    assert kept.ran("a", "map") == kept.ran("a", "map", 3) == {0: 0.0, 1: 10.0, 2: 20.0}
    assert (
        kept.ran("a", "map", 4) == kept.ran("b", "map") == kept.ran("c", "map") == kept.ran("a", "ap") == {}
    )


class Seen(Exception):
    """What a training was about to go by."""


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        *(("baselines", "tubelets"), ("sp_tad", "heads1"), ("pcsc", "longer"), ("cfad", "order2")),
        ("matching", "one_to_one_long"),
    ],
)
def test_what_a_run_goes_by_is_what_is_trained(name, variant, monkeypatch, tmp_path):
    """The settings and the schedule that the training is handed are among those that the hash covers."""

    def fit(system, data, config, *rest):
        raise Seen(system.config, config)

    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    module = rows.experiment_module(name)
    monkeypatch.setattr(module, "fit_unkept", fit)
    with pytest.raises(Seen) as found:
        module.run(variant, 3, "smoke")
    config, schedule = found.value.args
    said = [plain(one) for one in module.configured(variant, "smoke") if one is not None]
    assert plain(config) in said
    aside = ("seed", "checkpoint_every", "log_every")
    kept = {key: value for key, value in plain(schedule).items() if key not in aside}
    assert any(isinstance(one, dict) and kept.items() <= one.items() for one in said), (kept, said)
