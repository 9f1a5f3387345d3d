"""Which proposals a step learns from: assignment to truths, hard-aware sampling (STEP Sec. 3.4).

Everything is done for the whole batch at once and nothing has a gradient. Scores are those of the step
before, or the best overlap for the first step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.arrays import readable
from stad_lite.errors import FormatError, NotFiniteError

SMALLEST = 1e-6
"""Chance of a proposal whose score is 0, so that it can still be drawn where no other is left."""


class Assignment(NamedTuple):
    """What each proposal stands for.

    truth: (b, m) index of the truth that it belongs to, -1 for the negative pool
    forced: (b, m) whether it is there as its truth's own best proposal
    """

    truth: Tensor
    forced: Tensor


class Samples(NamedTuple):
    """The drawn proposals of a batch, clip by clip.

    item: (n,) which clip
    proposal: (n,) which of its proposals
    truth: (n,) index of its truth, -1 for negatives
    counts: (n,) False where a row only fills up
    """

    item: Tensor
    proposal: Tensor
    truth: Tensor
    counts: Tensor


@torch.no_grad()
def tubelet_overlaps(proposals: Tensor, truth: Tensor, present: Tensor) -> Tensor:
    """Return the mean box IoU of every proposal with every truth over the frames that the truth has.

    proposals: (b, m, t, 4) xyxy pixels
    truth: (b, g, t, 4) xyxy pixels
    present: (b, g, t) bool
    returns: (b, m, g) in [0, 1]; 0 for a truth without a frame
    Source: STEP Sec. 3.4 (the IoU averaged over the K frames of the target clip).
    """
    each = box_ops.iou(proposals[:, :, None], truth[:, None]) * present[:, None]
    return each.sum(-1) / present.sum(-1).clamp(min=1)[:, None]


@torch.no_grad()
def assign(overlaps: Tensor, valid: Tensor, threshold: float, rule: str = "own") -> Assignment:
    """Assign proposals to truths: each truth its best one, then all that overlap one enough.

    overlaps: (b, m, g) in [0, 1]
    valid: (b, g) False where a clip has fewer truths
    threshold: tau of this step; a proposal above it belongs to the truth it overlaps most
    rule: ``highest``: every positive belongs to the truth it overlaps most, so two truths may share their
        best proposal; ``own``: pairs are settled by falling overlap and no two share one, and where there
        are more truths than proposals, those with the least overlap go without
    raises: FormatError, NotFiniteError
    Source: STEP Sec. 3.4 (``highest``); its authors' code (``own``, the unoccupied best proposal).

    >>> overlaps = torch.tensor([[[0.9, 0.8], [0.55, 0.1], [0.2, 0.05]]])
    >>> [assign(overlaps, overlaps[:, 0] > 0, 0.35, rule).truth.tolist() for rule in ("highest", "own")]
    [[[0, 0, -1]], [[0, 1, -1]]]
    """
    if overlaps.ndim != 3 or valid.shape != overlaps.shape[::2]:
        raise FormatError(
            f"overlaps of shape {tuple(overlaps.shape)} with truths {tuple(valid.shape)}",
            remedy="give overlaps (b, m, g) and validity (b, g)",
        )
    if readable(overlaps) and not torch.isfinite(overlaps).all():
        raise NotFiniteError("an overlap is not finite", remedy="look for NaN among the boxes")
    batch, count, truths = overlaps.shape
    if not truths or not count:
        none = overlaps.new_full((batch, count), -1, dtype=torch.long)
        return Assignment(none, none >= 0)
    known = overlaps.masked_fill(~valid[:, None], -1)
    best, truth = known.max(2)
    truth = torch.where(best > threshold, truth, -1)
    if rule == "highest":
        forced = torch.zeros_like(truth).scatter_add_(1, overlaps.argmax(1), valid.long()) > 0
        return Assignment(torch.where(forced, known.argmax(2), truth), forced)
    forced = torch.zeros_like(truth, dtype=torch.bool)
    rows = torch.arange(batch, device=overlaps.device)
    # the best pair of all first; what it takes is -1 afterwards, and all -1 means that no pair is left
    for _ in range(min(truths, count)):
        value, place = known.flatten(1).max(1)
        row, column = place // truths, place % truths
        there = value >= 0
        truth[rows, row] = torch.where(there, column, truth[rows, row])
        forced[rows, row] |= there
        known[rows, row] = -1
        known[rows, :, column] = -1
    return Assignment(truth, forced)


@torch.no_grad()
def draw(
    assignment: Assignment,
    scores: Tensor,
    positives: int = 5,
    negatives: int = 2,
    rule: str = "paper",
    forced: int = 0,
    fixed: bool = False,
) -> Samples:
    """Draw positives and negatives of every clip, without replacement.

    Each truth's own best proposal is drawn before others, the best scored first.

    scores: (b, m) in [0, 1], of the step before or the best overlaps
    positives: most positives of a clip
    negatives: for one positive; a clip without positives takes this number
    rule: ``paper``, ``code`` or ``uniform`` (``StepConfig.sampling``)
    forced: the truths' best proposals, so many at most, are all drawn, even where there are more than
        ``positives``; 0 for no more than these
    fixed: as many rows for every clip, whatever is drawn; nothing waits for the device
    Source: STEP Sec. 3.4; the numbers are its authors' code's.

    >>> chosen = Assignment(torch.tensor([[0, -1, -1, -1]]), torch.tensor([[True, False, False, False]]))
    >>> draw(chosen, torch.tensor([[0.9, 0.8, 0.7, 0.6]])).truth
    tensor([ 0, -1, -1])
    """
    positive = assignment.truth >= 0
    # above every key: noise in float32 is below 104. There scores still differ by steps of .001
    first = torch.where(assignment.forced, 1e4 + scores, _keys(scores, rule, positive=True))
    most = torch.full_like(positive.sum(1), positives)
    # "each ground truth tube has at least one positive sample" (STEP Sec. 3.4)
    most = torch.maximum(most, assignment.forced.sum(1)) if forced else most
    taken = _best(first, positive, most)
    wanted = negatives * taken.sum(1).clamp(min=1)
    taken |= _best(_keys(scores, rule, positive=False), ~positive, wanted)
    if fixed:
        rows = min(scores.shape[1], max(positives, forced) * (1 + negatives))
        proposal = taken.byte().argsort(dim=1, descending=True, stable=True)[:, :rows].flatten()
        item = torch.arange(len(scores), device=scores.device).repeat_interleave(rows)
    else:
        item, proposal = taken.nonzero(as_tuple=True)
    return Samples(item, proposal, assignment.truth[item, proposal], taken[item, proposal])


def _keys(scores: Tensor, rule: str, positive: bool) -> Tensor:
    """Keys whose largest are a draw without replacement: log of the chance plus Gumbel noise."""
    noise = torch.empty_like(scores).exponential_().log()
    # Gumbel noise alone: equal chances. The authors' code draws its positives so
    if rule == "uniform" or (rule == "code" and positive):
        return -noise
    if rule == "code":
        # scores as logs of the chances: the authors' code draws negatives by the scores' softmax
        return scores - noise
    # chances in proportion to the scores, as the paper has it (STEP Sec. 3.4)
    return scores.clamp(min=SMALLEST).log() - noise


def _best(keys: Tensor, among: Tensor, counts: Tensor) -> Tensor:
    """Which of ``among`` (b, m) have one of the ``counts`` (b,) largest keys."""
    ranks = keys.masked_fill(~among, -torch.inf).argsort(1, descending=True).argsort(1)
    return among & (ranks < counts[:, None])
