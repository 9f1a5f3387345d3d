"""Assignment and hard-aware sampling: every truth has a positive, chances follow scores."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.step.criterion import drawn
from stad_lite.step.sampling import Assignment, assign, draw, tubelet_overlaps
from tests.step.cases import batch, tiny


def random_overlaps(seed: int, batch: int = 8, proposals: int = 11, truths: int = 4):
    generator = torch.Generator().manual_seed(seed)
    overlaps = torch.rand(batch, proposals, truths, generator=generator) ** 2
    valid = torch.rand(batch, truths, generator=generator) < 0.7
    return overlaps, valid


def test_overlap_is_the_mean_over_the_frames_that_the_truth_has():
    generator = np.random.default_rng(0)
    corner = generator.uniform(0, 20, (3, 5, 2))
    ours, theirs = (
        np.concatenate([c, c + generator.uniform(5, 20, c.shape)], -1) for c in (corner, corner[:2] + 2)
    )
    present = np.array([[True] * 5, [False, True, True, False, False]])
    found = tubelet_overlaps(*(torch.tensor(x)[None] for x in (ours, theirs, present)))[0]
    for i, j in itertools.product(range(3), range(2)):
        frames = [k for k in range(5) if present[j, k]]
        wanted = np.mean([box_ops.iou(ours[i, k], theirs[j, k]) for k in frames])
        assert found[i, j].item() == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("threshold", [0.05, 0.5, 1.0])
def test_every_truth_gets_a_proposal_of_its_own(seed, threshold):
    overlaps, valid = random_overlaps(seed)
    truth, forced = assign(overlaps, valid, threshold)
    for row in range(len(overlaps)):
        owners = truth[row][forced[row]].tolist()
        assert sorted(owners) == valid[row].nonzero()[:, 0].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_assignment_against_a_loop(seed):
    overlaps, valid = random_overlaps(seed, batch=4, proposals=6, truths=3)
    truth, forced = assign(overlaps, valid, 0.4)
    for b in range(4):
        wanted, free, left = [-1] * 6, set(range(6)), [j for j in range(3) if valid[b, j]]
        for i in range(6):
            best = max(left, key=lambda j: overlaps[b, i, j].item(), default=None)
            if best is not None and overlaps[b, i, best] > 0.4:
                wanted[i] = best
        while left and free:
            i, j = max(itertools.product(free, left), key=lambda pair: overlaps[b][pair].item())
            wanted[i] = j
            free.remove(i)
            left.remove(j)
        assert truth[b].tolist() == wanted
        assert set(forced[b].nonzero()[:, 0].tolist()) == set(range(6)) - free


@pytest.mark.parametrize("seed", range(5))
def test_the_papers_assignment_against_a_loop(seed):
    """Each truth's best proposal, then all above the threshold; each to the truth that it overlaps most."""
    overlaps, valid = random_overlaps(seed, batch=4, proposals=6, truths=3)
    truth, forced = assign(overlaps, valid, 0.4, "highest")
    for b in range(4):
        there = [j for j in range(3) if valid[b, j]]
        bests = {max(range(6), key=lambda i, j=j: overlaps[b, i, j].item()) for j in there}
        wanted = [-1] * 6
        for i in range(6):
            if i in bests or any(overlaps[b, i, j] > 0.4 for j in there):
                wanted[i] = max(there, key=lambda j: overlaps[b, i, j].item())
        assert truth[b].tolist() == wanted and set(forced[b].nonzero()[:, 0].tolist()) == bests


def test_where_both_assignments_differ():
    """A proposal that overlaps one truth by .55 is given to another that it overlaps by .10."""
    overlaps, valid = torch.tensor([[[0.9, 0.8], [0.55, 0.1]]]), torch.ones(1, 2, dtype=torch.bool)
    assert assign(overlaps, valid, 0.35, "own").truth.tolist() == [[0, 1]]
    found = assign(overlaps, valid, 0.35, "highest")
    assert found.truth.tolist() == [[0, 0]] and found.forced.tolist() == [[True, False]]


def test_six_truths_get_six_positives():
    """With the paper's assignment, where five are the most otherwise."""
    config = tiny(assignment="highest", thresholds=(0.9, 0.9))
    shown = batch(config, items=1, truths=6)
    proposals = torch.cat([shown["truth"], shown["truth"] + 20], 1)[:, :, 6:12]
    for name, count in (("highest", 6), ("own", 5)):
        samples = drawn(proposals, None, 0, shown, replace(config, assignment=name))
        assert (samples.truth >= 0).sum() == count


def test_a_truth_that_nothing_overlaps_still_gets_one():
    truth, forced = assign(torch.zeros(1, 3, 1), torch.ones(1, 1, dtype=torch.bool), 0.5)
    assert forced.sum() == 1 and (truth >= 0).sum() == 1


def test_a_clip_without_truth_is_all_negative():
    for overlaps, valid in (
        (torch.zeros(2, 5, 0), torch.zeros(2, 0, dtype=torch.bool)),
        (torch.rand(2, 5, 3), torch.zeros(2, 3, dtype=torch.bool)),
    ):
        assignment = assign(overlaps, valid, 0.2)
        assert (assignment.truth == -1).all() and not assignment.forced.any()
        samples = draw(assignment, torch.rand(2, 5), negatives=2)
        assert samples.item.tolist() == [0, 0, 1, 1] and (samples.truth == -1).all()


def test_more_truths_than_proposals_leave_the_worst_out():
    overlaps = torch.tensor([[[0.9, 0.3, 0.8], [0.2, 0.1, 0.7]]])
    truth, forced = assign(overlaps, torch.ones(1, 3, dtype=torch.bool), 0.5)
    assert truth.tolist() == [[0, 2]] and forced.all()


def test_more_truths_than_samples_keep_the_best_scored():
    assignment = Assignment(torch.arange(6)[None], torch.ones(1, 6, dtype=torch.bool))
    scores = torch.tensor([[0.1, 0.9, 0.2, 0.8, 0.3, 0.7]])
    assert draw(assignment, scores, positives=3).proposal.tolist() == [1, 3, 5]


@pytest.mark.parametrize("rule", ["paper", "code", "uniform"])
def test_forced_positives_are_always_drawn_and_numbers_are_balanced(rule):
    torch.manual_seed(0)
    for seed in range(20):
        overlaps, valid = random_overlaps(seed)
        assignment = assign(overlaps, valid, 0.3)
        samples = draw(assignment, torch.rand(8, 11), positives=5, negatives=2, rule=rule)
        drawn = torch.zeros(8, 11, dtype=torch.bool)
        drawn[samples.item, samples.proposal] = True
        assert len(samples.item) == drawn.sum()  # without replacement
        assert (assignment.forced & ~drawn).sum() == 0
        positive = (drawn & (assignment.truth >= 0)).sum(1)
        pool = (assignment.truth < 0).sum(1)
        assert (positive <= 5).all()
        assert (drawn & (assignment.truth < 0)).sum(1).equal(torch.minimum(2 * positive.clamp(min=1), pool))
        assert samples.truth.equal(assignment.truth[samples.item, samples.proposal])


def frequencies(scores: list[float], rule: str, truth: int, draws: int = 20000) -> np.ndarray:
    """How often each of some proposals is the one that is drawn."""
    torch.manual_seed(1)
    count = len(scores)
    rows = torch.full((draws, count + (truth < 0)), truth)
    forced = torch.zeros_like(rows, dtype=torch.bool)
    table = torch.tensor(scores).expand(draws, -1)
    if truth < 0:  # one positive, so that `negatives` of the others are drawn
        rows[:, -1], forced[:, -1] = 0, True
        table = torch.cat([table, torch.ones(draws, 1)], 1)
    samples = draw(Assignment(rows, forced), table, positives=1, negatives=1, rule=rule)
    chosen = samples.proposal[samples.truth == truth]
    return np.bincount(chosen.numpy(), minlength=count)[:count] / draws


@pytest.mark.parametrize("truth", [-1, 0])
def test_chances_are_proportional_to_the_scores(truth):
    scores = np.array([0.05, 0.15, 0.3, 0.9])
    np.testing.assert_allclose(
        frequencies(scores.tolist(), "paper", truth), scores / scores.sum(), atol=0.015
    )


def test_the_codes_chances():
    scores = np.array([0.0, 0.5, 1.0])
    wanted = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(frequencies(scores.tolist(), "code", -1), wanted, atol=0.015)
    np.testing.assert_allclose(frequencies(scores.tolist(), "code", 0), np.full(3, 1 / 3), atol=0.015)


@pytest.mark.parametrize("truth", [-1, 0])
def test_uniform_chances_do_not_look_at_the_scores(truth):
    np.testing.assert_allclose(frequencies([0.01, 0.2, 0.9], "uniform", truth), np.full(3, 1 / 3), atol=0.015)


def test_scores_of_zero_are_drawn_where_nothing_else_is_left():
    assignment = Assignment(torch.tensor([[0, -1, -1, -1]]), torch.tensor([[True, False, False, False]]))
    samples = draw(assignment, torch.tensor([[0.5, 0.0, 0.0, 0.4]]), negatives=3)
    assert samples.proposal.tolist() == [0, 1, 2, 3]


def test_bad_overlaps_are_refused():
    with pytest.raises(NotFiniteError):
        assign(torch.full((1, 2, 1), torch.nan), torch.ones(1, 1, dtype=torch.bool), 0.5)
    with pytest.raises(FormatError):
        assign(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool), 0.5)
