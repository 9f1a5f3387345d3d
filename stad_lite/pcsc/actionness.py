"""Class-specific actionness: is the action of its class under way in this box of a tube?

One binary classifier a class. It is trained on the boxes of the tubes that the detector calls by that class,
which are hard to tell apart near an action's begin and end, and it trims tubes through a median filter.

Source: PCSC Sec. 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite import boxes as box_ops
from stad_lite.arrays import as_numpy
from stad_lite.errors import FormatError, StadError
from stad_lite.linking import MedianFilter, trim_tubes
from stad_lite.nets.losses import binary_cross_entropy
from stad_lite.records import VideoAnnotation
from stad_lite.schedule import TrainConfig
from stad_lite.systems.truth import actor_tubes
from stad_lite.training.short import minimise
from stad_lite.tubes import Tube


class ActionnessDetectors(nn.Module):
    """N binary classifiers on the detector's own features after cooperation.

    features: numbers that describe a box
    classes: N
    hidden: width of a layer that the classifiers share, 0 for none
    trained: (classes,) buffer, False for a class that has had no tube to learn from

    >>> ActionnessDetectors(16, classes=6, hidden=8)(torch.zeros(3, 16)).shape
    torch.Size([3, 6])
    """

    mean: Tensor
    spread: Tensor
    trained: Tensor

    def __init__(self, features: int, classes: int, hidden: int = 0) -> None:
        super().__init__()
        shared: list[nn.Module] = [nn.Linear(features, hidden), nn.ReLU()] if hidden else []
        self.layers = nn.Sequential(*shared, nn.Linear(hidden or features, classes))
        # features are standardised, of which the paper says nothing: one rate of learning then fits all
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("trained", torch.zeros(classes, dtype=torch.bool))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (r, classes) of features (r, features)."""
        return self.layers((features - self.mean) / self.spread)


@dataclass(frozen=True, eq=False)
class TubeBoxes:
    """The boxes of linked tubes that come from detections.

    features: (m, features) of each
    label: (m,) class index of its tube
    target: (m,) 1 where a true box of that class overlaps it enough, else 0
    """

    features: np.ndarray
    label: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.label)


def targets(
    frame: np.ndarray,
    box: np.ndarray,
    label: np.ndarray,
    truth: VideoAnnotation,
    classes: Sequence[str],
    overlap: float = 0.5,
) -> np.ndarray:
    """Label boxes: 1 where the overlap with a true box of the class on that frame is above ``overlap``.

    frame: (m,) frame numbers
    box: (m, 4) xyxy pixels
    label: (m,) class index of the tube that each box is in
    returns: (m,) 0 or 1
    Source: PCSC Sec. 3.4.
    """
    found = np.zeros(len(frame), dtype=np.int64)
    for tube in actor_tubes(truth, classes):
        inside = (frame >= tube.start) & (frame < tube.end) & (label == classes.index(tube.label))
        places = np.flatnonzero(inside)
        shared = box_ops.iou(box[places], tube.boxes[frame[places] - tube.start])
        # "greater than 0.5" (Sec. 3.4), where proposals count from .5 on
        found[places[shared > overlap]] = 1
    return found


def train_actionness(
    detectors: ActionnessDetectors,
    boxes: Sequence[TubeBoxes],
    steps: int = 300,
    batch: int = 256,
    lr: float = 2e-3,
    weight_decay: float = 1e-3,
    seed: int = 0,
) -> tuple[int, ...]:
    """Train the classifiers; each looks at the boxes in tubes of its own class alone.

    A class without both kinds of boxes keeps its first weights and is left out (``trained`` False): its tubes
    are not trimmed.

    returns: (classes,) boxes that each class learned from, 0 for a class that was left out
    raises: StadError where no class can be trained
    """
    kept = [part for part in boxes if len(part)]
    count = len(detectors.trained)
    names = ("features", "label", "target") if kept else ()
    columns = [np.concatenate([getattr(part, name) for part in kept]) for name in names]
    counts = _learnable(columns[1], columns[2], count) if kept else np.zeros(count, dtype=int)
    if not counts.any():
        raise StadError(
            "no class has tubes with boxes inside and outside its action",
            remedy="train the detector longer, lower its thresholds or give untrimmed videos",
        )
    use = counts[columns[1]] > 0
    device = detectors.mean.device
    features = torch.as_tensor(columns[0][use], dtype=torch.float32, device=device)
    label, target = (torch.as_tensor(column[use], device=device) for column in columns[1:])
    with torch.no_grad():
        detectors.mean.copy_(features.mean(0))
        detectors.spread.copy_(features.std(0).clamp(min=1e-3))
        detectors.trained.copy_(torch.as_tensor(counts > 0))
    generator = torch.Generator().manual_seed(seed)

    def loss() -> dict[str, Tensor]:
        chosen = torch.randint(len(label), (min(batch, len(label)),), generator=generator).to(device)
        # a box teaches the classifier of its own tube's class and no other (Sec. 3.4)
        logits = detectors(features[chosen]).gather(1, label[chosen][:, None])[:, 0]
        return {"actionness": binary_cross_entropy(logits, target[chosen])}

    constant = TrainConfig(steps=steps, lr=lr, weight_decay=weight_decay, schedule="step", drops=())
    detectors.train()
    minimise(detectors, loss, constant, "actionness")
    detectors.eval()
    return tuple(int(n) for n in counts)


def _learnable(label: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    """Boxes of each class, 0 where they are all of one kind."""
    of_both = [np.unique(target[label == index]).size == 2 for index in range(classes)]
    return np.where(of_both, np.bincount(label, minlength=classes), 0)


@torch.no_grad()
def scores_along(
    tube: Tube, frame: np.ndarray, features: np.ndarray, label: int, detectors: ActionnessDetectors
) -> np.ndarray:
    """Return a tube's actionness on each of its frames, linear between the frames that have a detection.

    frame: (m,) rising frames of the tube's detections
    features: (m, features) of each
    label: class index of the tube
    returns: (frames,) probabilities; 1 throughout for a class without a trained classifier
    raises: FormatError for a tube without detections
    """
    if not len(frame):
        raise FormatError("the tube has no detections", remedy="give the boxes that it was linked from")
    if not detectors.trained[label]:
        return np.ones(len(tube))
    described = torch.as_tensor(features, dtype=torch.float32, device=detectors.mean.device)
    # where linking filled a hole there is no detection, and so there are no features
    return np.interp(tube.frames, frame, as_numpy(detectors(described)[:, label].sigmoid()))


@dataclass(frozen=True)
class Refined:
    """Tubes after trimming by actionness.

    tubes: what is left, in the order given
    removed: tubes of which nothing was left; ``kept_whole``: ones that would have been removed
    """

    tubes: tuple[Tube, ...]
    removed: int
    kept_whole: int


def refine(tubes: Sequence[Tube], actionness: Sequence[np.ndarray], trim: MedianFilter) -> Refined:
    """Trim tubes by their actionness; every tube that goes is counted.

    actionness: for each tube (frames,) probabilities
    raises: FormatError where the two do not fit
    """
    trimmed = trim_tubes(tubes, trim, evidence=list(actionness))
    return Refined(trimmed.tubes, trimmed.removed, trimmed.kept_whole)
