"""Random crops and colours of whole runs of clips, for training end to end (STEP Sec. 4.1).

Mirror images are those of ``systems``; maps that are kept can be mirrored alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from stad_lite.data import transforms
from stad_lite.step.config import Input
from stad_lite.systems.truth import Truth


def colours(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return frames (t, h, w, 3) uint8 with other colours, the same in all of them."""
    nobody = transforms.sample(frames)
    distort = transforms.Augment(nobody.size, flip=0.0)
    return distort(nobody, rng).frames


def cropped(seen: Tensor, truth: Truth, config: Input, rng: np.random.Generator) -> tuple[Tensor, Truth]:
    """Return a window of a run of clips at its full size, drawn as SSD's, and the truth in it.

    An actor stays on the frames on which its centre is in the window, cut to it; it counts in the centre
    clip where it still has half of the places it had there.

    seen: (t, channels, h, w) as ``clips.read_input`` gives it; flow is scaled along
    Source: STEP Sec. 4.1 (random cropping of the whole sequence); SSD Sec. 2.2.
    """
    height, width = seen.shape[2:]
    places = truth.present.shape[1]
    clip = transforms.Sample(
        np.zeros((places, height, width, 3), np.uint8), truth.boxes, truth.present, truth.labels.argmax(1)
    )
    top, left, tall, wide = transforms.overlap_window(clip, rng)
    if (tall, wide) == (height, width):
        return seen, truth
    inside = transforms.scale(transforms.crop(clip, top, left, tall, wide), height, width)
    part = seen[:, :, top : top + tall, left : left + wide]
    larger = F.interpolate(part, size=(height, width), mode="bilinear", align_corners=False)
    flow = slice(0 if config.stream == "flow" else 3, None)
    if config.stream != "rgb":
        larger[:, flow][:, 0::2] *= width / wide
        larger[:, flow][:, 1::2] *= height / tall
    first = (places - config.boxes) // 2
    centre = slice(first, first + config.boxes)
    left_over = 2 * inside.present[:, centre].sum(1) >= truth.present[:, centre].sum(1).clip(1)
    present = np.asarray(inside.present)
    return larger, replace(truth, boxes=inside.boxes, present=present, valid=truth.valid & left_over)
