"""What words mean: papers, experiments with variants, chapters."""

from __future__ import annotations

import re

import pytest

from stad_lite.errors import StadError
from stad_lite.reproduce import targets
from stad_lite.reproduce.claims import PAPERS, read_claims
from stad_lite.reproduce.experiments import experiment_module, experiment_names
from stad_lite.reproduce.jobs import Job
from stad_lite.reproduce.targets import jobs_of, resolve


def of(*names):
    return [(name, variant) for name in names for variant in experiment_module(name).VARIANTS]


def judged(**which):
    """By another way than the library's: what the comparisons of some claims name."""
    ((field, value),) = which.items()
    claims = [
        claim for claim in read_claims().values() if getattr(claim, field) == value and claim.experiment
    ]
    return {(claim.experiment, variant) for claim in claims for variant in claim.variants}


def test_experiments_and_variants_are_understood():
    assert resolve(["matching"]) == resolve(["matching:"]) == of("matching")
    assert resolve(["step:"]) == of("step")
    assert resolve(["cfad:order2,base", "cfad:base"]) == [("cfad", "order2"), ("cfad", "base")]


def test_claims_and_papers_mean_what_they_are_judged_on():
    steps = resolve(["step-steps"])
    assert steps == [("step", "base"), ("step", "steps4")]
    assert set(resolve(["step"])) == judged(paper="step") and set(steps) < judged(paper="step")
    papers = {pair for paper in PAPERS for pair in judged(paper=paper)}
    assert set(resolve([])) == set(resolve(PAPERS)) == papers
    assert {name for name, _ in papers} <= set(experiment_names())


@pytest.mark.parametrize("word", ["step/extrapolation", "book/step/extrapolation.ipynb"])
def test_a_chapter_means_what_its_claims_are_judged_on_or_what_it_reads(word):
    assert set(resolve([word])) == judged(notebook="step/extrapolation")
    assert resolve(["ground/from_frames_to_a_detector"]) == of("baselines")


def test_every_chapter_that_reads_kept_runs_is_found():
    texts = {name: (targets.BOOK / f"{name}.ipynb").read_text("utf-8") for name in targets._chapters()}
    found = [name for name, text in texts.items() if re.search(r"(read_sweep|Kept|from_sweep)\(", text)]
    assert len(found) >= 15
    for name in found:
        assert resolve([name])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("step-step", r"'step-step'; did you mean step-steps"),
        ("step/extrapolatoin", "did you mean step/extrapolation"),
        ("step:narrow", r"step has no variant narrow; choose from base"),
        ("nothing:base", "no experiment is called 'nothing'; choose from baselines"),
        ("evaluation/scoring", "evaluation/scoring takes no runs that are kept"),
        (
            "step-drift",
            "step-drift takes no runs that are kept; run: python -m stad_lite.reproduce.annotations",
        ),
    ],
)
def test_words_that_mean_nothing_are_refused(word, told):
    with pytest.raises(StadError, match=told):
        resolve([word])


def test_all_variants_have_their_first_seed_before_any_has_its_second():
    assert jobs_of(["cfad:base,rgb"], range(2), "smoke") == [
        Job("cfad", variant, seed, "smoke") for seed in (0, 1) for variant in ("base", "rgb")
    ]
