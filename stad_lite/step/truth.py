"""The truth of a run of clips: one row an actor, one box a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stad_lite.records import VideoAnnotation
from stad_lite.step.config import StepConfig


@dataclass(frozen=True)
class Truth:
    """The actors of a run of clips.

    boxes: (g, t, 4) xyxy pixels, zeros where an actor is not there
    present: (g, t) bool
    labels: (g, classes) 0 or 1
    valid: (g,) bool, whether the actor counts in the centre clip
    """

    boxes: np.ndarray
    present: np.ndarray
    labels: np.ndarray
    valid: np.ndarray

    def mirrored(self, width: int) -> Truth:
        """Return the truth as a mirror shows it, in frames of a width in pixels."""
        turned = self.boxes[..., [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]
        return replace(self, boxes=np.where(self.present[..., None], turned, 0.0))

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields as ``criterion.losses`` takes them; ``truth`` are the boxes."""
        return {
            "truth": torch.as_tensor(self.boxes, dtype=torch.float32),
            "present": torch.as_tensor(self.present),
            "labels": torch.as_tensor(self.labels, dtype=torch.float32),
            "valid": torch.as_tensor(self.valid),
        }


def truth_of(
    video: VideoAnnotation,
    classes: Sequence[str],
    numbers: np.ndarray,
    inside: np.ndarray,
    config: StepConfig,
) -> Truth:
    """Return the truth of a run of an odd number of clips.

    A tube counts in the centre clip where it has a box on half of its places or more: the label is taken to
    be constant in a clip (STEP Sec. 3.1). Boxes on single frames (AVA) stand on their frame alone, and those
    of one place with several labels are one actor.

    numbers: (frames,) frame numbers of the run
    inside: (frames,) False where a frame only fills up
    returns: t places, one for every ``config.time_stride`` frames: the later of the two in their middle
    """
    stride, actors = config.time_stride, []
    numbers, inside = numbers[stride // 2 :: stride], inside[stride // 2 :: stride]
    for tube in video.tubes or ():
        there = inside & (numbers >= tube.start) & (numbers < tube.end)
        boxes = np.zeros((len(numbers), 4))
        boxes[there] = tube.boxes[numbers[there] - tube.start]
        actors.append((boxes, there, {list(classes).index(tube.label)}))
    actors += _on_single_frames(video, numbers, inside)
    chosen = [actor for actor in actors if actor[1].any()]
    count, places = len(chosen), len(numbers)
    found = Truth(
        np.array([boxes for boxes, _, _ in chosen]).reshape(count, places, 4),
        np.array([there for _, there, _ in chosen], dtype=bool).reshape(count, places),
        np.array(
            [[index in labels for index in range(len(classes))] for _, _, labels in chosen], dtype=float
        ).reshape(count, len(classes)),
        np.zeros(count, dtype=bool),
    )
    return _counted(found, config)


def _on_single_frames(
    video: VideoAnnotation, numbers: np.ndarray, inside: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, set[int]]]:
    """An actor for every box on a single frame, with all its labels."""
    if video.frames is None:
        return []
    labels: dict[tuple[float, ...], set[int]] = {}
    for frame, label, box in zip(video.frames.frame, video.frames.label, video.frames.box, strict=True):
        labels.setdefault((int(frame), *box.tolist()), set()).add(int(label))
    found = []
    for (frame, *box), names in labels.items():
        there = inside & (numbers == frame)
        found.append((np.where(there[:, None], np.array(box), 0.0), there, names))
    return found


def _counted(truth: Truth, config: StepConfig) -> Truth:
    """Tell which actors count in the centre clip; with AVA's supervision only its middle place is seen."""
    first = (truth.present.shape[1] - config.boxes) // 2
    middle = np.zeros(truth.present.shape[1], dtype=bool)
    if config.supervision == "middle":
        middle[first + config.boxes // 2] = True
        present = truth.present & middle
        return replace(truth, present=present, valid=np.asarray(present.any(1)))
    middle[first : first + config.boxes] = True
    return replace(truth, valid=np.asarray(truth.present[:, middle].mean(1) >= 0.5))
