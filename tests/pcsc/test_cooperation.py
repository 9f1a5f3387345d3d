"""Who helps whom, with which boxes, and what the stages find together."""

from __future__ import annotations

import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.nets.proposals import Proposals, join
from stad_lite.pcsc import cooperation
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.cooperation import Detections
from stad_lite.pcsc.model import PCSC
from stad_lite.systems.truth import TrueBoxes


def some_boxes(*shape: int, size: float = 40.0) -> torch.Tensor:
    corner = torch.rand(*shape, 2) * size
    return torch.cat([corner, corner + 4 + torch.rand(*shape, 2) * size / 2], -1)


@pytest.mark.parametrize(
    ("stage", "stream", "own", "other"),
    [
        (1, "rgb", ("rgb", 0), ("flow", 0)),
        (2, "flow", ("flow", 0), ("rgb", 1)),
        (3, "rgb", ("rgb", 1), ("flow", 2)),
        (4, "flow", ("flow", 2), ("rgb", 3)),
    ],
)
def test_the_schedule_of_figure_1(stage, stream, own, other):
    turn = cooperation.turn(stage)
    assert (turn.stream, turn.own, turn.other) == (stream, own, other)
    assert turn.helper == other[0] != stream


@pytest.mark.parametrize("stage", range(2, 9))
def test_the_schedule_is_the_formula(stage):
    """P_t of stream i = B_(t-2) of i joined with B_(t-1) of j, for every stage that has both."""
    turn = cooperation.turn(stage)
    assert turn.own == (turn.stream, stage - 2)
    assert turn.other == (turn.helper, stage - 1)
    if stage > 2:  # what is taken was found by a stage of that stream
        assert cooperation.turn(stage - 2).stream == turn.stream
    assert cooperation.turn(stage - 1).stream == turn.helper


def test_no_turn_before_stage_one():
    with pytest.raises(FormatError, match="stage 0"):
        cooperation.turn(0)


def detections(boxes: list[list[float]], scores: list[list[float]]) -> Detections:
    """Return one frame's detections in which all classes have the same boxes."""
    table = torch.tensor(boxes).reshape(1, -1, 1, 4)
    chances = torch.tensor(scores)[None]
    there = torch.ones(1, len(boxes), dtype=torch.bool)
    return Detections(table.expand(-1, -1, chances.shape[2], -1), chances, there)


NEAR, FAR = [[0.0, 0, 10, 10], [4.0, 0, 14, 10]], [[30.0, 0, 40, 10]]


def test_the_other_streams_boxes_are_thinned_more():
    """Two boxes of overlap .43 both stay under the own threshold .5, one of them under the other's .3."""
    found = detections(NEAR, [[0.9, 0.1], [0.2, 0.8]])
    own = cooperation.confident(found, 0.05, 0.5, 8)
    other = cooperation.confident(found, 0.05, 0.3, 8)
    assert (int(own.valid.sum()), int(other.valid.sum())) == (2, 1)
    joined = join(own, other)
    assert joined.boxes.shape == (1, 4, 4) and int(joined.valid.sum()) == 3


def test_only_confident_boxes_become_proposals_each_in_its_best_class():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [50.0, 50, 60, 60]], [[20.0, 20, 30, 30], [0.0, 0, 9, 9]]])[None]
    found = Detections(boxes, torch.tensor([[[0.9, 0.3], [0.04, 0.03]]]), torch.ones(1, 2, dtype=torch.bool))
    kept = cooperation.confident(found, 0.05, 0.5, 8)
    assert kept.boxes[kept.valid].tolist() == [[0.0, 0, 10, 10]]


def test_a_stream_without_detections_gives_no_proposals():
    found = Detections(torch.zeros(2, 0, 3, 4), torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.bool))
    empty = cooperation.confident(found, 0.05, 0.5, 8)
    assert empty.boxes.shape == (2, 0, 4)
    one = cooperation.confident(detections(FAR, [[0.9]]), 0.05, 0.5, 8)
    assert join(one, Proposals(*(x[:1] for x in empty))).valid.sum() == 1


def test_the_output_of_a_stage_holds_what_earlier_stages_found():
    first, second = detections(FAR, [[0.6, 0.0]]), detections(NEAR[:1], [[0.9, 0.2]])
    output = cooperation.union([first, second], 0.05, 0.5, 5)
    assert output.scores[0, 0, output.valid[0, 0]].tolist() == pytest.approx([0.9, 0.6])
    assert output.scores[0, 1, output.valid[0, 1]].tolist() == pytest.approx([0.2])
    again = cooperation.union([second, detections(NEAR[:1], [[0.7, 0.0]])], 0.05, 0.5, 5)
    assert int(again.valid[0, 0].sum()) == 1  # the same box from two stages is one detection


@pytest.mark.parametrize("seed", range(5))
def test_streams_vote_as_in_the_plain_loop(seed):
    torch.manual_seed(seed)
    counts, streams = (5, 7, 0, 3), ("rgb", "flow", "rgb", "flow")
    stages = [
        Detections(some_boxes(2, n, 3, size=20.0), torch.rand(2, n, 3), torch.rand(2, n) > 0.2)
        for n in counts
    ]
    boosted, votes = cooperation.boost(stages, streams, 0.3), 0
    for mine, (one, stream) in zip(boosted, zip(stages, streams, strict=True), strict=True):
        for frame, row, label in torch.ones_like(one.scores).nonzero().tolist():
            most, vote = 0.0, 0.0
            for other, its in zip(stages, streams, strict=True):
                for place in other.valid[frame].nonzero()[:, 0].tolist() if its != stream else ():
                    pair = one.boxes[frame, row, label], other.boxes[frame, place, label]
                    shared = float(box_ops.pairwise_iou(pair[0][None], pair[1][None]))
                    if shared > most:
                        most, vote = shared, float(other.scores[frame, place, label])
            wanted = (float(one.scores[frame, row, label]) + (most * vote if most >= 0.3 else 0)) / 2
            assert float(mine.scores[frame, row, label]) == pytest.approx(wanted, abs=1e-6)
            votes += most >= 0.3
        assert torch.equal(mine.boxes, one.boxes) and torch.equal(mine.valid, one.valid)
    assert votes > 20


def test_a_stream_alone_gets_no_votes():
    found = detections(NEAR, [[0.9, 0.1], [0.2, 0.8]])
    for streams in (["rgb"], ["flow"]):
        (alone,) = cooperation.boost([found], streams, 0.3)
        torch.testing.assert_close(alone.scores, found.scores / 2)
    both = cooperation.boost([found, found], ["rgb", "flow"], 0.3)
    torch.testing.assert_close(both[0].scores, found.scores)  # the same box from both streams: s + s, halved
    nothing = Detections(torch.zeros(2, 0, 3, 4), torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.bool))
    assert cooperation.boost([nothing], ["rgb"], 0.3)[0].scores.shape == (2, 0, 3)


def test_bad_input():
    with pytest.raises(FormatError, match="1 stages of 2 streams"):
        cooperation.boost([detections(FAR, [[0.9]])], ["rgb", "flow"], 0.3)
    with pytest.raises(FormatError, match="no stages"):
        cooperation.union([], 0.05, 0.5, 5)
    with pytest.raises(FormatError, match="different batches"):
        join(*(Proposals(torch.zeros(b, 1, 4), torch.zeros(b, 1), torch.ones(b, 1) > 0) for b in (1, 2)))


@pytest.mark.parametrize("classes", [3, 24, 60])
def test_a_new_network_gives_its_later_stages_boxes_to_learn_from(classes):
    """With many classes every score of a new head is below ``confidence``."""
    torch.manual_seed(0)
    config = PCSCConfig.smoke()
    rgb, flow = torch.randn(2, 2, config.frames, 32, 12, 12)
    truth = TrueBoxes(torch.tensor([[[4.0, 4, 30, 30]]] * 2), torch.tensor([[1], [2]]))
    for stage in PCSC(config, classes).train()(rgb, flow, truth).stages:
        assert (stage.proposals.valid.sum(1) > 1).all(), stage.number
