"""The scorecard: gathered from what is kept, marked where it is stale, refused where it is damaged."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.reproduce import annotations, scorecard
from stad_lite.reproduce.claims import Claim, Comparison, read_claims
from stad_lite.reproduce.experiments import experiment_module
from stad_lite.reproduce.rows import Row, Sweep, config_of, keep_row, plain_settings, write_sweep
from stad_lite.reproduce.scorecard import changed_since, read_scorecard, score, write_scorecard
from stad_lite.reproduce.verdicts import ALL_VERDICTS

REGISTER = read_claims()
STEP = Claim(
    "step-x", "ordering", "Context helps.", "-2.5 without", "Sec. 4.2", "step/extrapolation", "run it", "yes",
    experiment="step", comparisons=(Comparison("base", "no_context", "frame_map"),), paper="step",
)  # fmt: skip
OTHER = msgspec.structs.replace(STEP, id="step-y", comparisons=(Comparison("base", "no_hard", "frame_map"),))


def row(variant: str, seed: int, value: float, **changes) -> Row:
    module = experiment_module("step")
    one = Row(
        variant, seed, plain_settings(module.VARIANTS[variant]), {"frame_map": value}, module.shared(variant),
        "lesson", config_of("step", variant, "lesson"), scorecard.commit().rstrip("+"), "a CPU",
    )  # fmt: skip
    return replace(one, **changes)


def runs(folder: Path, seeds: int = 5, **changes) -> Path:
    """Five seeds in which scene context helps by two points, up to a little noise."""
    kept = [row("no_context", seed, 50 + seed) for seed in range(seeds)]
    kept += [row("base", seed, 52 + seed + 0.1 * (seed % 2), **changes) for seed in range(seeds)]
    write_sweep(Sweep("step", "lesson", tuple(kept)), folder)
    return folder


def only(folder: Path, claim: Claim = STEP, **options) -> scorecard.Score:
    (found,) = score("lesson", {}, folder, [claim], **options).claims
    return found


def test_a_claim_is_judged_by_the_runs_that_are_kept(tmp_path):
    found = only(runs(tmp_path))
    assert (found.verdict, found.holm, found.where.profile, found.where.device) == (
        "reproduced", "reproduced", "lesson", "a CPU"
    )  # fmt: skip
    (part,) = found.parts
    assert part.ours == pytest.approx(2.04) and part.seeds == 5 and 0 < part.smallest < 1
    assert (found.command, found.figure) == (STEP.command, "-2.5 without")


def test_fewer_seeds_and_no_runs_are_told(tmp_path):
    assert only(runs(tmp_path, 3)).told == "undecided (3 of 5 seeds)"
    assert only(tmp_path / "empty").told == "no run kept"
    assert only(tmp_path / "empty").where.marks == ()


def test_rows_of_other_settings_are_marked(tmp_path):
    assert "its configuration has changed (5 of 10 runs)" in only(runs(tmp_path, config="0" * 12)).where.marks
    assert (
        "its settings have changed (5 of 10 runs)" in only(runs(tmp_path, settings={"steps": 9})).where.marks
    )
    assert "what its seeds share has changed (5 of 10 runs)" in only(runs(tmp_path, shared=())).where.marks


def test_rows_of_another_commit_are_marked(tmp_path):
    assert "commit 0123456789ab is not known here" in only(runs(tmp_path, commit="0123456789ab")).where.marks
    assert "its commit is not recorded" in only(runs(tmp_path, commit="not recorded")).where.marks
    told = only(runs(tmp_path, commit="0123456789ab+")).where.marks
    assert "run with files that differ from commit 0123456789ab" in told


def test_code_that_changed_since_is_seen(tmp_path):
    def git(*words: str) -> str:
        names = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        run = subprocess.run(
            ["git", *names, *words], cwd=tmp_path, capture_output=True, check=True, encoding="utf-8"
        )
        return run.stdout.strip()

    git("init", "-q")
    for name in ("one.py", "other.py"):
        (tmp_path / name).write_text("a = 1\n", encoding="utf-8")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    first = git("rev-parse", "--short=12", "HEAD")
    (tmp_path / "other.py").write_text("a = 2\n", encoding="utf-8")
    git("commit", "-q", "-a", "-m", "second")
    assert changed_since(first, ["one.py"], tmp_path) == ""
    assert changed_since(first, ["other.py", "one.py"], tmp_path) == (
        f"code changed since commit {first} (1 files)"
    )
    assert changed_since(first, ["one.py"], tmp_path / "nowhere") == f"commit {first} is not known here"


def test_a_damaged_file_of_runs_is_named(tmp_path):
    path = runs(tmp_path) / "step-lesson.json"
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    with pytest.raises(FormatError, match=r"step-lesson\.json"):
        only(tmp_path)


def test_a_damaged_file_of_counts_is_named(tmp_path):
    text = annotations.KEPT.read_text(encoding="utf-8").replace('"value"', '"volue"', 1)
    (tmp_path / "kept.json").write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=r"kept\.json"):
        only(tmp_path, REGISTER["tad-n"], kept=tmp_path / "kept.json")
    with pytest.raises(MissingFileError, match=r"gone\.json"):
        only(tmp_path, REGISTER["tad-n"], kept=tmp_path / "gone.json")


def test_damaged_timings_are_named(tmp_path):
    claim = REGISTER["flow-speed"]
    with pytest.raises(MissingFileError, match=r"flow_subnet\.json.*benchmarks\.bench_flow_subnet"):
        only(tmp_path, claim, benchmarks=tmp_path)
    for text, told in (("{", "not a benchmark's figures"), ("[]", "not a bench"), ("{}", "claim flow-speed")):
        (tmp_path / claim.results).write_text(text, encoding="utf-8")
        with pytest.raises(StadError, match=told):
            only(tmp_path, claim, benchmarks=tmp_path)


def test_unknown_variants_are_refused(tmp_path):
    wrong = Claim("a", "ordering", "", "", "", "", "run", "yes", experiment="step",
                  comparisons=(Comparison("basis", "base", "frame_map"),))  # fmt: skip
    with pytest.raises(FormatError, match="claim a: step has no variant 'basis'"):
        only(tmp_path, wrong)


def test_smoke_is_marked_as_mechanics(tmp_path):
    one = row("base", 0, 50.0, profile="smoke", config="")
    keep_row("step", "smoke", replace(one, config=config_of("step", "base", "smoke")), tmp_path)
    (found,) = score("smoke", {}, tmp_path, [STEP]).claims
    assert found.where.marks[-1] == scorecard.MECHANICS and found.verdict == "no run kept"


def test_runs_at_smoke_name_what_they_lack(tmp_path, monkeypatch):
    asked = []

    def sweep(name, variants, seeds, profile, jobs, folder):
        asked.append((name, variants, seeds, profile))
        if name == "pcsc":
            raise StadError("1 of 3 runs failed", remedy="try again")

    monkeypatch.setattr(scorecard, "sweep", sweep)
    problems = scorecard.run_smoke([STEP, OTHER, REGISTER["pcsc-baseline"]], tmp_path)
    assert asked == [
        ("step", ("base", "no_context", "no_hard"), (0,), "smoke"),
        ("pcsc", ("base", "baseline"), (0,), "smoke"),
    ]
    assert problems == ["pcsc: 1 of 3 runs failed; try again"]


TESTS = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_one_case_fails(number): assert number < 2
@pytest.mark.parametrize("number", [1, 2])
def test_one_case_is_skipped(number): number < 2 or pytest.skip("no data")
def test_skipped(): pytest.skip("no data")
def test_not_asked_for(): pass
"""


def test_tests_of_properties_are_run(tmp_path):
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "test_x.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n", encoding="utf-8")
    names = ("test_one_case_fails", "test_one_case_is_skipped", "test_skipped")
    claim = Claim("a", "property", "", "", "", "", "run", "yes",
                  tests=tuple(f"checks/test_x.py::{name}" for name in names))  # fmt: skip
    outcomes = scorecard.run_tests([claim], tmp_path)
    assert outcomes == dict(zip(claim.tests, ("failed", "passed", "skipped"), strict=True))


def test_a_scorecard_is_read_as_it_was_written(tmp_path):
    card = score("lesson", {}, runs(tmp_path), [STEP, OTHER])
    known = {one.id: one for one in (STEP, OTHER)}
    path = write_scorecard(card, tmp_path / "card.json")
    assert read_scorecard(path, known) == card
    assert dict(card.counts()["step"]) == {"reproduced": 1, "no run kept": 1}
    assert card.chosen["step"]


def damaged(document: dict, how: str) -> object:
    if how == "format":
        return {**document, "format": "stad-lite/scorecard/9"}
    if how == "verdict":
        document["claims"][0]["verdict"] = 7
    if how == "unknown":
        document["claims"][0]["id"] = "step-contest"
    if how == "missing":
        del document["claims"][0]
    if how == "twice":
        document["claims"].append(document["claims"][0])
    return [] if how == "list" else document


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("format", "its format is not"), ("list", "its format is not"), ("verdict", "verdict"),
        ("unknown", "claim 'step-contest' is not in the register"),
        ("missing", "'step-x' stands 0 times"),
        ("twice", "'step-x' stands 2 times"),
    ],
)  # fmt: skip
def test_a_damaged_scorecard_is_refused(how, told, tmp_path):
    path = write_scorecard(score("lesson", {}, runs(tmp_path), [STEP]), tmp_path / "card.json")
    document = damaged(json.loads(path.read_text(encoding="utf-8")), how)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(FormatError, match=told) as caught:
        read_scorecard(path, {"step-x": STEP})
    assert "card.json" in str(caught.value)


def test_a_cut_scorecard_and_none_are_named(tmp_path):
    (tmp_path / "cut.json").write_text('{"format": "stad-lite/sco', encoding="utf-8")
    with pytest.raises(FormatError, match=r"cut\.json"):
        read_scorecard(tmp_path / "cut.json")
    with pytest.raises(MissingFileError, match="make scorecard"):
        read_scorecard(tmp_path / "none.json")


def test_the_committed_scorecard_says_what_the_committed_runs_say():
    """But for marks and commits; it is made anew by make scorecard ARGS="--profile lesson"."""
    kept = read_scorecard()
    outcomes = {part.what: {"reproduced": "passed", "reported": "skipped"}.get(part.verdict, "failed")
                for one in kept.claims if one.kind == "property" for part in one.parts}  # fmt: skip
    now = score("lesson", outcomes)
    assert {one.verdict for one in kept.claims} <= set(ALL_VERDICTS)
    for before, after in zip(kept.claims, now.claims, strict=True):
        assert (after.id, after.told, after.parts) == (before.id, before.told, before.parts)
        assert (after.statement, after.command, after.why) == (before.statement, before.command, before.why)


def test_the_command_line_names_what_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scorecard, "run_tests", lambda claims: {})
    monkeypatch.setattr(scorecard, "SWEEPS", runs(tmp_path))
    monkeypatch.setattr(scorecard, "read_claims", lambda: {"step-x": STEP})
    assert scorecard.main(["--profile", "lesson", "--out", str(tmp_path / "card.json")]) == 0
    assert "step-x                  reproduced" in capsys.readouterr().out
    (tmp_path / "step-lesson.json").write_text("{", encoding="utf-8")
    assert scorecard.main(["--profile", "lesson", "--out", str(tmp_path / "card.json")]) == 2
    assert "step-lesson.json" in capsys.readouterr().err
