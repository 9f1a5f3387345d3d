"""Random crops of whole runs of clips, for training end to end (STEP Sec. 4.1).

Mirror images are those of ``systems``; maps that are kept can be mirrored alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from stad_lite.data import transforms
from stad_lite.step.config import Input
from stad_lite.systems.seen import Seen
from stad_lite.systems.truth import Truth


def cropped(
    seen: Mapping[str, Seen], truth: Truth, size: tuple[int, int], config: Input, rng: np.random.Generator
) -> tuple[Mapping[str, Seen], Truth]:
    """Return a run of clips that shows a window at its full size, drawn as SSD's, and the truth in it.

    An actor stays on the frames on which its centre is in the window, cut to it; it counts in the centre
    clip where it still has half of the places it had there.

    seen: streams as they are stored; the truth is already as a mirror shows it
    size: (height, width) of their frames
    Source: STEP Sec. 4.1 (random cropping of the whole sequence); SSD Sec. 2.2.
    """
    places = truth.present.shape[1]
    clip = transforms.Sample(size, truth.boxes, truth.present, truth.labels.argmax(1))
    drawn = transforms.overlap_window(clip, rng)
    seen = {stream: one._replace(window=torch.tensor(drawn)) for stream, one in seen.items()}
    if drawn[2:] == size:
        return seen, truth
    inside = transforms.scale(transforms.crop(clip, *drawn), *size)
    first = (places - config.boxes) // 2
    centre = slice(first, first + config.boxes)
    left_over = 2 * inside.present[:, centre].sum(1) >= truth.present[:, centre].sum(1).clip(1)
    present = np.asarray(inside.present)
    return seen, replace(truth, boxes=inside.boxes, present=present, valid=truth.valid & left_over)
