"""Region proposals: a small head on every level of a pyramid, and the choice of its best boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from stad_lite.arrays import marked
from stad_lite.nets.losses import binary_cross_entropy, smooth_l1


class RPNHead(nn.Module):
    """3 x 3 convolution, then scores and offsets of the anchors of each cell; shared by all levels.

    in_channels: of every level
    per_cell: anchors a cell
    classes: 1 tells object from background; more make it class-specific (CFAD)
    hidden: channels of the 3 x 3 convolution (None: ``in_channels``)
    depth: how many 3 x 3 convolutions
    Source: Faster R-CNN Sec. 3.1; CFAD Sec. 3.3; PCSC Sec. 3.3.

    >>> scores, offsets = RPNHead(8, per_cell=3)([torch.zeros(2, 8, 4, 5), torch.zeros(2, 8, 2, 3)])
    >>> scores.shape, offsets.shape  # (4 * 5 + 2 * 3) * 3 anchors
    (torch.Size([2, 78, 1]), torch.Size([2, 78, 4]))
    """

    def __init__(
        self, in_channels: int, per_cell: int, *, classes: int = 1, hidden: int | None = None, depth: int = 1
    ) -> None:
        super().__init__()
        hidden = hidden or in_channels
        widths = [in_channels] + [hidden] * depth
        self.conv = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)])
        self.scores = nn.Conv2d(hidden, per_cell * classes, 1)
        self.offsets = nn.Conv2d(hidden, per_cell * 4, 1)
        self.per_cell = per_cell
        for conv in [*self.conv, self.scores, self.offsets]:
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits and offsets of all anchors, in the order of ``anchors.grid_anchors`` level by level.

        levels: (b, in_channels, h, w)
        returns: (b, anchors, classes) logits; (b, anchors, 4) offsets as ``boxes.encode`` gives them
        """
        scores, offsets = [], []
        for maps in levels:
            for conv in self.conv:
                maps = F.relu(conv(maps))
            scores.append(rearrange(self.scores(maps), "b (a k) h w -> b (h w a) k", a=self.per_cell))
            offsets.append(rearrange(self.offsets(maps), "b (a k) h w -> b (h w a) k", a=self.per_cell))
        return torch.cat(scores, 1), torch.cat(offsets, 1)


def sample_anchors(labels: Tensor, count: int, share: float = 0.5, seed: int | torch.Generator = 0) -> Tensor:
    """Choose anchors for the loss at random: positives up to a share, negatives for the rest.

    labels: (..., anchors) 1 positive, 0 negative, -1 ignored
    count: how many of each row; PCSC and Faster R-CNN take 256
    returns: (..., anchors) bool
    Source: Faster R-CNN Sec. 3.1.3.
    """
    if not isinstance(seed, torch.Generator):
        seed = torch.Generator().manual_seed(seed)
    chance = torch.rand(labels.shape, generator=seed).to(labels.device)
    # positives first, then negatives, each at random; what is ignored comes last of all
    positive, negative = _ranks(chance, labels == 1), _ranks(chance, labels == 0)
    chosen = (labels == 1) & (positive < int(count * share))
    return chosen | ((labels == 0) & (negative < count - chosen.sum(-1, keepdim=True)))


def _ranks(chance: Tensor, among: Tensor) -> Tensor:
    """Return the place of each of ``among`` when they are put in order; others come after them."""
    order = chance.masked_fill(~among, torch.inf).argsort(-1)
    places = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def rpn_loss(
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    targets: Tensor,
    chosen: Tensor,
    beta: float = 1.0 / 9,
    number: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the losses of objectness and of the positives' offsets, both over the number chosen.

    scores: (anchors,) logits
    offsets, targets: (anchors, 4) as ``boxes.encode`` gives them; targets of negatives are not looked at
    labels: (anchors,) 1, 0 or -1
    chosen: (anchors,) bool, none of them -1
    number: what both are divided by where these anchors are a part of a batch (``training.counts``)
    Source: Faster R-CNN Eq. 1, normalised as in Detectron (beta 1/9 there).
    """
    number = chosen.sum().clamp(min=1) if number is None else number
    places, counts = marked(chosen)
    objectness = binary_cross_entropy(scores[places], labels[places].clamp(min=0), "none") * counts
    places, counts = marked(chosen & (labels == 1))
    regression = smooth_l1(offsets[places], targets[places], beta, "none").sum(1) * counts
    return objectness.sum() / number, regression.sum() / number
