"""How many true boxes the streams' proposals find, alone and together, at an equal count of boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.nets.proposals import Proposals, best, join
from stad_lite.pcsc.cooperation import STREAMS, helper_of
from stad_lite.pcsc.system import PCSCSystem
from stad_lite.systems.detect import Check
from stad_lite.systems.maps import FrameMaps
from stad_lite.systems.truth import TrueBoxes

PROPOSERS = (*STREAMS, "union")


def found(proposals: Proposals, truth: TrueBoxes, count: int, overlap: float = 0.5) -> Tensor:
    """Tell which true boxes one of the ``count`` best proposals of their frame overlaps by ``overlap``.

    proposals: best first
    returns: (b, m) bool, False where there is no true box

    >>> boxes = torch.tensor([[[0., 0., 9., 9.], [20., 20., 30., 30.]]])
    >>> some = Proposals(boxes, torch.tensor([[.9, .8]]), torch.ones(1, 2, dtype=torch.bool))
    >>> found(some, TrueBoxes(boxes.flip(1), torch.tensor([[0, 0]])), count=1).tolist()
    [[False, True]]
    """
    table = box_ops.pairwise_iou(truth.boxes, proposals.boxes[:, :count])
    table = table.masked_fill(~proposals.valid[:, None, :count], 0)
    if not table.shape[2]:
        return torch.zeros_like(truth.labels, dtype=torch.bool)
    return (table.amax(2) >= overlap) & (truth.labels >= 0)


def united(rgb: Proposals, flow: Proposals, count: int) -> Proposals:
    """Return the best ``count`` / 2 proposals of either stream: as many boxes as one stream gives alone.

    raises: FormatError for an odd count
    """
    if count % 2:
        raise FormatError(f"{count} boxes cannot be half of each stream", remedy="give an even count")
    return join(*(best(one, count // 2) for one in (rgb, flow)))


@dataclass(frozen=True, eq=False)
class Recall:
    """Which true boxes were found.

    found: ``rgb``, ``flow``, ``union`` -> (boxes,) bool at an equal count of proposals
    labels: (boxes,) class indices
    """

    found: dict[str, np.ndarray]
    labels: np.ndarray

    def share(self, which: str) -> float:
        """Return the share of true boxes in percent that ``rgb``, ``flow`` or the ``union`` found."""
        return 100 * float(self.found[which].mean())

    def only(self, stream: str) -> float:
        """Return the share of true boxes in percent that this stream found and the other did not."""
        return 100 * float((self.found[stream] & ~self.found[helper_of(stream)]).mean())


def proposal_recall(
    system: PCSCSystem,
    source: VideoSource,
    counts: tuple[int, ...] = (4, 8),
    maps: FrameMaps | None = None,
    overlap: float = 0.5,
) -> dict[int, Recall]:
    """Return the recall of the region proposals of both streams on all frames that hold a true box.

    counts: boxes a frame, even numbers
    maps: of the small networks, computed where they are not given
    raises: FormatError where no frame holds a true box
    Source: PCSC Sec. 3.2 (either stream's proposals cover the true regions only partly).
    """
    network = system.network

    def answer(batch: dict[str, Tensor], _: Check) -> dict[Any, Tensor]:
        truth = TrueBoxes(batch["boxes"], batch["labels"])
        there = truth.labels >= 0
        first = network.propose(network.features(batch["rgb"], batch["flow"]))[2]
        told: dict[Any, Tensor] = {"labels": truth.labels[there]}
        for count in counts:
            pools = {**first, "union": united(first["rgb"], first["flow"], count)}
            for name in PROPOSERS:
                told[count, name] = found(pools[name], truth, count, overlap)[there]
        return told

    told = [part for _, parts in system.ask(source, maps, answer) for part in parts]
    if not sum(len(part["labels"]) for part in told):
        raise FormatError("no frame holds a true box", remedy="choose another subset")
    table = {key: torch.cat([part[key] for part in told]).cpu().numpy() for key in told[0]}
    return {
        count: Recall({name: table[count, name] for name in PROPOSERS}, table["labels"]) for count in counts
    }
