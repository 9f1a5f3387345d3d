"""Sweeps: what is kept, what is made anew, and the verdicts."""

from __future__ import annotations

import json
import math
import sys
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from stad_lite.errors import FormatError, StadError
from stad_lite.reproduce import sweep as sweeps
from stad_lite.reproduce.sweep import Row, Sweep, interval, judge, read_sweep, sweep, write_sweep


@pytest.fixture
def toy(monkeypatch):
    """An experiment that counts its runs."""
    module = ModuleType("stad_lite.reproduce.experiments.toy")
    module.VARIANTS = {"base": {}, "wide": {"width": 2}}
    module.runs, module.shared = [], lambda variant: module.common
    module.common = ("backbone",)

    def run(variant, seed, profile):
        module.runs.append((variant, seed))
        if seed == 7:
            raise RuntimeError("killed")
        return {"map": 50 + seed + 5 * (variant == "wide"), "cpu_seconds": 0.25}

    module.run = run
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_runs_are_kept_and_only_missing_ones_are_made(toy, tmp_path):
    sweep("toy", ["base"], [0, 1], "smoke", folder=tmp_path, say=str)
    done = sweep("toy", [], [0, 1, 2], "smoke", folder=tmp_path, say=str)
    assert len(toy.runs) == len(set(toy.runs)) == 6
    assert done.values("wide", "map") == {0: 55.0, 1: 56.0, 2: 57.0}
    assert read_sweep("toy", "smoke", tmp_path) == done
    assert read_sweep("toy", "lesson", tmp_path).rows == ()
    sweep("toy", [], [0, 1, 2], "smoke", folder=tmp_path, say=str)
    assert len(toy.runs) == 6


def test_changed_settings_are_run_anew_and_the_rest_is_kept(toy, tmp_path):
    sweep("toy", [], [0], "smoke", folder=tmp_path, say=str)
    toy.VARIANTS["wide"] = {"width": 3}
    toy.runs.clear()
    done = sweep("toy", [], [0], "smoke", folder=tmp_path, say=str)
    assert toy.runs == [("wide", 0)]
    assert {row.variant: row.settings for row in done.rows} == {"base": {}, "wide": {"width": 3}}


def test_what_seeds_share_is_kept_and_a_run_that_shares_more_is_made_anew(toy, tmp_path):
    done = sweep("toy", [], [0, 1], "smoke", folder=tmp_path, say=str)
    assert {row.shared for row in read_sweep("toy", "smoke", tmp_path).rows} == {("backbone",)}
    assert done.shared("base", "wide") == "backbone" and done.shared() == "nothing"
    toy.common = ()
    toy.runs.clear()
    done = sweep("toy", ["base"], [0], "smoke", folder=tmp_path, say=str)
    assert toy.runs == [("base", 0)] and done.shared("base") == "backbone"  # seed 1 is the earlier run
    path = tmp_path / "toy-smoke.json"
    path.write_text(path.read_text("utf-8").replace(', "shared": ["backbone"]', ""), "utf-8")
    assert read_sweep("toy", "smoke", tmp_path).shared("wide") == "not recorded"


@pytest.mark.parametrize("path", sorted(sweeps.SWEEPS.glob("*.json")), ids=lambda path: path.stem)
def test_kept_runs_say_what_they_shared(path):
    kept = read_sweep(*path.stem.rsplit("-", 1))
    assert kept.rows and all("not recorded" not in row.shared for row in kept.rows)


def test_a_run_that_breaks_loses_nothing(toy, tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        sweep("toy", ["base"], [0, 7], "smoke", folder=tmp_path, say=str)
    assert read_sweep("toy", "smoke", tmp_path).values("base", "map") == {0: 50.0}


def test_unknown_names_are_refused(toy, tmp_path):
    with pytest.raises(StadError, match=r"no variant narrow.*base, wide"):
        sweep("toy", ["narrow"], [0], "smoke", folder=tmp_path)
    with pytest.raises(StadError, match="no experiment is called 'nothing'"):
        sweep("nothing", folder=tmp_path)
    known = Sweep("toy", "smoke", (Row("base", 0, {}, {"map": 1.0}),))
    with pytest.raises(StadError, match=r"no figure 'ap'.*map"):
        known.values("base", "ap")
    with pytest.raises(StadError, match=r"not run.*--variants wide"):
        known.values("wide", "map")


def test_damaged_files_are_named(tmp_path):
    path = write_sweep(Sweep("toy", "smoke", (Row("base", 0, {}, {"map": 1.0}),)), tmp_path)
    assert json.loads(path.read_text("utf-8"))["runs"][0]["figures"] == {"map": 1.0}
    path.write_text(path.read_text("utf-8")[:-20], "utf-8")
    with pytest.raises(FormatError, match=r"toy-smoke\.json"):
        read_sweep("toy", "smoke", tmp_path)
    with pytest.raises(ValueError):
        write_sweep(Sweep("toy", "lesson", (Row("base", 0, {}, {"map": math.nan}),)), tmp_path)
    assert not (tmp_path / "toy-lesson.json").exists()


def test_the_interval_is_the_paired_t_test():
    random = np.random.default_rng(0)
    first, second = random.normal(1, 1, 9), random.normal(0, 1, 9)
    low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = judge(dict(enumerate(first)), dict(enumerate(second)))
    np.testing.assert_allclose([found.low, found.high], [low, high])
    np.testing.assert_allclose(interval(first)[0], first.mean())


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ({0: 5.0, 1: 6.0, 2: 7.0}, {0: 1.0, 1: 2.1, 2: 3.0}, "reproduced"),
        ({0: 1.0, 1: 2.1, 2: 3.0}, {0: 5.0, 1: 6.0, 2: 7.0}, "not reproduced"),
        ({0: 5.0, 1: 1.0}, {0: 1.0, 1: 4.0}, "undecided"),
        ({0: 5.0}, {0: 1.0}, "undecided"),
    ],
)
def test_verdicts(first, second, verdict):
    assert judge(first, second).verdict == verdict


def test_only_shared_seeds_are_paired():
    assert judge({0: 2.0, 1: 3.0, 5: 99.0}, {0: 1.0, 1: 2.0, 9: 0.0}).seeds == 2
    with pytest.raises(FormatError, match="no seed in common"):
        judge({0: 1.0}, {1: 1.0})


def test_the_command_refuses_in_one_line(capsys):
    assert sweeps.main(["nothing"]) == 2
    assert "no experiment is called 'nothing'" in capsys.readouterr().err


def test_variants_that_were_hardly_run_are_left_out_and_told():
    rows = [
        Row(name, seed, {}, {"map": 10.0 * seed}) for name, n in (("a", 3), ("b", 1)) for seed in range(n)
    ]
    kept = Sweep("toy", "lesson", tuple(rows))
    assert kept.ran("a", "map") == kept.ran("a", "map", 3) == {0: 0.0, 1: 10.0, 2: 20.0}
    assert (
        kept.ran("a", "map", 4) == kept.ran("b", "map") == kept.ran("c", "map") == kept.ran("a", "ap") == {}
    )
    assert kept.left_out(["a"], 3) == ""
    told = kept.left_out(["a", "b", "c"], 3)
    assert told.splitlines() == [
        "left out, with fewer than 3 seeds; to run:", sweeps.command("toy", "lesson", ["b", "c"])
    ]  # fmt: skip
