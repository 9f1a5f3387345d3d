"""Where a backbone begins: published weights, or a classifier of clips trained before the detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

import torch
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets import weights
from stad_lite.nets.losses import binary_cross_entropy
from stad_lite.sp_tad.backbone import ClipHead, I3DStages, make_backbone
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.criterion import clip_targets
from stad_lite.sp_tad.system import Batch, SpTadSystem


class ClipClassifier:
    """A backbone with nothing but the clip head: which classes occur in a window.

    It is trained like a detector, on the same kind of data set.

    config: of the detector that the backbone is for
    classes: names; they need not be the detector's
    raises: FormatError for cached features, which have no backbone
    """

    def __init__(self, config: SpTadConfig, classes: Sequence[str]) -> None:
        if not config.backbone.reads_frames:
            raise FormatError("cached features have no backbone to train", remedy="choose i3d or light")
        self.config, self.classes = config, tuple(classes)
        backbone = make_backbone(config.backbone)
        head = ClipHead(sum(backbone.channels), len(self.classes))
        self.network = nn.ModuleDict({"backbone": backbone, "clip_head": head})

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return (b, classes) of the inputs of a detector with this backbone."""
        return self.network["clip_head"](self.network["backbone"](inputs))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the binary cross entropy of the classes that occur."""
        logits = self.logits(batch.inputs)
        return {"clip": binary_cross_entropy(logits, clip_targets(batch.truth, len(self.classes)))}

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[Tensor]:
        """Return each window's probabilities (classes,)."""
        return list(self.logits(batch.inputs).sigmoid())


def transfer(classifier: ClipClassifier, system: SpTadSystem) -> None:
    """Give a detector the classifier's backbone. raises: FormatError where the two do not fit"""
    if classifier.config.backbone != system.config.backbone:
        raise FormatError(
            "the classifier's backbone is not the detector's", remedy="build both with one Backbone"
        )
    system.network.backbone.load_state_dict(classifier.network["backbone"].state_dict())


def load_streams(system: SpTadSystem, files: Mapping[str, str | PathLike[str]]) -> dict[str, weights.Report]:
    """Fill the I3D of each stream with published weights, as SP-TAD Sec. 4.1 begins (Kinetics).

    files: "rgb" and "flow" -> a file that ``stad_lite.nets.weights`` reads
    returns: what became of the tensors, by stream
    raises: FormatError for a backbone that is no I3D or a stream it does not have, and what loading raises
    """
    backbone = system.network.backbone
    if not isinstance(backbone, I3DStages) or not set(files) <= set(backbone.streams):
        raise FormatError(
            f"no I3D for {', '.join(files)} in this backbone", remedy="load weights into i3d's own streams"
        )
    return {
        stream: weights.load(backbone.streams[stream], weights.read_state(path))
        for stream, path in files.items()
    }
