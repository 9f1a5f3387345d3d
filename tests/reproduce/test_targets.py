"""What words mean: papers, experiments with variants, chapters."""

from __future__ import annotations

import pytest

from stad_lite.errors import StadError
from stad_lite.reproduce import targets
from stad_lite.reproduce.experiments import experiment_module, experiment_names
from stad_lite.reproduce.jobs import Job
from stad_lite.reproduce.targets import jobs_of, resolve


def of(*names):
    return [(name, variant) for name in names for variant in experiment_module(name).VARIANTS]


def test_papers_experiments_and_variants_are_understood():
    assert resolve(["step"]) == of("step")
    assert resolve(["sp_tad"]) == of("sp_tad", "matching") and resolve(["matching"]) == of("matching")
    assert resolve(["sp_tad:"]) == of("sp_tad")
    assert resolve(["cfad:order2,base", "cfad:base"]) == [("cfad", "order2"), ("cfad", "base")]
    assert resolve([]) == of(*experiment_names())


@pytest.mark.parametrize("word", ["step/extrapolation", "book/step/extrapolation.ipynb"])
def test_a_chapter_means_what_it_reads(word):
    assert resolve([word]) == of("step")
    assert resolve(["sp_tad/bipartite_matching"]) == of("matching")


def test_every_chapter_that_reads_kept_runs_is_found():
    texts = {name: (targets.BOOK / f"{name}.ipynb").read_text("utf-8") for name in targets._chapters()}
    found = [name for name, text in texts.items() if "read_sweep(" in text]
    assert len(found) >= 15
    for name in found:
        assert resolve([name])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("stepp", r"'stepp'; did you mean step"),
        ("step/extrapolatoin", "did you mean step/extrapolation"),
        ("step:narrow", r"step has no variant narrow; choose from base"),
        ("nothing:base", "no experiment is called 'nothing'; choose from baselines"),
        ("evaluation/scoring", "the chapter scoring reads no kept runs"),
    ],
)
def test_words_that_mean_nothing_are_refused(word, told):
    with pytest.raises(StadError, match=told):
        resolve([word])


def test_all_variants_have_their_first_seed_before_any_has_its_second():
    assert jobs_of(["cfad:base,rgb"], range(2), "smoke") == [
        Job("cfad", variant, seed, "smoke") for seed in (0, 1) for variant in ("base", "rgb")
    ]
