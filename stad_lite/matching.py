"""Which proposal answers for which truth: one-to-one (Hungarian) or one-to-many (thresholds).

Nothing here has a gradient: matching looks at detached costs and overlaps and returns plain indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stad_lite import boxes
from stad_lite.arrays import readable
from stad_lite.errors import FormatError, NotFiniteError

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1
"""Labels of a proposal."""


class Matching(NamedTuple):
    """The matched pairs of a mini-batch, by item and then by proposal.

    item: (pairs,) which item of the batch
    proposal: (pairs,) which of its proposals
    truth: (pairs,) which of its truths
    """

    item: Tensor
    proposal: Tensor
    truth: Tensor

    def pairs(self, item: int) -> Tensor:
        """Return the pairs of one item: (pairs, 2) proposal and truth.

        >>> Matching(*torch.tensor([[0, 1, 1], [5, 2, 7], [0, 1, 0]])).pairs(1).tolist()
        [[2, 1], [7, 0]]
        """
        return torch.stack([self.proposal, self.truth], 1)[self.item == item]


class Labels(NamedTuple):
    """What becomes of each proposal of one item.

    label: (n,) POSITIVE, NEGATIVE or IGNORED
    truth: (n,) the truth it overlaps most, whatever its label; 0 where there is no truth
    """

    label: Tensor
    truth: Tensor


@torch.no_grad()
def hungarian(cost: Tensor, counts: Sequence[int], surplus: str = "cheapest") -> Matching:
    """Return the one-to-one matching of least total cost of every item of a batch.

    Each truth gets one proposal and no proposal two truths. The costs of the whole batch cross to the CPU
    together; then it is one call of the solver an item. Of equally cheap matchings the solver picks one.

    cost: (b, n, g) of proposal n with truth g; beyond an item's count it is not looked at
    counts: (b,) truths of each item, 0 allowed
    surplus: for an item with more truths than proposals, ``cheapest`` matches as many truths as there are
        proposals, those of least total cost, and leaves the others out; ``refuse`` raises
    raises: FormatError for counts that do not fit or a refused surplus, NotFiniteError with the item for NaN,
        minus infinity, and infinities (forbidden pairs) that leave no matching
    Source: SP-TAD Sec. 3.2.1, after DETR Eq. 1.

    >>> cost = torch.tensor([[[1.0, 2.0], [0.0, 5.0], [9.0, 9.0]]])
    >>> [pair.tolist() for pair in hungarian(cost, [2])]
    [[0, 0], [0, 1], [1, 0]]
    """
    if cost.ndim != 3 or len(counts) != len(cost) or any(not 0 <= n <= cost.shape[2] for n in counts):
        raise FormatError(
            f"costs of shape {tuple(cost.shape)} with counts {list(counts)[:8]}",
            remedy="give costs (b, n, g) and for each item how many of the g truths are its own",
        )
    if surplus not in ("cheapest", "refuse"):
        raise FormatError(f"no rule {surplus!r} for surplus truths", remedy="use cheapest or refuse")
    from scipy.optimize import linear_sum_assignment

    # in float64, as the solver works: in half precision different costs would be ties
    table = cost.detach().to("cpu", torch.float64).numpy()
    items, proposals, truths = [], [], []
    for number, count in enumerate(counts):
        if count > cost.shape[1] and surplus == "refuse":
            raise FormatError(
                f"item {number} of the batch has {count} truths for {cost.shape[1]} proposals",
                remedy="take more proposals, or surplus='cheapest' to leave truths out",
            )
        try:
            rows, columns = linear_sum_assignment(table[number, :, :count])
        except ValueError as error:
            raise NotFiniteError(
                f"a matching cost of item {number} of the batch is not finite ({error})",
                remedy="look for NaN among its features, predictions and truths",
            ) from None
        items += [number] * len(rows)
        proposals += rows.tolist()
        truths += columns.tolist()
    return Matching(*torch.tensor([items, proposals, truths], dtype=torch.long, device=cost.device))


@torch.no_grad()
def by_threshold(overlaps: Tensor, positive: float, negative: float, best_per_truth: bool = False) -> Labels:
    """Label proposals by their overlap with the truths: any number of proposals for one truth.

    overlaps: (n, g) in [0, 1]
    positive: a proposal is positive where its best overlap is at least this
    negative: and negative where that is below this; between the two it is ignored
    best_per_truth: also take, for each truth, the proposals that overlap it most (if at all): they are
        positive and belong to it; one that is best for several truths belongs to the one it overlaps most
    raises: FormatError for overlaps that are no table or thresholds in the wrong order
    Source: Faster R-CNN Sec. 3.1.2; SSD Sec. 2.2 (every truth has its best default box).

    >>> by_threshold(torch.tensor([[0.8, 0.0], [0.2, 0.3], [0.5, 0.0]]), 0.7, 0.4)
    Labels(label=tensor([ 1,  0, -1]), truth=tensor([0, 1, 0]))
    """
    return _labels(overlaps, overlaps, positive, negative, best_per_truth)


def _labels(overlaps: Tensor, largest: Tensor, positive: float, negative: float, forced: bool) -> Labels:
    """Positives are told by ``overlaps``, negatives by ``largest``, both (n, g)."""
    if overlaps.ndim != 2 or not 0 <= negative <= positive <= 1:
        raise FormatError(
            f"overlaps of shape {tuple(overlaps.shape)}, positive from {positive}, negative below {negative}",
            remedy="give overlaps (n, g) and 0 <= negative <= positive <= 1",
        )
    if readable(overlaps) and not torch.isfinite(overlaps).all():
        raise NotFiniteError("an overlap is not finite", remedy="look for NaN among boxes and truths")
    label = torch.full((len(overlaps),), NEGATIVE, device=overlaps.device)
    if not overlaps.shape[1]:
        return Labels(label, torch.zeros_like(label))
    best, truth = overlaps.max(1)
    # in this order: what is positive also overlaps by more than the lower threshold
    label = label.masked_fill(largest.max(1).values >= negative, IGNORED)
    label = label.masked_fill(best >= positive, POSITIVE)
    if forced and len(overlaps):
        # ties are all taken: "the anchor/anchors with the highest" overlap (Faster R-CNN Sec. 3.1.2);
        # a truth that nothing overlaps has no best, or all anchors would be its own
        is_best = (overlaps == overlaps.max(0).values) & (overlaps > 0)
        chosen = is_best.any(1)
        label = label.masked_fill(chosen, POSITIVE)
        truth = torch.where(chosen, overlaps.where(is_best, overlaps.new_tensor(-1)).argmax(1), truth)
    return Labels(label, truth)


@torch.no_grad()
def segment_overlaps(anchors: Tensor, tubes: Sequence[Tensor], length: int = 6) -> list[Tensor]:
    """Return, for every tube, the mean IoU of each anchor with the boxes of each of its segments.

    A tube of t frames has floor(t / length) segments, the frames left over belong to none; a tube shorter
    than ``length`` is one segment.

    anchors: (n, 4) xyxy pixels
    tubes: g tubes of (t, 4) xyxy pixels, t of its own for each
    length: frames of a segment (CFAD's K)
    returns: g tables (n, segments)
    raises: FormatError for a tube without boxes or a length below 1
    Source: CFAD Sec. 3.1, segment-wise matching.

    >>> tube = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.0], [4.0, 0.0, 8.0, 4.0]])
    >>> segment_overlaps(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), [tube], length=1)
    [tensor([[1., 1., 0.]])]
    """
    if length < 1 or any(tube.ndim != 2 or tube.shape[1:] != (4,) or not len(tube) for tube in tubes):
        raise FormatError(
            f"segments of {length} frames of tubes {[tuple(tube.shape) for tube in tubes][:4]}",
            remedy="give a length of 1 or more and tubes (t, 4) of at least one box",
        )
    found = []
    for tube in tubes:
        frames = min(length, len(tube))
        whole = len(tube) // frames * frames
        each = boxes.pairwise_iou(anchors, tube[:whole])
        found.append(each.unflatten(1, (-1, frames)).mean(2))
    return found


@torch.no_grad()
def by_segment(
    anchors: Tensor,
    tubes: Sequence[Tensor],
    positive: float = 0.5,
    negative: float = 0.3,
    length: int = 6,
    position: int = 0,
    best_per_truth: bool = False,
) -> Labels:
    """Label anchor boxes by their overlap with short segments of the true tubes.

    An anchor is positive where its mean IoU with one segment of a tube is at least ``positive``, and belongs
    to the tube it overlaps most there; it is negative where it overlaps every segment of every tube by less
    than ``negative``; otherwise it is ignored.

    anchors: (n, 4) xyxy pixels
    tubes: g tubes of (t, 4) xyxy pixels
    length: frames of a segment
    position: which segment tells positives: 0 the first (CFAD's), -1 the last; the nearest one in a tube
        that has fewer
    best_per_truth: as in ``by_threshold``
    raises: FormatError
    Source: CFAD Sec. 3.1 (thresholds are not given there; Faster R-CNN's are the default).
    """
    tables = segment_overlaps(anchors, tubes, length)
    if not tables:
        return _labels(anchors.new_zeros(len(anchors), 0), anchors, positive, negative, False)
    here = [table[:, max(-table.shape[1], min(position, table.shape[1] - 1))] for table in tables]
    largest = torch.stack([table.max(1).values for table in tables], 1)
    return _labels(torch.stack(here, 1), largest, positive, negative, best_per_truth)
