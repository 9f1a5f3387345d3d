"""Crops and colours: boxes, flow and presence go with the picture."""

import numpy as np
import pytest
import torch

from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import CLASSES, Settings
from stad_lite.step import system as pipeline
from stad_lite.step.augment import cropped
from stad_lite.systems.seen import Seen, fed_streams
from stad_lite.systems.truth import Truth
from tests.step.cases import tiny


def picture(x: int = 12, y: int = 16, side: int = 16) -> tuple[dict[str, Seen], Truth]:
    """A bright square that the truth's box frames, on 6 frames of 48 x 48 with the flow (2, 1) everywhere."""
    frames, flow = torch.zeros(6, 48, 48, 3, dtype=torch.uint8), torch.tensor([2.0, 1]).expand(6, 48, 48, 2)
    frames[:, y : y + side, x : x + side] = 255
    seen = {"rgb": Seen(frames), "flow": Seen(flow)}
    boxes = np.tile([x, y, x + side, y + side], (1, 6, 1)).astype(float)
    return seen, Truth(boxes, np.ones((1, 6), bool), np.array([[0.0, 1, 0]]), np.array([True]))


def test_the_box_frames_the_square_after_every_crop():
    config, changed = tiny(stream="early", clips=(1, 1)), 0
    for seed in range(40):
        seen, truth = picture()
        some, left = cropped(seen, truth, (48, 48), config, np.random.default_rng(seed))
        found = fed_streams(some, 1.0)
        assert found.shape == (6, 5, 48, 48)
        changed += not torch.equal(found, fed_streams(seen, 1.0))
        if not left.present[0, 0]:
            continue
        x1, y1, x2, y2 = left.boxes[0, 0]
        inside = (found[0, 0] > 0).nonzero()
        low, high = inside.min(0).values, inside.max(0).values + 1
        np.testing.assert_allclose([low[1], low[0], high[1], high[0]], [x1, y1, x2, y2], atol=1.5)
        u, v = found[0, 3].mean().item(), found[0, 4].mean().item()
        if x1 > 0 and x2 < 48:
            assert u == pytest.approx(2 * (x2 - x1) / 16, rel=1e-3)
        if y1 > 0 and y2 < 48:
            assert v == pytest.approx((y2 - y1) / 16, rel=1e-3)
    assert changed > 15


def test_an_actor_outside_the_window_does_not_count():
    config, gone = tiny(stream="early", clips=(1, 1)), 0
    for seed in range(200):
        seen, truth = picture(x=0, y=0, side=6)
        one = Truth(
            np.concatenate([truth.boxes, truth.boxes + 40]),
            np.ones((2, 6), bool),
            np.eye(3)[:2],
            np.array([True, True]),
        )
        _, left = cropped(seen, one, (48, 48), config, np.random.default_rng(seed))
        for actor in (0, 1):
            there = left.present[actor]
            assert left.valid[actor] == (there.sum() >= 3)
            assert (left.boxes[actor][~there] == 0).all()
            gone += not there.any()
    assert gone > 0


def test_frames_of_an_item_change_colours_together(tmp_path):
    source = synthetic_source(Settings.smoke(), 1, "train", tmp_path)
    found = {
        name: pipeline.training_set(
            pipeline.StepSystem(tiny(frozen=False, augment=name, stream="rgb"), CLASSES), source
        )[0]["frames"]["rgb"]
        for name in ("crop", "colour")
    }
    assert found["crop"].colours is None and found["colour"].colours.shape == (3, 4)
    plain, other = (fed_streams({"rgb": one._replace(window=None, mirror=None)}) for one in found.values())
    assert other.shape == plain.shape and not torch.equal(plain, other)


@pytest.mark.parametrize("augment", ["flip", "crop", "colour"])
def test_items_depend_on_epoch_and_index_alone(tmp_path, augment):
    source = synthetic_source(Settings.smoke(), 2, "train", tmp_path)
    system = pipeline.StepSystem(tiny(frozen=False, augment=augment), CLASSES)
    data = pipeline.training_set(system, source)
    again = pipeline.training_set(system, source)
    different = 0
    for index in range(6):
        data.epoch = again.epoch = 3
        same = [fed_streams(some[index]["frames"]) for some in (data, again)]
        torch.testing.assert_close(*same, rtol=0, atol=0)
        again.epoch = 4
        different += not torch.equal(same[0], fed_streams(again[index]["frames"]))
    assert different > 0
