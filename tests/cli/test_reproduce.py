"""``stad-lite reproduce``: what it tells, makes, keeps and refuses."""

from __future__ import annotations

import pytest

from stad_lite import cli
from stad_lite.reproduce.rows import Row, Sweep, read_sweep, write_sweep


def test_it_tells_what_would_be_run_and_what_it_should_take(tmp_path, capsys):
    told = ({"estimator": "dis"}, {}, ("everything",), "smoke")
    rows = tuple(Row("dis", seed, *told, cpu_seconds=7200.0) for seed in (0, 9))
    write_sweep(Sweep("flow", "smoke", rows), tmp_path)
    words = ["reproduce", "flow:dis,farneback", "--profile", "smoke", "--seeds", "2", "--out", str(tmp_path)]
    assert cli.main([*words, "--tell"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 of 4 runs are kept, 3 are to be made: about 6 h 0 min on one processor",
        "  flow farneback seed 0", "  flow dis seed 1", "  flow farneback seed 1",
    ]  # fmt: skip
    assert len(read_sweep("flow", "smoke", tmp_path).rows) == 2, "nothing was run"


def test_it_makes_the_runs_once(tmp_path, capsys):
    words = ["reproduce", "flow:farneback", "--profile", "smoke", "--seeds", "2", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    first = capsys.readouterr().out
    assert "2 are to be made, and 2 of which nothing is known yet" in first.splitlines()[0]
    assert "flow farneback seed 0: epe" in first and "(1 of 2, about" in first
    assert read_sweep("flow", "smoke", tmp_path).rows[0].commit != "not recorded"
    assert cli.main(words) == 0
    assert capsys.readouterr().out == "2 of 2 runs are kept, 0 are to be made\n"


def test_experiments_without_a_profile_are_told_before_it_begins(tmp_path, capsys):
    words = ["reproduce", "step:base", "protocol:cfad", "trims:", "--profile", "large", "--seeds", "2"]
    assert cli.main([*words, "--tell", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "left out, for they have no profile large: step, trims (on a GPU: the experiment "
        "protocol, or python -m stad_lite.reproduce.on_a_gpu SYSTEM)",
        "0 of 2 runs are kept, 2 are to be made, and 2 of which nothing is known yet",
        "  protocol cfad seed 0",
        "  protocol cfad seed 1",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody"], "nothing to reproduce is called 'nobody'"),
        (
            ["step", "--profile", "large"],
            "no experiment at 'large'; choose lesson or smoke; on a GPU: ",
        ),
        (["cfad", "--profile", "large"], "no profile 'large'"),
        (["step", "--seeds", "0"], "--seeds is 0; give a number from 1"),
        (["step", "--seeds", "1000000000"], "--seeds is 1000000000; give a number from 1 to 1000"),
        (["step", "--devices", "a"], "--devices is 'a'; give numbers between commas"),
    ],
)
def test_it_refuses_in_one_line(words, told, tmp_path, capsys):
    assert cli.main(["reproduce", *words, "--out", str(tmp_path)]) == 2
    line = capsys.readouterr().err
    assert line.startswith("stad-lite reproduce: ") and told in line and line.count("\n") == 1
    assert not list(tmp_path.iterdir())
