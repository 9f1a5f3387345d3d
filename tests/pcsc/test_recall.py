"""Recall of proposals: by brute force, at equal count, and who found what alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.errors import FormatError
from stad_lite.nets.proposals import Proposals
from stad_lite.pcsc import recall
from stad_lite.pcsc import system as pipeline
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.systems.maps import frame_maps
from stad_lite.systems.truth import TrueBoxes


def some(seed: int, count: int = 10) -> Proposals:
    torch.manual_seed(seed)
    corner = torch.rand(3, count, 2) * 20
    boxes = torch.cat([corner, corner + 8 + torch.rand(3, count, 2) * 8], -1)
    scores = torch.rand(3, count).sort(1, descending=True).values
    return Proposals(boxes, scores, torch.arange(count) < torch.tensor([[count], [4], [0]]))


@pytest.mark.parametrize("count", [2, 6, 10])
def test_found_is_the_plain_loop(count):
    proposals, truth = some(0), TrueBoxes(some(1, 5).boxes, torch.tensor([[0, 1, 2, 0, -1]] * 3))
    table = recall.found(proposals, truth, count)
    for b in range(3):
        for m in range(5):
            overlaps = [
                float(box_ops.iou(truth.boxes[b, m], proposals.boxes[b, n]))
                for n in range(min(count, int(proposals.valid[b].sum())))
            ]
            assert bool(table[b, m]) == (truth.labels[b, m] >= 0 and max(overlaps, default=0) >= 0.5)
    assert table.any() and not table[2].any()


def test_the_union_has_as_many_boxes_as_one_stream():
    rgb, flow = some(0), some(2)
    both = recall.united(rgb, flow, 6)
    assert both.boxes.shape[1] == 6
    assert torch.equal(both.boxes[0, :3], rgb.boxes[0, :3]) and torch.equal(
        both.boxes[0, 3:], flow.boxes[0, :3]
    )
    with pytest.raises(FormatError, match="even count"):
        recall.united(rgb, flow, 5)


def test_shares():
    one = recall.Recall(
        {
            "rgb": np.array([1, 1, 0, 0]) > 0,
            "flow": np.array([1, 0, 1, 0]) > 0,
            "union": np.array([1, 1, 1, 0]) > 0,
        },
        np.zeros(4, int),
    )
    assert [one.share(which) for which in recall.PROPOSERS] == [50, 50, 75]
    assert (one.only("rgb"), one.only("flow")) == (25, 25)


def test_on_a_source(tmp_path):
    source = synthetic_source(Settings.smoke(), 2, "val", tmp_path)
    torch.manual_seed(0)
    system = pipeline.build(PCSCConfig.smoke(), source.classes)
    found = recall.proposal_recall(system, source, (2, 16), frame_maps(system, source))
    true = sum(len(tube) for video in source.annotations.videos.values() for tube in video.tubes)
    assert len(found[2].labels) == len(found[16].found["union"]) == true
    for which in ("rgb", "flow"):
        assert (found[2].found[which] <= found[16].found[which]).all()  # more boxes find no fewer
    empty = source.subset([])
    with pytest.raises(FormatError, match="no frame holds"):
        recall.proposal_recall(system, empty)
