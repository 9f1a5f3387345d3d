"""The labels, the suppression and the duplicates of the matching experiment on cases small enough to see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite.errors import FormatError
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, Predictions, Segment, VideoAnnotation, VideoPredictions
from stad_lite.reproduce.experiments import matching as experiment
from stad_lite.sp_tad import system as pipeline
from stad_lite.sp_tad.criterion import Instances, make_truth
from stad_lite.sp_tad.model import Outputs

TRUTH = make_truth([torch.tensor([[0.0, 0.4], [0.6, 1.0]]), torch.zeros(0, 2)],
                   [torch.tensor([0, 1]), torch.zeros(0)])  # fmt: skip


def outputs(*heads: list[list[float]]) -> Outputs:
    """The same proposals in both windows, other ones in every head."""
    segments = torch.tensor(heads)[:, None].expand(-1, 2, -1, -1)
    return Outputs(torch.zeros(*segments.shape[:3], 2), segments, None)


def test_every_good_overlap_is_positive_in_every_head() -> None:
    good = [[0.0, 0.4], [0.1, 0.4], [0.3, 0.9], [0.6, 0.9]]
    far = [[0.0, 0.05], [0.1, 0.4], [0.45, 0.5], [0.5, 0.65]]
    first, second = experiment.match_by_overlap(outputs(good, far), TRUTH)
    assert first.item.tolist() == [0, 0, 0] and second.item.tolist() == [0, 0]
    assert (first.proposal.tolist(), first.truth.tolist()) == ([0, 1, 3], [0, 0, 1])  # 0.3..0.9 has 3/7
    assert (second.proposal.tolist(), second.truth.tolist()) == ([1, 3], [0, 1])


def test_without_truths_nothing_is_positive() -> None:
    empty = make_truth([torch.zeros(0, 2)] * 2, [torch.zeros(0)] * 2)
    assert not len(experiment.match_by_overlap(outputs([[0.0, 1.0]]), empty)[0].item)


def test_labels_meet_the_definition_on_random_segments() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        spans = torch.from_numpy(np.sort(random.random((12, 2)))).float()
        true = torch.from_numpy(np.sort(random.random((1, 3, 2)))).float()
        truth = Instances(true, torch.zeros(1, 3).long(), (3,))
        some = Outputs(torch.zeros(1, 1, 12, 1), spans[None, None], None)
        found = experiment.match_by_overlap(some, truth)[0]
        (start, end), (first, last) = spans.T[:, :, None], true[0].T
        shared = (torch.minimum(end, last) - torch.maximum(start, first)).clamp(0)
        lengths = end - start + last - first
        tiou = shared / (lengths - shared)
        best = {
            int(n)
            for g in range(3)
            for n in (tiou[:, g] == tiou[:, g].max()).nonzero()[:, 0]
            if tiou[n, g] > 0
        }
        wanted = best | {n for n in range(12) if tiou[n].max() >= 0.5}
        assert set(found.proposal.tolist()) == wanted
        assert len(found.proposal) == len(wanted)


def answers(*rows: tuple[str, float, float, float]) -> Predictions:
    return Predictions(("a", "b"), {"v": VideoPredictions(segments=tuple(Segment(*row) for row in rows))})


TRUE = VideoAnnotation(segments=(Segment("a", 0, 4), Segment("a", 6, 9)))
TWO = Annotations("toy", ("a", "b"), {"v": TRUE})


def test_suppression_keeps_the_best_of_a_class() -> None:
    found = answers(("a", 0, 4, 0.9), ("a", 0, 3.9, 0.8), ("b", 0, 4, 0.7), ("a", 6, 9, 0.6))
    kept = experiment.suppress(found).videos["v"].segments
    assert [one.score for one in kept] == [0.9, 0.7, 0.6]


def test_duplicates_are_told_among_the_best_answers_only() -> None:
    repeated = answers(("a", 0, 4, 0.9), ("a", 0, 3.9, 0.8), ("a", 6, 9, 0.6))
    assert experiment.duplicates(TWO, repeated) == 50
    assert experiment.duplicates(TWO, answers(("a", 0, 4, 0.9), ("b", 0, 4, 0.8), ("a", 0, 4, 0.7))) == 0
    assert experiment.duplicates(TWO, answers()) == 0


def test_duplicates_cost_precision_that_suppression_gives_back() -> None:
    found = experiment.figures(TWO, answers(("a", 0, 4, 0.9), ("a", 0, 3.9, 0.8), ("a", 6, 9, 0.6)))
    assert found["suppressed"] == 100
    assert found["gain"] == pytest.approx(100 - found["raw"]) and found["raw"] < 100
    levels = evaluate(TWO, answers(("a", 0, 4, 0.9)), "temporal-map", iou=experiment.THRESHOLDS)
    assert levels.mean == 50


def batch(profile: str = "smoke") -> tuple[experiment.Labelled, pipeline.Batch]:
    config, source = experiment.one_window(profile, "train")
    torch.manual_seed(0)
    system = experiment.build(config, source.annotations.classes, {})
    data = pipeline.training_set(system.system, source)
    return system, pipeline.collate([data[i] for i in range(3)])


def test_every_video_is_one_window() -> None:
    for split in ("train", "test"):
        config, source = experiment.one_window("smoke", split)
        windows = pipeline.test_windows(pipeline.build(config, ["x"]), source).places
        assert [window.video for window in windows] == list(source.videos)
        assert config.sigma == 0


def test_the_two_labellings_share_network_and_terms_but_not_the_loss() -> None:
    system, some = batch()
    start, end = some.truth.segments[0, 0].tolist()
    with torch.no_grad():  # all proposals begin on one truth
        system.network.proposals["segments"][:] = torch.tensor([(start + end) / 2, end - start])
    one = system.loss(some)
    system.labels = "one-to-many"
    many = system.loss(some)
    assert one.keys() == many.keys() == {"cls", "l1", "giou"}
    assert not torch.isclose(sum(one.values()), sum(many.values()))
    sum(many.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in system.network.parameters() if p.grad is not None)


def test_one_to_many_loss_is_divided_by_its_positives() -> None:
    system, some = batch()
    system.labels = "one-to-many"
    out = system.network(some.inputs)
    matches = experiment.match_by_overlap(out, some.truth)
    total = sum(
        (out.segments[h, m.item, m.proposal] - some.truth.segments[m.item, m.truth]).abs().sum()
        for h, m in enumerate(matches)
    )
    positives = sum(len(m.item) for m in matches) / len(matches)
    torch.testing.assert_close(system.loss(some)["l1"], system.config.l1_weight * total / positives)


def test_a_silent_head_changes_with_its_own_proposal_only() -> None:
    config, source = experiment.one_window("smoke", "train")
    for settings, others in (({}, True), ({"self_attention": False}, False)):
        torch.manual_seed(0)
        system = experiment.build(config, source.annotations.classes, settings)
        data = pipeline.training_set(system.system, source)
        inputs = pipeline.collate([data[0]]).inputs
        before = system.network(inputs).logits
        with torch.no_grad():
            system.network.proposals["features"][0].normal_()
        after = system.network(inputs).logits
        assert not torch.allclose(before[..., 0, :], after[..., 0, :])
        assert torch.allclose(before[..., 1:, :], after[..., 1:, :]) is not others


def test_answers_are_those_of_the_asked_head() -> None:
    system = batch()[0]
    source = experiment.one_window("smoke", "test")[1]
    last = experiment.answers(system, source, batch=8)
    assert last == pipeline.detect(system.system, source) == experiment.answers(system, source, 1, batch=8)
    assert last != experiment.answers(system, source, 0)


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(FormatError, match="one-to-one"):
        experiment.Labelled(batch()[0].system, "some")


@pytest.mark.parametrize("variant", experiment.VARIANTS)
def test_a_run_gives_its_figures(variant: str) -> None:
    found = experiment.run(variant, 1, "smoke")
    names = {"raw", "suppressed", "gain", "duplicates", "gain_first_head", "gain_seen", "cpu_seconds"}
    assert set(found) == names
    assert all(np.isfinite(value) for value in found.values())
    assert found["gain"] == pytest.approx(found["suppressed"] - found["raw"])
