"""What STEP learns from: Eq. 2 and 3 summed over the steps, on sampled proposals (STEP Sec. 3.2 to 3.4).

A batch carries the truth of all clips that the last step sees:

truth: (b, g, t, 4) xyxy pixels
present: (b, g, t) bool, whether the truth has a box there and the frame is in the video
labels: (b, g, classes) 0 or 1; exactly one 1 for a softmax
valid: (b, g) bool, whether the truth counts in the centre clip
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.arrays import marked, readable
from stad_lite.errors import FormatError
from stad_lite.step.config import Heads, Input, StepConfig
from stad_lite.step.cuboids import CUBOIDS
from stad_lite.step.extension import outermost
from stad_lite.step.head import Raw
from stad_lite.step.model import Answer, StepNetwork, centre
from stad_lite.step.sampling import Samples, assign, draw, tubelet_overlaps
from stad_lite.training.counts import normaliser


def losses(network: StepNetwork, maps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weighted terms of all steps whose head is being trained.

    Before each step, an inference pass over the steps before it has given its input and the scores to sample
    by; then its head answers for the drawn proposals alone. Where nothing but the gradient tells the two
    passes apart (no dropout) and about all proposals are drawn, they are one.

    maps: (b, t, c, h, w)
    returns: ``class_1``, ``box_1``, ``near_1`` (neighbouring clips, where a step has any), ``class_2``, ...
    raises: FormatError where the truth does not fit
    Source: STEP Eq. 2 and Sec. 3.4 (joint training).
    """
    config = network.config
    check_truth(batch, config, network.initial)
    learning = [any(p.requires_grad for p in head.parameters()) for head in network.heads]
    last = max((step for step in range(config.steps) if learning[step]), default=-1)
    terms: dict[str, Tensor] = {}
    answer: Answer | None = None
    for step in range(last + 1):
        # an input comes from the inference pass: no gradient flows from step to step (STEP Sec. 3.4)
        proposals = network.propose(maps.detach(), answer, step)
        whole = network.raw_of_all(maps, proposals, step) if learning[step] and one_pass(config) else None
        if learning[step]:
            samples = drawn(proposals, answer, step, batch, config)
            tubelets = proposals[samples.item, samples.proposal]
            if whole is None:
                raw = network.raw(maps, tubelets, samples.item, step)
            else:
                raw = Raw(*(x if x is None else x[samples.item, samples.proposal] for x in whole))  # type: ignore[arg-type]
            for name, value in step_losses(raw, tubelets, samples, batch, config).items():
                terms[f"{name}_{step + 1}"] = value
        if step < last:
            answer = inferred(network, maps, proposals, whole, step)
    return terms


def one_pass(config: StepConfig) -> bool:
    """Tell whether the inference pass and the training pass of a step can be one: it learns the same then."""
    # batch norms that learn see the drawn proposals in training and none of them in inference
    return (
        config.dropout == 0
        and not norms_learn(config)
        and len(CUBOIDS[config.cuboids]) <= config.positives * (1 + config.negatives)
    )


def norms_learn(config: StepConfig) -> bool:
    """Tell whether the heads have batch norms that learn."""
    return config.head == "mixed" and not (config.backbone == "i3d" and config.frozen_norms)


@torch.no_grad()
def inferred(network: StepNetwork, maps: Tensor, proposals: Tensor, raw: Raw | None, step: int) -> Answer:
    """Return a step's answer for all proposals, without gradient and in evaluation mode.

    raw: its raw outputs (b, m, ...), where they are known
    Source: the (S_max - 1)-step inference pass of STEP Sec. 3.4.
    """
    if raw is not None:
        return network.answer(proposals, Raw(*(x if x is None else x.detach() for x in raw)))  # type: ignore[arg-type]
    training = network.training
    # the pass is one of inference: with dropout a step would learn on inputs that it never meets later
    network.eval()
    answer = network.refine(maps, proposals, step)
    network.train(training)
    return answer


@torch.no_grad()
def drawn(
    proposals: Tensor, answer: Answer | None, step: int, batch: dict[str, Tensor], config: StepConfig
) -> Samples:
    """Return the proposals that a step learns from.

    proposals: (b, m, t, 4) its input
    answer: of the step before, whose scores tell the chances; None for the first step
    Source: STEP Sec. 3.4.
    """
    overlaps = input_overlaps(proposals, batch, config)
    if answer is not None:
        scores = answer.scores.amax(-1)
    else:
        # no step has scored the first input: its best overlaps stand in (STEP Sec. 3.4)
        scores = overlaps.amax(2) if overlaps.shape[2] else overlaps.new_zeros(overlaps.shape[:2])
    assignment = assign(overlaps, batch["valid"], config.thresholds[step], config.assignment)
    forced = overlaps.shape[2] if config.assignment == "highest" else 0
    # what only fills up would be seen by norms that learn
    fixed = not readable(scores) and not norms_learn(config)
    return draw(assignment, scores, config.positives, config.negatives, config.sampling, forced, fixed)


def input_overlaps(proposals: Tensor, batch: dict[str, Tensor], config: Input) -> Tensor:
    """Return the overlap (b, m, g) of a step's input with the truths that count, on the centre clip.

    proposals: (b, m, t, 4) xyxy pixels
    Source: STEP Sec. 3.4; its distribution is Fig. 4.
    """
    truth = centre(batch["truth"], config.boxes)
    present = centre(batch["present"][..., None], config.boxes)[..., 0] & batch["valid"][..., None]
    return tubelet_overlaps(centre(proposals, config.boxes), truth, present)


def step_losses(
    raw: Raw, tubelets: Tensor, samples: Samples, batch: dict[str, Tensor], config: StepConfig
) -> dict[str, Tensor]:
    """Return one step's terms on its samples, each weighted: ``class``, ``box`` and perhaps ``near``.

    raw: of the n sampled tubelets
    tubelets: (n, t, 4) xyxy pixels
    returns: means over the samples (class) or over the positives (boxes) of the whole batch
    Source: STEP Eq. 2 and 3; lambda and gamma are weights of the means here.
    """
    (positive,), there = marked((samples.truth >= 0) & samples.counts)
    item, truth = samples.item[positive], samples.truth[positive].clamp(min=0)
    labels = tubelets.new_zeros(len(samples.truth), batch["labels"].shape[2])
    labels[positive] = batch["labels"][item, truth].to(labels.dtype) * there[:, None]
    terms = {"class": class_loss(raw.logits, labels, config, samples.counts)}
    boxes, length, beside = config.boxes, tubelets.shape[1], raw.before is not None
    first = (batch["truth"].shape[2] - length) // 2 - (boxes if beside else 0)
    last = batch["truth"].shape[2] - first
    wanted = batch["truth"][item, truth, first:last].to(tubelets.dtype)
    present = batch["present"][item, truth, first:last] & there[:, None]
    offsets, anchors = raw.offsets[positive], tubelets[positive]
    if beside:
        assert raw.before is not None and raw.after is not None
        # anticipated boxes are offsets from this clip's own: those of the outermost K (STEP Eq. 5)
        offsets = torch.cat([raw.before[positive], offsets, raw.after[positive]], 1)
        ends = outermost(anchors, boxes, config.anticipation)
        anchors = torch.cat([ends[0], anchors, ends[1]], 1)
    each = box_losses(offsets, anchors, wanted, present, labels[positive])
    middle = torch.zeros_like(present)
    start = (present.shape[1] - boxes) // 2
    middle[:, start : start + boxes] = True
    terms["box"] = config.box_weight * _mean(each, present & middle)
    if present.shape[1] > boxes:
        terms["near"] = config.neighbour_weight * _mean(each, present & ~middle)
    return terms


def class_loss(logits: Tensor, labels: Tensor, config: Heads, counts: Tensor | None = None) -> Tensor:
    """Return the mean classification loss; rows without a label are background.

    logits: (n, classes + 1), or (n, classes) for ``bce``
    labels: (n, classes) 0 or 1
    counts: (n,) bool, None for all
    Source: STEP Eq. 2 (softmax); the independent classes are its authors' code's.
    """
    counts = torch.ones_like(labels[:, 0], dtype=torch.bool) if counts is None else counts
    number = normaliser(counts.sum().to(logits))
    if config.classification == "bce":
        each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(1)
        # a mean over classes too: the authors' code averages over everything
        return (each * counts).sum() / (number * labels.shape[1])
    target = torch.where(labels.any(1), labels.argmax(1), labels.shape[1])
    return (F.cross_entropy(logits, target, reduction="none") * counts).sum() / number


def box_losses(offsets: Tensor, anchors: Tensor, truth: Tensor, present: Tensor, labels: Tensor) -> Tensor:
    """Return the smooth L1 loss of every box, of its own class's regression: (n, t).

    offsets: (n, t, regressions, 4)
    anchors, truth: (n, t, 4) xyxy pixels
    present: (n, t) bool; what the truth says elsewhere is not looked at
    labels: (n, classes) 0 or 1; of several classes the mean counts
    Source: STEP Eq. 3, with the offsets of R-CNN.
    """
    # a box that is missing has no size: its logarithm is infinite, and 0 times that is not a number
    wanted = box_ops.encode(torch.where(present[..., None], truth, anchors), anchors)
    each = F.smooth_l1_loss(offsets, wanted[:, :, None].expand_as(offsets), reduction="none").sum(-1)
    # one regression for all classes is the authors' code's; the paper's Sec. 3.2 has one a class
    if each.shape[2] == 1:
        return each[..., 0]
    share = labels / labels.sum(1, keepdim=True).clamp(min=1)
    return (each * share[:, None]).sum(-1)


def _mean(each: Tensor, counted: Tensor) -> Tensor:
    """Mean over a tubelet's counted boxes, then over the batch's tubelets that have any; 0 for none."""
    # the frames of a tubelet first (Eq. 3): one with few true boxes counts as much as a full one
    count = counted.sum(1)
    mean = (each * counted).sum(1) / count.clamp(min=1)
    return mean.sum() / normaliser((count > 0).sum())


def check_truth(batch: dict[str, Tensor], config: StepConfig, initial: Tensor) -> None:
    """Refuse a batch whose truth does not fit the configuration. raises: FormatError"""
    truth, present, labels = batch["truth"], batch["present"], batch["labels"]
    length = config.clips[-1] * config.boxes
    if truth.ndim != 4 or truth.shape[2:] != (length, 4) or present.shape != truth.shape[:3]:
        raise FormatError(
            f"truth of shape {tuple(truth.shape)} for {config.clips[-1]} clips of {config.boxes} boxes",
            remedy="give truth (b, g, clips * boxes, 4) and presence (b, g, clips * boxes)",
        )
    if labels.shape[:2] != truth.shape[:2] or batch["valid"].shape != truth.shape[:2]:
        raise FormatError("labels and truth are not of one number", remedy="give labels (b, g, classes)")
    if config.classification == "softmax" and readable(labels) and bool((labels.sum(2) > 1).any()):
        raise FormatError(
            "a truth has several labels", remedy="use classification='bce', or give every truth one label"
        )
