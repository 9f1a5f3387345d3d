"""What CFAD learns from: proposals, Eq. 2 to 4 with the whole tube, keys, boxes at the sampled timestamps.

A batch carries b resampled videos: ``maps`` or ``frames``, ``boxes`` (b, g, T, 4), ``spans`` (b, g, 2),
``labels`` (b, g), ``keys`` (b, g, N), ``valid`` (b, g) and ``warm`` (b,), as ``system.collate`` gives it.
Every term asks for one ``normaliser``, in the order of ``LATER``, whatever a batch holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from stad_lite.cfad.coarse import Coarse, sample_times
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.matching import TrueTubes, draw, label_anchors
from stad_lite.cfad.model import CfadNetwork
from stad_lite.cfad.proposals import propose, span_losses
from stad_lite.cfad.refine import box_targets, flat
from stad_lite.cfad.trajectory import tube_regression_loss
from stad_lite.matching import POSITIVE
from stad_lite.nets.losses import binary_cross_entropy, smooth_l1
from stad_lite.training.counts import normaliser

LATER = ("class", "tube", "key", "box_class", "box_shift")
"""The terms that videos in the first phase have no part in, the last three of the refinement."""


class Spans(NamedTuple):
    """The spans of a batch that the detector is trained on.

    item: (m,) which video each is of
    span: (m, 2) frames
    truth: (m,) the tube whose own span it is, -1 for a proposal
    """

    item: Tensor
    span: Tensor
    truth: Tensor


def losses(network: CfadNetwork, maps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weighted terms; videos in the first phase (``warm``) count in the temporal proposals alone.

    maps: (b, t, c, h, w) of the backbone
    Source: CFAD Sec. 4.1 (the proposal network is trained first, then all with proposals and true spans).
    """
    config, features = network.config, network.features(maps)
    truths = truths_of(batch)
    logits, offsets = network.proposals(features)
    terms, wanted = {}, list(range(len(truths)))
    if not config.trimmed:
        score, shift = span_losses(logits, offsets, [truth.spans for truth in truths], config)
        terms = {"span_score": config.span_weight * score, "span_shift": config.span_weight * shift}
        wanted = (~batch["warm"]).nonzero()[:, 0].tolist()
    if not wanted:
        nothing = logits.new_zeros(())
        return terms | {name: 0 * normaliser(nothing) for name in LATER[: 5 if config.refines else 2]}
    spans = training_spans(logits, offsets, truths, wanted, config)
    times = sample_times(spans.span, config.samples)
    sampled = network.sampled(features, spans.item, times)
    anchors = network.anchors(*features.shape[3:])
    terms |= coarse_losses(network.coarse(sampled), anchors, truths, spans, config)
    if config.refines:
        terms["key"] = config.key_weight * key_loss(network.refine.importance(sampled), truths, spans)
        terms |= box_losses(network, sampled, times, anchors, truths, spans)
    return terms


def truths_of(batch: dict[str, Tensor]) -> list[TrueTubes]:
    """Return the true tubes of each video of a batch."""
    columns = [batch[name] for name in TrueTubes._fields]
    return [TrueTubes(*(column[i][valid] for column in columns)) for i, valid in enumerate(batch["valid"])]


def training_spans(
    logits: Tensor, offsets: Tensor, truths: Sequence[TrueTubes], wanted: Sequence[int], config: CfadConfig
) -> Spans:
    """Return the true spans and the best proposals of the wanted videos; without any, one whole video."""
    item, span, own = [], [], []
    for i in wanted:
        truth = truths[i]
        proposed = propose(logits[i], offsets[i], config, config.train_spans)[0]
        span += [truth.spans, proposed]
        item += [i] * (len(truth.spans) + len(proposed))
        own += [*range(len(truth.spans)), *[-1] * len(proposed)]
    device = logits.device
    if not item:
        span, item, own = [logits.new_tensor([[0.0, config.length]])], [wanted[0]], [-1]
    return Spans(
        torch.tensor(item, device=device).long(), torch.cat(span), torch.tensor(own, device=device).long()
    )


def coarse_losses(
    coarse: Coarse, anchors: Tensor, truths: Sequence[TrueTubes], spans: Spans, config: CfadConfig
) -> dict[str, Tensor]:
    """Return L_c and L_r of the coarse module, as weighted.

    L_c is over the anchors drawn from B+ and B- of all spans, L_r over all of B+.
    Source: CFAD Eq. 2 and 3.
    """
    background = coarse.logits.shape[2] - 1
    labels, wanted, matched = [], [], []
    for item, span in zip(spans.item.tolist(), spans.span, strict=True):
        found, tubes, which = label_anchors(anchors, truths[item], span, config)
        positive = found.label == POSITIVE
        target = torch.full_like(found.label, background)
        if which:
            target[positive] = truths[item].labels[which][found.truth[positive]]
        labels.append(found.label)
        wanted.append(target)
        matched += [tubes[number] for number in found.truth[positive].tolist()]
    label, target = torch.stack(labels), torch.stack(wanted)
    drawn, positive = draw(label, config.sampled), label == POSITIVE
    entropy = F.cross_entropy(coarse.logits[drawn], target[drawn], reduction="sum") / normaliser(drawn.sum())
    lengths = torch.tensor([len(tube) for tube in matched], device=label.device)
    padded = pad_sequence(matched, batch_first=True) if matched else anchors.new_zeros(0, 1, 4)
    inside = torch.arange(padded.shape[1], device=label.device) < lengths[:, None]
    padded = torch.where(inside[..., None], padded, padded.new_tensor([0.0, 0.0, 1.0, 1.0]))  # a valid box
    places = anchors.expand(len(label), -1, -1)[positive]
    number = normaliser(positive.sum())
    shape = tube_regression_loss(coarse.theta[positive], places, padded, lengths, number)
    return {"class": config.class_weight * entropy, "tube": config.tube_weight * shape}


def key_loss(importance: Tensor, truths: Sequence[TrueTubes], spans: Spans) -> Tensor:
    """Return the binary cross-entropy of the samples' importance, on true spans.

    The labels stand at the ends of the N - 1 parts of a true tube; a proposal's samples lie elsewhere.

    importance: (m, N) logits
    Source: CFAD Sec. 3.3.
    """
    true = spans.truth >= 0
    number = normaliser(true.sum()) * importance.shape[1]
    if not bool(true.any()):
        return importance.sum() * 0
    pairs = zip(spans.item[true].tolist(), spans.truth[true].tolist(), strict=True)
    wanted = torch.stack([truths[item].keys[number] for item, number in pairs])
    return binary_cross_entropy(importance[true], wanted, "sum") / number


def box_losses(
    network: CfadNetwork,
    sampled: Tensor,
    times: Tensor,
    anchors: Tensor,
    truths: Sequence[TrueTubes],
    spans: Spans,
) -> dict[str, Tensor]:
    """Return the losses of the box proposals' classes and offsets at samples of every span, as weighted.

    A sample's truth is what is there on the frame nearest to it, whichever tube the span is of.

    sampled: (m, c, N, h, w)
    times: (m, N) frames of the samples
    Source: Faster R-CNN Eq. 1, with a score for each class (CFAD Sec. 3.3).
    """
    config = network.config
    chosen = drawn_samples(times, config.refined)
    logits, offsets = network.refine.proposals(flat(sampled, chosen))
    frames = times.add(0.5).floor().long().clamp(0, config.length - 1)
    found = []
    for row, frame in zip(chosen.nonzero()[:, 0].tolist(), frames[chosen].tolist(), strict=True):
        truth = truths[int(spans.item[row])]
        there = (truth.spans[:, 0] <= frame) & (frame < truth.spans[:, 1])
        boxes, labels = truth.boxes[there, frame], truth.labels[there]
        found.append(box_targets(anchors, boxes, labels, network.classes, config))
    label, wanted, shift = (torch.stack(column) for column in zip(*found, strict=True))
    taken, positive = draw(label, config.sampled), label == POSITIVE
    score = binary_cross_entropy(logits[taken], wanted[taken], "sum") / normaliser(taken.sum())
    moved = smooth_l1(offsets[positive], shift[positive], 1.0 / 9) / normaliser(positive.sum())
    return {"box_class": config.box_weight * score, "box_shift": config.box_weight * moved}


def drawn_samples(times: Tensor, count: int) -> Tensor:
    """Return which samples (m, N) bool the box proposals learn from: ``count`` of each span, 0 for all."""
    if count == 0 or count >= times.shape[1]:
        return torch.ones_like(times, dtype=torch.bool)
    return (torch.rand(times.shape).argsort(1) < count).to(times.device)
