"""The overlaps that go into each step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import CLASSES, Settings
from stad_lite.step import analysis
from stad_lite.step import system as pipeline
from stad_lite.step.analysis import overlaps_beside, overlaps_by_step
from tests.step.cases import tiny


def test_the_first_step_sees_the_cuboids(tmp_path):
    source = synthetic_source(Settings.smoke(), 2, "train", tmp_path)
    torch.manual_seed(0)
    system = pipeline.StepSystem(tiny(), CLASSES)
    found = overlaps_by_step(system, source, stride=5)
    assert len(found) == 3
    first = system.network.initial.numpy().astype(np.float64)
    of_truths, of_proposals = [], []
    for video in source.videos:
        for start in (0, 5, 10):
            tubes = source.annotations.videos[video].tubes
            each = []
            for tube in tubes:
                frames = [f for f in range(start, start + 6) if tube.start <= f < tube.end]
                if len(frames) >= 3:
                    truth = np.stack([tube.boxes[f - tube.start] for f in frames])
                    each.append([box_ops.iou(cuboid[0], truth).mean() for cuboid in first])
            if each:
                of_truths += [max(row) for row in each]
                of_proposals += np.max(each, axis=0).tolist()
    np.testing.assert_allclose(sorted(found[0].truths), sorted(of_truths), atol=1e-5)
    np.testing.assert_allclose(sorted(found[0].proposals), sorted(of_proposals), atol=1e-5)
    assert all(len(step.proposals) == len(of_proposals) for step in found)


def test_the_boxes_beside_are_held_against_the_truth_of_their_own_frames(monkeypatch, tmp_path):
    """A truth extended by itself is perfect; a frame late it is not."""
    source = synthetic_source(Settings.smoke(), 3, "train", tmp_path)
    torch.manual_seed(0)
    system = pipeline.StepSystem(
        tiny(clips=(1, 3), thresholds=(0.2, 0.35), extension="anticipation"), CLASSES
    )
    told = overlaps_beside(system, source)
    assert set(told) == {"copy_2", "extrapolation_2", "anticipation_2"}
    assert all(0 < value < 1 for value in told.values())

    def of_truth(answer, config):
        return truth_of["batch"].to(answer.proposals)

    truth_of = {}
    batches = analysis.batched

    def watched(*arguments):
        for batch in batches(*arguments):
            truth_of["batch"] = torch.where(batch["present"][..., None], batch["truth"], 0.0)
            yield batch

    monkeypatch.setattr(analysis, "batched", watched)
    monkeypatch.setattr(analysis, "extend", of_truth)
    assert set(overlaps_beside(system, source).values()) == {1.0}
    monkeypatch.setattr(analysis, "extend", lambda answer, config: of_truth(answer, config).roll(1, 2))
    assert max(overlaps_beside(system, source).values()) < 1


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    source = synthetic_source(Settings.smoke(), 4, "train", tmp_path_factory.mktemp("clips"))
    torch.manual_seed(0)
    system = pipeline.StepSystem(tiny(clips=(1, 1), stride=5), CLASSES)
    return analysis.Clips.of(system, source)


def test_clips_hold_a_truth_and_whole_ones_hold_it_throughout(clips):
    assert clips.runs and all(clips.batch(run)["valid"].any() for run in clips.runs)
    whole = clips.throughout()
    partly = tuple(run for run in clips.runs if not clips.batch(run)["present"].all())
    assert 0 < len(whole) == len(clips.runs) - len(partly) < len(clips.runs)
    nothing = replace(clips, runs=partly)
    assert nothing.throughout() == list(nothing.runs)


def test_the_smallest_actor_is_told_in_percent_of_the_frame(clips):
    run = clips.throughout()[0]
    truth = clips.batch(run)["truth"][clips.batch(run)["valid"]]
    areas = (truth[..., 2] - truth[..., 0]) * (truth[..., 3] - truth[..., 1])
    assert clips.smallest(run) == pytest.approx(100 * areas.mean(1).min().item() / 48**2)


def test_refined_proposals_are_those_of_the_steps_and_the_best_is_named(clips):
    for run in clips.runs[:4]:
        shown, answers = clips.refined(run), clips.system.answers(clips.batch(run))
        assert len(shown.steps) == 3 and shown.truth.shape[1:] == (6, 4)
        np.testing.assert_array_equal(shown.steps[1], answers[1].proposals[0])
        for best, true in zip(shown.best, shown.truth, strict=True):
            there = np.isfinite(true[:, 0])
            means = box_ops.iou(shown.steps[-1][:, there], true[there]).mean(1)
            assert means[best] == pytest.approx(means.max(), abs=1e-6)


def test_extended_tubelets_hold_the_clip_in_their_middle(clips):
    found = [clips.extended(run) for run in clips.runs]
    assert any(len(one.truth) for one in found)
    for run, one in zip(clips.runs, found, strict=True):
        middle = clips.refined(run).steps[-1]
        for rule in ("copy", "extrapolation"):
            np.testing.assert_array_equal(one.rows[f"{rule}, true"][:, 6:12], one.truth[:, 6:12])
            assert all((middle == row[6:12]).all((1, 2)).any() for row in one.rows[rule])
        held = one.rows["copy, true"]
        np.testing.assert_array_equal(held[:, 0], held[:, 6])
        assert one.present[:, 6:12].all()


def test_what_a_step_draws_comes_from_its_pools(clips):
    counts = clips.drawn_of(clips.runs)
    assert len(counts) == 2
    for positives, some, negatives, others in counts:
        assert positives + negatives == pytest.approx(11)
        assert 0 < some <= positives and 0 < others <= negatives
