"""Settings of the toy: what it sees, how large it is, how it is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from stad_lite.nets.inputs import PIXELS
from stad_lite.schedule import TrainConfig
from stad_lite.settings import Group, OneOf, Share, Side, Weight


@dataclass(frozen=True)
class ToyDecoding(Group):
    """What becomes of raw outputs.

    min_score: boxes need this probability
    """

    min_score: Share = 0.1


@dataclass(frozen=True)
class ToyConfig(ToyDecoding):
    """Settings of the network, its loss and its decoding.

    size: (height, width) that videos are scaled to
    backbone: ``small``, or ``vgg16`` at its published width
    normalise: how RGB is scaled, a name in ``nets.inputs.PIXELS``
    box_weight: of this term of the loss
    raises: FormatError
    """

    size: tuple[Side, Side] = (48, 48)
    backbone: Literal["small", "vgg16"] = "small"
    normalise: Annotated[str, OneOf(PIXELS)] = "unit"
    box_weight: Weight = 2.0

    def thawed(self) -> ToyConfig:
        """Return the same for a start without published weights."""
        return replace(self, normalise="unit")

    @classmethod
    def smoke(cls) -> ToyConfig:
        """For tests, seconds."""
        return cls()

    @classmethod
    def lesson(cls) -> ToyConfig:
        """For a chapter, minutes."""
        return cls(size=(64, 64))

    @classmethod
    def paper(cls) -> ToyConfig:
        """The paper's own numbers."""
        return cls(size=(224, 224), backbone="vgg16", normalise="bgr")

    @classmethod
    def large(cls) -> ToyConfig:
        """For a GPU, minutes."""
        return cls(size=(112, 112))


def schedule(profile: str) -> TrainConfig:
    """Return how a profile is trained."""
    return TrainConfig(steps=8 if profile == "smoke" else 400, batch=8, lr=5e-3, amp=profile == "large")
