"""The windows of many videos merged at once on a GPU; ``windows.merged`` goes video by video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from stad_lite import segments as segment_ops
from stad_lite.arrays import as_numpy
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.sp_tad.windows import FoundSegments, Timeline, gathered, merged, named
from stad_lite.systems.items import padded


def merged_on(
    device: torch.device,
    found: Mapping[str, Sequence[FoundSegments]],
    lines: Mapping[str, Timeline],
    system: Any,
) -> Predictions:
    """Return what ``windows.merged`` does, with the soft-NMS of all videos at once on a device.

    device: on the CPU one video after another is faster, and so it is done
    """
    config = system.config
    if device.type == "cpu" or not config.sigma or not found:
        return merged(found, lines, system)
    return Predictions(system.classes, together(device, found, lines, system))


def together(
    device: torch.device,
    found: Mapping[str, Sequence[FoundSegments]],
    lines: Mapping[str, Timeline],
    system: Any,
) -> dict[str, VideoPredictions]:
    """Return each video's segments, all suppressed at once."""
    config = system.config
    rows = [gathered(parts, lines[name], config.min_score) for name, parts in found.items()]
    columns = (padded([torch.from_numpy(row[i]) for row in rows], least=1).to(device) for i in range(3))
    segments, scores, labels = columns
    picks = min(config.most, scores.shape[1])
    picked = segment_ops.soft_picks(segments, scores, config.sigma, config.min_score, labels, picks)
    videos = {}
    orders, values = (as_numpy(part) for part in picked)
    for name, row, order, score in zip(found, rows, orders, values, strict=True):
        order, score = order[score >= config.min_score], score[score >= config.min_score]
        kept = named(row[0][order], score, row[2][order], system.classes)
        videos[name] = VideoPredictions(segments=kept)
    return videos
