"""When something happens: the temporal proposal network, as R-C3D's (CFAD Sec. 3.1).

A span is (start, end) in frames of the resampled video, half-open: a tube on frames 3, 4, 5 has (3, 6).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from stad_lite import segments
from stad_lite.anchors import temporal_anchors
from stad_lite.boxes import MAX_LOG_RATIO
from stad_lite.cfad.coarse import SpaceTimeConv, start_small
from stad_lite.cfad.config import CfadConfig
from stad_lite.matching import by_threshold
from stad_lite.nets.losses import binary_cross_entropy, smooth_l1
from stad_lite.nets.rpn import sample_anchors
from stad_lite.training.counts import normaliser


class SpanNetwork(nn.Module):
    """Convolutions that shrink space, the maximum over what is left of it, then scores and offsets a step.

    in_channels: of the features
    Source: R-C3D Sec. 3.2; the two scores of its softmax are one of a sigmoid here.
    """

    def __init__(self, config: CfadConfig, in_channels: int) -> None:
        super().__init__()
        width, count = config.span_width, len(config.span_lengths)
        self.shrink = nn.ModuleList(
            [SpaceTimeConv(channels, width, config.factorised, stride=2) for channels in (in_channels, width)]
        )
        self.scores = nn.Conv1d(width, count, 1)
        self.offsets = nn.Conv1d(width, count * 2, 1)
        start_small(self.scores, self.offsets)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (b, anchors) and offsets (b, anchors, 2) in the order of ``span_anchors``.

        maps: (b, c, t, h, w) features of whole videos
        """
        for conv in self.shrink:
            maps = conv(maps)
        steps = reduce(maps, "b c t h w -> b c t", "max")
        offsets = rearrange(self.offsets(steps), "b (a k) t -> b (t a) k", k=2)
        return rearrange(self.scores(steps), "b a t -> b (t a)").float(), offsets.float()


def span_anchors(config: CfadConfig) -> Tensor:
    """Return the anchors (steps * lengths, 2) of a video of ``config.length`` frames, step by step."""
    stride = config.time_stride
    found = temporal_anchors(config.span_lengths, config.length // stride, stride)
    return torch.as_tensor(found, dtype=torch.float32)


def encode_spans(spans: Tensor, anchors: Tensor) -> Tensor:
    """Return the offsets of spans from anchors: shift of the centre in lengths, log of the length's ratio.

    spans, anchors: (..., 2) frames, broadcast against each other
    Source: R-C3D Sec. 3.3.

    >>> encode_spans(torch.tensor([2.0, 6.0]), torch.tensor([0.0, 4.0])).tolist()
    [0.5, 0.0]
    """
    length = anchors[..., 1] - anchors[..., 0]
    shift = (spans.sum(-1) - anchors.sum(-1)) / 2 / length
    return torch.stack([shift, torch.log((spans[..., 1] - spans[..., 0]) / length)], -1)


def decode_spans(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Return the spans (..., 2) at the offsets from the anchors: the inverse of ``encode_spans``."""
    length = anchors[..., 1] - anchors[..., 0]
    centre = anchors.mean(-1) + offsets[..., 0] * length
    half = length * offsets[..., 1].clamp(max=MAX_LOG_RATIO).exp() / 2
    return torch.stack([centre - half, centre + half], -1)


@torch.no_grad()
def propose(logits: Tensor, offsets: Tensor, config: CfadConfig, most: int) -> tuple[Tensor, Tensor]:
    """Return the best spans of one video, by falling score.

    logits: (anchors,)
    offsets: (anchors, 2)
    most: how many at most
    returns: (n, 2) spans of whole frames inside the video, and (n,) objectness in [0, 1]; none where none
        reaches ``config.span_score``
    Source: R-C3D Sec. 3.2 (suppression by temporal IoU).
    """
    if config.trimmed:
        return logits.new_tensor([[0.0, config.length]]), logits.new_ones(1)
    spans = segments.clip(decode_spans(offsets, span_anchors(config).to(logits.device)), 0, config.length)
    spans = (spans + 0.5).floor()
    scores = logits.sigmoid()
    usable = (scores >= config.span_score) & (spans[:, 1] - spans[:, 0] >= 1)
    spans, scores = spans[usable], scores[usable]
    kept = segments.nms(spans, scores, config.span_nms)[:most]
    return spans[kept], scores[kept]


def span_losses(
    logits: Tensor, offsets: Tensor, truths: Sequence[Tensor], config: CfadConfig
) -> tuple[Tensor, Tensor]:
    """Return the losses of objectness and offsets, both over the number of sampled anchors.

    logits: (b, anchors)
    offsets: (b, anchors, 2)
    truths: b times (g, 2) true spans
    Source: R-C3D Sec. 3.4 (its smooth L1 with sigma 3 has beta 1/9).
    """
    anchors = span_anchors(config).to(logits.device)
    labels, targets, chosen = [], [], []
    for spans in truths:
        found = by_threshold(
            segments.pairwise_iou(anchors, spans), config.span_positive, config.span_negative, True
        )
        labels.append(found.label)
        targets.append(encode_spans(spans[found.truth], anchors) if len(spans) else torch.zeros_like(anchors))
        chosen.append(sample_anchors(found.label, config.span_sampled, 0.5, torch.default_generator))
    label, target, taken = torch.stack(labels), torch.stack(targets), torch.stack(chosen)
    number = normaliser(taken.sum())
    positive = taken & (label == 1)
    objectness = binary_cross_entropy(logits[taken], label[taken], "sum")
    return objectness / number, smooth_l1(offsets[positive], target[positive], 1.0 / 9) / number
