"""Sequences of three frames: which, how they are changed, what flow comes with them, when flow is frozen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.flow_subnet.model import pixels_of
from stad_lite.flow_subnet.sequences import (
    as_one,
    collate,
    read_flow,
    reads_flow,
    sequence,
    training_item,
    training_sequences,
)
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.schedule import TrainConfig
from stad_lite.training.loop import places
from stad_lite.tubes import Tube
from tests.flow_subnet.cases import CLASSES, config

SIDE = 48


def source(frames: int = 6, flow_name: str = "exact") -> VideoSource:
    """One video whose frame n is of one grey, its flow n; an actor from frame 1 on."""
    box = np.array([4.0, 6, 20, 40])
    tube = Tube(1, np.tile(box, (max(frames - 1, 0), 1)), "jump") if frames > 1 else None
    tubes = () if tube is None else (tube,)
    one = VideoAnnotation(frames, SIDE, SIDE, 10.0, frames / 10, tubes=tubes)

    def read(_: str, numbers: np.ndarray) -> np.ndarray:
        pixels = np.zeros((len(numbers), SIDE, SIDE, 3), np.uint8)
        pixels[:, :, : SIDE // 2] = 20  # so that a mirror can be told
        return pixels + (10 * numbers[:, None, None, None]).astype(np.uint8)

    def flow(_: str, numbers: np.ndarray) -> np.ndarray:
        return np.broadcast_to(numbers[:, None, None, None] + 1.0, (len(numbers), SIDE, SIDE, 2)).astype(
            np.float32
        )

    return VideoSource(Annotations("grey", CLASSES, {"a": one}), (SIDE, SIDE), read, flow, flow_name)


def item(frame: int, **changes: object) -> dict[str, torch.Tensor]:
    settings = config(**{"flip": 0.0, "photometric": 0.0, **changes})
    return shown(training_item(("a", frame), np.random.default_rng(0), source(), settings))


def shown(found: dict[str, Any]) -> dict[str, torch.Tensor]:
    """An item, or a batch, with its pixels as they are shown."""
    return {**found, **pixels_of(found)}


def test_three_frames_around_the_annotated_one():
    assert sequence(source(), "a", 3).frames.tolist() == [2, 3, 4]
    assert item(3)["frames"][:, 0, 0, 0].tolist() == [40, 50, 60]
    assert item(3)["boxes"].tolist() == [[4, 6, 20, 40]] and item(3)["labels"].tolist() == [1]


def test_first_and_last_frames_repeat_and_have_no_flow_to_themselves():
    assert sequence(source(), "a", 0).frames.tolist() == [0, 0, 1]
    assert sequence(source(), "a", 5).frames.tolist() == [4, 5, 5]
    assert read_flow(source(), sequence(source(), "a", 0))[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert read_flow(source(), sequence(source(), "a", 5))[:2, 0, 0, 0].tolist() == [5, 0]
    alone = source(1)
    assert sequence(alone, "a", 0).frames.tolist() == [0, 0, 0]
    assert not read_flow(alone, sequence(alone, "a", 0)).any()


def test_frames_boxes_and_flow_are_mirrored_together():
    plain, mirrored = item(3), item(3, flip=1.0)
    assert torch.equal(mirrored["frames"], plain["frames"].flip(3))
    assert mirrored["boxes"].tolist() == [[SIDE - 20, 6, SIDE - 4, 40]]
    assert mirrored["flow"][:, 0].unique().tolist() == [-4, -3]
    assert mirrored["flow"][:, 1].unique().tolist() == [3, 4]


def test_colours_change_alike_in_all_frames():
    found = item(3, photometric=1.0)["frames"].float()
    plain = item(3)["frames"].float()
    assert not torch.equal(found, plain)
    for frame in range(3):  # one draw: equal pixels stay equal, whatever frame they are in
        assert (plain[0] == plain[frame] - 10 * frame).all()
    moved = found.flatten(2).std(2) > 0
    assert moved.all()


def test_what_is_seen_is_changed_in_a_batch_as_alone():
    """Bytes make the batch; crop, colours and mirror are each item's own."""
    settings = config(flip=0.5, photometric=0.7, swap=0.5, crop="overlap")
    draws = [np.random.default_rng(seed) for seed in range(12)]
    items = [training_item(("a", 3), rng, source(), settings) for rng in draws]
    assert items[0]["frames"].values.dtype == torch.uint8
    together = shown(collate(items))
    for number, one in enumerate(items):
        for name in ("frames", "flow"):
            torch.testing.assert_close(together[name][number], shown(one)[name], rtol=0, atol=1e-4)
    assert len({tuple(row.flatten()[:2].tolist()) for row in together["flow"]}) > 3


def test_a_crop_scales_boxes_and_flow_with_the_frames():
    """SSD's crops: what is cut out fills the frame again, flow in its pixels."""
    scales = set()
    for seed in range(20):
        settings = config(flip=0.0, photometric=0.0, crop="overlap")
        found = shown(training_item(("a", 3), np.random.default_rng(seed), source(), settings))
        assert found["frames"].shape == (3, 3, SIDE, SIDE)
        x, y = found["flow"][0, 0].unique(), found["flow"][0, 1].unique()
        assert x.max() - x.min() < 1e-5 and y.max() - y.min() < 1e-5 and x[0] >= 3 - 1e-5
        assert torch.allclose(found["flow"][1] / found["flow"][0], torch.tensor(4 / 3))
        for box in found["boxes"]:
            assert (box >= 0).all() and (box <= SIDE).all() and (box[2:] > box[:2]).all()
        scales.add(round(float(x[0]), 3))
    assert len(scales) > 5


@pytest.mark.parametrize(
    ("changes", "name", "wanted"),
    [
        ({}, "exact", True),
        ({}, "dis", False),  # on real video off
        ({"supervision": "source"}, "dis", True),
        ({"supervision": "teacher"}, "exact", False),
        ({"supervision": "none"}, "exact", False),
        ({"flow_weight": 0.0}, "exact", False),
        ({"estimator": "spynet"}, "exact", False),
        ({"estimator": "given"}, "dis", True),
        ({"estimator": "given", "fusion": "appearance"}, "exact", False),
        ({"fusion": "appearance"}, "exact", False),
    ],
)
def test_when_the_sources_flow_is_read(changes, name, wanted):
    assert reads_flow(source(flow_name=name), config(**changes)) == wanted


def test_a_source_without_flow_is_refused_where_flow_is_given():
    bare = replace(source(), read_flow=None)
    assert not reads_flow(bare, config(supervision="source"))
    with pytest.raises(FormatError, match="the source has no flow"):
        training_sequences(bare, config(estimator="given"))
    with pytest.raises(FormatError, match="no frame holds"):
        training_sequences(source(1), config())


def test_flow_is_frozen_for_as_many_items_as_the_settings_say():
    """In the order in which the training loop shows them, across epochs."""
    data = training_sequences(source(), config(frozen_items=8))
    data.seed = 3
    plan, seen = TrainConfig(steps=6, batch=2, seed=3), []
    for step in range(6):
        for epoch, index in places(len(data), plan, step):
            data.epoch = epoch
            seen.append(bool(data[index]["frozen"]))
    assert len(data) == 5 and seen == [True] * 8 + [False] * 4


def test_every_so_many_th_annotated_frame():
    assert training_sequences(source(), config(every=2)).places == (("a", 2), ("a", 4))
    assert len(training_sequences(source(), config()).places) == 5


def test_consecutive_sequences_become_one():
    items = [item(frame) for frame in (2, 3, 4)]
    batch = collate([{**one, "frozen": torch.tensor(False)} for one in items])
    frames, flow = as_one(batch)
    assert frames[0, :, 0, 0, 0].tolist() == [30, 40, 50, 60, 70]
    assert flow is not None and flow[0, :, 0, 0, 0].tolist() == [2, 3, 4, 5]
