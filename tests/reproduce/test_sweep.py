"""Sweeps: what is kept, what is made anew, what fails, and how much time is left."""

from __future__ import annotations

import itertools
import json

import pytest

from stad_lite.errors import StadError
from stad_lite.reproduce import sweep as sweeps
from stad_lite.reproduce.jobs import Job
from stad_lite.reproduce.rows import Row, Sweep, read_sweep, write_sweep
from stad_lite.reproduce.sweep import Pace, expected, missing, sweep


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


def test_a_changed_configuration_is_run_anew_unless_the_row_never_said_it(toy, tmp_path):
    sweep("toy", ["base"], [0], "smoke", folder=tmp_path, say=str)
    path = write_sweep(read_sweep("toy", "smoke", tmp_path), tmp_path)
    toy.rate, jobs = 0.2, [Job("toy", "base", 0, "smoke")]
    assert missing(jobs, tmp_path) == jobs
    document = json.loads(path.read_text("utf-8"))
    document["runs"][0]["config"] = "not recorded"
    path.write_text(json.dumps(document), "utf-8")
    assert missing(jobs, tmp_path) == []


def test_what_seeds_share_is_kept_and_a_run_that_shares_more_is_made_anew(toy, tmp_path):
    done = sweep("toy", [], [0, 1], "smoke", folder=tmp_path, say=str)
    assert {row.shared for row in read_sweep("toy", "smoke", tmp_path).rows} == {("backbone",)}
    assert done.shared("base", "wide") == "backbone" and done.shared() == "nothing"
    toy.common = ()
    toy.runs.clear()
    done = sweep("toy", ["base"], [0], "smoke", folder=tmp_path, say=str)
    assert toy.runs == [("base", 0)] and done.shared("base") == "backbone"  # seed 1 is the earlier run


def test_a_run_that_breaks_stops_no_other_and_is_told(toy, tmp_path):
    lines: list[str] = []
    with pytest.raises(
        StadError, match=r"1 of 3 runs failed: toy base seed 7: RuntimeError: broken; the same"
    ):
        sweep("toy", ["base"], [0, 7, 1], "smoke", folder=tmp_path, say=lines.append)
    assert read_sweep("toy", "smoke", tmp_path).values("base", "map") == {0: 50.0, 1: 51.0}
    assert "Traceback" in lines[1] and "raise RuntimeError" in lines[1]


def test_unknown_names_are_refused(toy, tmp_path):
    with pytest.raises(StadError, match=r"no variant narrow.*base, wide"):
        sweep("toy", ["narrow"], [0], "smoke", folder=tmp_path)
    with pytest.raises(StadError, match="no experiment is called 'nothing'"):
        sweep("nothing", folder=tmp_path)


def test_the_command_refuses_in_one_line(capsys):
    assert sweeps.main(["nothing"]) == 2
    assert "no experiment is called 'nothing'" in capsys.readouterr().err


def test_what_runs_should_cost_is_that_of_kept_ones(toy, tmp_path):
    jobs = [Job("toy", variant, 5, "smoke") for variant in ("base", "wide")]
    assert expected(jobs, tmp_path) == dict.fromkeys(jobs)
    rows = [Row("base", seed, {}, {"cpu_seconds": 10.0 + seed}, profile="smoke") for seed in (0, 2)]
    write_sweep(Sweep("toy", "smoke", tuple(rows)), tmp_path)
    assert expected(jobs, tmp_path) == {jobs[0]: 11.0, jobs[1]: 11.0}
    rows.append(Row("wide", 0, {}, {}, profile="smoke", cpu_seconds=40.0))
    write_sweep(Sweep("toy", "smoke", tuple(rows)), tmp_path)
    assert expected(jobs, tmp_path) == {jobs[0]: 11.0, jobs[1]: 40.0}


def watched(costs, true, processes=1):
    """The seconds told to be left after each job, and those that were left, on a clock of its own."""
    now = [0.0]
    jobs = {Job("toy", "base", seed, "smoke"): cost for seed, cost in enumerate(costs)}
    pace = Pace(jobs, processes, clock=lambda: now[0])
    ends, free = [], [0.0] * processes
    for job, seconds in zip(jobs, true, strict=True):
        worker = free.index(min(free))
        free[worker] += seconds
        ends.append((free[worker], job, seconds))
    told = [pace.left()]
    for now[0], job, seconds in sorted(ends, key=lambda end: end[0]):
        pace.note(job, seconds)
        told.append(pace.left())
    finish = max(end for end, _, _ in ends)
    return told, [finish, *(finish - end for end in sorted(end for end, _, _ in ends))]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("slower", [0.5, 1.0, 3.0])
def test_time_left_does_not_jump_where_cheap_runs_and_dear_ones_alternate(processes, slower):
    """Counted by runs it would double and halve with each."""
    costs = [1.0, 100.0] * 10
    told, true = watched(costs, [slower * cost for cost in costs], processes)
    whole = true[0]
    off = [abs(a - b) / whole for a, b in zip(told, true, strict=True)]
    assert max(off[3:]) < 0.35 and max(off[6:]) < 0.21 and off[-1] < 0.05
    assert slower != 1 or max(off) < 0.003
    assert max(after - before for before, after in itertools.pairwise(told[3:])) < 0.25 * whole


def test_time_left_is_not_told_before_anything_is_known_and_failures_say_nothing():
    jobs = [Job("toy", "base", seed, "smoke") for seed in range(3)]
    pace = Pace(dict.fromkeys(jobs), clock=lambda: 0.0)
    assert pace.left() is None and str(pace) == ""
    pace.note(jobs[0], None)
    assert pace.left() is None
    pace.note(jobs[1], 100.0)
    assert pace.left() == 200.0 and str(pace) == ", about 3 min left"
