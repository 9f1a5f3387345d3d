"""One-to-one against one-to-many labels of SP-TAD's proposals, within single windows.

Every video is one window of cached features, so what is measured has nothing to do with windows that overlap.
Figures, in percent, of the last head on unseen windows: ``raw`` and ``suppressed``, mean temporal mAP at
0.3:0.1:0.7 of all answers and of those that survive NMS within a class at tIoU 0.5; ``gain``, the second less
the first; ``duplicates``, of the best answers. ``gain_first_head`` is that of the first head, ``gain_seen``
that on windows it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite import segments
from stad_lite.data.synthetic.sequences import SequenceSettings, SequenceSource, sequence_source
from stad_lite.errors import FormatError
from stad_lite.matching import POSITIVE, Matching, by_threshold
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, Predictions, Segment, VideoPredictions
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.reproduce.parameters import pick
from stad_lite.schedule import TrainConfig
from stad_lite.sp_tad import system as pipeline
from stad_lite.sp_tad import windows
from stad_lite.sp_tad.config import SpTadConfig, schedule
from stad_lite.sp_tad.criterion import Instances, match, set_loss
from stad_lite.sp_tad.model import Outputs
from stad_lite.systems.detect import batched
from stad_lite.training.loop import fit_unkept
from stad_lite.training.profile import clock

LABELS = ("one-to-one", "one-to-many")
VIDEOS = {"smoke": {"train": 8, "test": 4}, "lesson": {"train": 600, "test": 200}}
SEEN = 100
"""How many of the windows that were trained on are looked at again."""
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)

VARIANTS: dict[str, dict[str, Any]] = {
    "one_to_one": {},
    "one_to_many": {"labels": "one-to-many"},
    "one_to_one_silent": {"self_attention": False},
    "one_to_one_long": {"length": 3},
}
"""``silent``: proposals do not see each other; ``long``: three times the updates."""


def match_by_overlap(outputs: Outputs, truth: Instances, threshold: float = 0.5) -> list[Matching]:
    """Return, for every head, all proposals that overlap a truth enough, any number for one truth.

    Each truth also has the proposal that overlaps it most.

    threshold: tIoU from which a proposal is positive; below it all are negative, none is ignored

    >>> half = torch.tensor([[[[0.0, 0.5], [0.1, 0.5], [0.8, 1.0]]]])
    >>> truth = Instances(torch.tensor([[[0.0, 0.5]]]), torch.tensor([[0]]), (1,))
    >>> match_by_overlap(Outputs(half, half, None), truth)[0].proposal.tolist()
    [0, 1]
    """
    found = []
    for head in outputs.segments.detach():
        rows: list[Tensor] = [torch.zeros(0, 3, dtype=torch.long)]
        for item, (proposals, count) in enumerate(zip(head.cpu(), truth.counts, strict=True)):
            overlaps = segments.pairwise_iou(proposals, truth.segments[item, :count].cpu())
            label = by_threshold(overlaps, threshold, threshold, best_per_truth=True)
            chosen = (label.label == POSITIVE).nonzero()[:, 0]
            rows.append(torch.stack([torch.full_like(chosen, item), chosen, label.truth[chosen]], 1))
        found.append(Matching(*torch.cat(rows).T.to(head.device)))
    return found


class Silent(nn.Module):
    """In place of self-attention: no proposal hears of another."""

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, None]:
        """Return zeros of the query's shape, and no weights."""
        return torch.zeros_like(query), None


@dataclass
class Labelled:
    """SP-TAD trained with one of LABELS; its loss is divided by the number of positives (Eq. 3).

    system: what is trained
    labels: in LABELS
    raises: FormatError for other labels
    """

    system: pipeline.SpTadSystem
    labels: str = LABELS[0]

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            raise FormatError(f"no labels {self.labels!r}", remedy=f"choose from {', '.join(LABELS)}")
        self.network: nn.Module = self.system.network
        self.config, self.classes = self.system.config, self.system.classes

    def loss(self, batch: pipeline.Batch) -> dict[str, Tensor]:
        """Return the weighted terms of Eq. 2."""
        outputs: Outputs = self.network(batch.inputs)
        if self.labels == LABELS[0]:
            return set_loss(outputs, batch.truth, self.config, match(outputs, batch.truth, self.config))
        matches = match_by_overlap(outputs, batch.truth)
        positives = sum(len(one.item) for one in matches) / len(matches)
        share = max(1, sum(batch.truth.counts)) / max(1.0, positives)
        terms = set_loss(outputs, batch.truth, self.config, matches)
        return {name: term if name == "clip" else share * term for name, term in terms.items()}

    def predict(self, batch: pipeline.Batch) -> list[Any]:
        """Return what the last head finds in each window."""
        return list(self.system.predict(batch))


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random: nothing."""
    return ()


CHOSEN = (Chosen("the windows, the network's size and the updates", "not recorded", "not recorded"),)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: FormatError for an unknown profile"""
    config, settings = window_settings(profile)
    videos = VIDEOS["smoke" if profile == "smoke" else "lesson"]
    return config, planned(variant, profile), settings, videos, VARIANTS[variant], SEEN


def planned(variant: str, profile: str) -> TrainConfig:
    """Return the schedule of a variant."""
    steps = pick(profile, smoke=4, lesson=600, paper=600) * VARIANTS[variant].get("length", 1)
    return replace(schedule("lesson"), steps=steps, batch=8, checkpoint_every=steps)


def one_window(profile: str, split: str, seed: int = 0) -> tuple[SpTadConfig, SequenceSource]:
    """Return the settings, and videos that are exactly one window long.

    seed: whose videos
    raises: FormatError for an unknown profile
    """
    config, settings = window_settings(profile)
    count = VIDEOS["smoke" if profile == "smoke" else "lesson"][split]
    return config, sequence_source(settings, clips_of_seed(seed, count), split)


def window_settings(profile: str) -> tuple[SpTadConfig, SequenceSettings]:
    """Return settings of two heads without NMS and clip head, and of videos of one window."""
    lesson = SequenceSettings(
        frames=(128, 128), classes=4, span=(8, 40), gap=(4, 24), channels=(8, 8, 8), likeness=0.0
    )
    smoke = replace(SequenceSettings.smoke(), frames=(64, 64))
    settings = pick(profile, smoke=smoke, lesson=lesson, paper=lesson)
    larger: dict[str, Any] = {"proposals": 12, "channels": 32, "bins": 8, "feed_forward": 64}
    window = settings.frames[0]
    config = replace(
        SpTadConfig.smoke(), window=window, test_stride=window, initial="grid", clip_head=False, sigma=0.0,
        **({} if profile == "smoke" else larger),
    )  # fmt: skip
    return config, settings


def build(config: SpTadConfig, classes: Sequence[str], settings: Mapping[str, Any]) -> Labelled:
    """Return a new system of a variant. settings: a value of VARIANTS"""
    system = pipeline.build(config, classes)
    if not settings.get("self_attention", True):
        for head in system.network.heads:
            head.self_attention = Silent()
    return Labelled(system, settings.get("labels", LABELS[0]))


def suppress(predictions: Predictions, threshold: float = 0.5) -> Predictions:
    """Return the answers that survive NMS among those of their video and class."""
    return Predictions(
        predictions.classes,
        {name: VideoPredictions(segments=_survivors(video.segments or (), threshold))
         for name, video in predictions.videos.items()},
    )  # fmt: skip


def _survivors(found: Sequence[Segment], threshold: float) -> tuple[Segment, ...]:
    kept: list[Segment] = []
    for label in dict.fromkeys(one.label for one in found):
        mine = [one for one in found if one.label == label]
        spans, scores = np.array([(s.start, s.end) for s in mine]), np.array([s.score for s in mine])
        kept += [mine[i] for i in segments.nms(spans, scores, threshold)]
    return tuple(sorted(kept, key=lambda one: -(one.score or 0.0)))


def duplicates(truth: Annotations, predictions: Predictions, threshold: float = 0.5) -> float:
    """Return the percentage of best answers that only repeat a better one of their class.

    A window with g truths gives its g best answers.

    threshold: tIoU of a repetition
    """
    repeated, counted = 0, 0
    for name, video in predictions.videos.items():
        found = sorted(video.segments or (), key=lambda one: -(one.score or 0.0))
        best = found[: len(truth.videos[name].segments or ())]
        counted += len(best)
        repeated += len(best) - len(_survivors(best, threshold))
    return 100 * repeated / max(1, counted)


@torch.no_grad()
def answers(system: Labelled, source: SequenceSource, head: int = -1, batch: int = 32) -> Predictions:
    """Return what one head answers for every video.

    head: its place, -1 for the last
    batch: windows that go through the network together
    """
    data = pipeline.test_windows(system.system, source)
    network = system.system.network.eval()
    found: dict[str, list[Any]] = {name: [] for name in source.videos}
    for some in batched(data, pipeline.collate, next(network.parameters()).device, batch):
        for one in windows.decode(network(some.inputs), some.windows, system.config, head):
            found[one.window.video].append(one)
    return windows.merged(found, data.lines, system.system)


def figures(truth: Annotations, predictions: Predictions) -> dict[str, float]:
    """Return the figures that the module names, without the time."""
    raw, kept = (
        float(evaluate(truth, found, "temporal-map", iou=THRESHOLDS).mean)
        for found in (predictions, suppress(predictions))
    )
    repeated = duplicates(truth, predictions)
    return {"raw": raw, "suppressed": kept, "gain": kept - raw, "duplicates": repeated}


def run(variant: str, seed: int, profile: str, device: str = "cpu") -> dict[str, float]:
    """Train one variant and return its figures and ``cpu_seconds``.

    device: that it is trained and judged on
    raises: FormatError for an unknown profile
    """
    began = clock(device)
    config, source = one_window(profile, "train", seed)
    torch.manual_seed(seed)
    system = build(config, source.annotations.classes, VARIANTS[variant])
    settings = replace(planned(variant, profile), seed=seed)
    data = pipeline.training_set(system.system, source, seed)
    fit_unkept(system, data, settings, device, pipeline.collate)
    unseen = one_window(profile, "test")[1]
    seen = sequence_source(source.settings, clips_of_seed(seed, min(SEEN, len(source.videos))), "train")
    found = figures(unseen.annotations, answers(system, unseen))
    found["gain_first_head"] = figures(unseen.annotations, answers(system, unseen, 0))["gain"]
    found["gain_seen"] = figures(seen.annotations, answers(system, seen))["gain"]
    return {**found, "cpu_seconds": clock(device) - began}
