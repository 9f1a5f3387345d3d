"""How many true boxes the streams' proposals find, alone and together, at an equal count of boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.pcsc import cooperation
from stad_lite.pcsc.cooperation import STREAMS, Proposals
from stad_lite.pcsc.detector import TrueBoxes
from stad_lite.pcsc.features import FrameMaps, clips
from stad_lite.pcsc.model import PCSCSystem
from stad_lite.pcsc.system import BATCH, boxes_on, padded_truth

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
    return cooperation.join(*(cooperation.best(one, count // 2) for one in (rgb, flow)))


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
        other = STREAMS[1 - STREAMS.index(stream)]
        return 100 * float((self.found[stream] & ~self.found[other]).mean())


@torch.no_grad()
def proposal_recall(
    system: PCSCSystem,
    source: VideoSource,
    counts: tuple[int, ...] = (4, 8),
    maps: FrameMaps | None = None,
    overlap: float = 0.5,
) -> dict[int, Recall]:
    """Return the recall of the region proposals of both streams on all frames that hold a true box.

    counts: boxes a frame, even numbers
    maps: of the small networks; needed for them
    raises: FormatError where no frame holds a true box
    Source: PCSC Sec. 3.2 (either stream's proposals cover the true regions only partly).
    """
    source.check(system.config.size, flow=True)
    network, training = system.network, system.network.training
    network.eval()
    device = next(network.parameters()).device
    parts: dict[tuple[int, str], list[Tensor]] = {(n, name): [] for n in counts for name in PROPOSERS}
    labels = []
    for video in source.videos:
        known = source.annotations.videos[video]
        for numbers, clip in clips(source, system.config, video, maps, BATCH):
            true = padded_truth([boxes_on(known, int(frame), source.classes) for frame in numbers])
            truth = TrueBoxes(*(x.to(device) for x in true))
            there = truth.labels >= 0
            first = network.propose(network.features(*(clip[s].to(device) for s in STREAMS)))[2]
            labels.append(truth.labels[there])
            for count in counts:
                pools = {**first, "union": united(first["rgb"], first["flow"], count)}
                for name in PROPOSERS:
                    parts[count, name].append(found(pools[name], truth, count, overlap)[there])
    network.train(training)
    if not sum(map(len, labels)):
        raise FormatError("no frame holds a true box", remedy="choose another subset")
    return {
        count: Recall(
            {name: torch.cat(parts[count, name]).cpu().numpy() for name in PROPOSERS},
            torch.cat(labels).cpu().numpy(),
        )
        for count in counts
    }
