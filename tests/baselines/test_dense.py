"""The four parts of the dense detector: shapes, assignment by brute force, offsets, what the losses see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import (
    Actors,
    DenseDetector,
    Maps,
    assign,
    cell_centres,
    decode,
    losses,
    to_boxes,
    to_distances,
)
from stad_lite.errors import FormatError

TINY = {"channels": (8, 8, 8), "hidden": 8}


def tiny(**changes):
    return DenseConfig(**{**TINY, "clip": max(changes.get("frames", 1), 1), **changes})


def inputs(config, clips=2, length=5, size=(32, 40)):
    channels = {"rgb": 3, "flow": 2}
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(clips, length, channels[name], *size, generator=generator)
        for name in config.streams
    }


def actors(boxes, labels=None):
    """One clip, whose actors have boxes (actors, t, 4); a box of zeros is none."""
    boxes = torch.tensor(boxes, dtype=torch.float32)[None]
    labels = torch.zeros(1, boxes.shape[1]).long() if labels is None else torch.tensor([labels])
    return Actors(boxes, (boxes > 0).any(-1), labels)


@pytest.mark.parametrize("modality", ["rgb", "flow", "both"])
@pytest.mark.parametrize("fusion", ["early", "late"])
@pytest.mark.parametrize("frames", [1, 3])
def test_maps_have_a_window_a_start(modality, fusion, frames):
    config = tiny(modality=modality, fusion=fusion, frames=frames, context=(1,))
    maps = DenseDetector(config, classes=4)(inputs(config))
    windows = 5 - frames + 1
    assert maps.actionness.shape == (2, windows, 8, 10)
    assert maps.classes.shape == (2, windows, 4, 8, 10)
    assert maps.distances.shape == (2, windows, frames, 4, 8, 10)


def test_a_window_sees_its_frames_and_the_context_and_no_more():
    config = tiny(modality="rgb", frames=2, context=(1,))
    torch.manual_seed(0)
    detector = DenseDetector(config, classes=3).eval()
    one = inputs(config, clips=1, length=8)
    changed = {"rgb": one["rgb"].clone()}
    changed["rgb"][:, 4] += 1
    with torch.no_grad():
        difference = (detector(one).classes - detector(changed).classes).abs().amax((0, 2, 3, 4))
    # window w sees frames w - 1 to w + 2
    assert (difference > 0).tolist() == [False, False, True, True, True, True, False]


def test_two_streams_are_both_used():
    for fusion in ("early", "late"):
        config = tiny(modality="both", fusion=fusion)
        torch.manual_seed(0)
        detector = DenseDetector(config, classes=3).eval()
        one = inputs(config)
        with torch.no_grad():
            before = detector(one).actionness
            for name in one:
                changed = {**one, name: one[name] + torch.randn_like(one[name])}
                assert not torch.equal(detector(changed).actionness, before)


def test_missing_streams_and_frames_are_refused():
    config = tiny(modality="both", frames=3)
    detector = DenseDetector(config, classes=3)
    given = inputs(config)
    with pytest.raises(FormatError, match="no flow"):
        detector({"rgb": given["rgb"]})
    with pytest.raises(FormatError, match="2 frames for tubelets of 3"):
        detector({name: stream[:, :2] for name, stream in given.items()})


def naive_assignment(boxes, present, height, width, stride, shrink):
    """Cell by cell, box by box."""
    out = np.full((height, width), -1)
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            best = np.inf
            for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
                if not present[number]:
                    continue
                half_w, half_h = max((x2 - x1) * shrink, stride) / 2, max((y2 - y1) * shrink, stride) / 2
                cx = min(max((x1 + x2) / 2, stride / 2), width * stride - stride / 2)
                cy = min(max((y1 + y2) / 2, stride / 2), height * stride - stride / 2)
                inside = cx - half_w <= x < cx + half_w and cy - half_h <= y < cy + half_h
                area = (x2 - x1) * (y2 - y1)
                if inside and area < best:
                    out[row, column], best = number, area
    return out


@pytest.mark.parametrize("shrink", [1.0, 0.5, 0.1])
def test_assignment_equals_brute_force(shrink):
    generator = np.random.default_rng(1)
    hits = set()
    for _ in range(60):
        corner = generator.integers(-4, 40, (5, 2))
        boxes = np.concatenate([corner, corner + generator.integers(1, 30, (5, 2))], 1).astype(np.float32)
        present = generator.random(5) < 0.7
        ours = assign(torch.tensor(boxes), torch.tensor(present), 9, 11, 4, shrink).numpy()
        np.testing.assert_array_equal(ours, naive_assignment(boxes, present, 9, 11, 4, shrink))
        hits |= set(ours.ravel().tolist())
    assert hits == {-1, 0, 1, 2, 3, 4}


def test_every_actor_has_a_cell_however_small():
    for x in np.linspace(0, 31, 17):
        box = torch.tensor([[x, x, x + 1.0, x + 1.0]], dtype=torch.float32)
        assert (assign(box, torch.tensor([True]), 8, 8, 4, 0.5) == 0).any()


def test_assignment_of_many_frames_is_that_of_each():
    generator = torch.Generator().manual_seed(2)
    corner = torch.rand(2, 3, 4, 2, generator=generator) * 20
    boxes = torch.cat([corner, corner + 3 + torch.rand(2, 3, 4, 2, generator=generator) * 15], -1)
    present = torch.rand(2, 3, 4, generator=generator) < 0.6
    together = assign(boxes, present, 8, 8, 4, 0.7)
    for clip in range(2):
        for frame in range(3):
            alone = assign(boxes[clip, frame], present[clip, frame], 8, 8, 4, 0.7)
            assert torch.equal(together[clip, frame], alone)


def test_no_actor_at_all():
    assert (assign(torch.zeros(2, 0, 4), torch.zeros(2, 0) > 0, 3, 5, 4) == -1).all()
    assert assign(torch.zeros(2, 0, 4), torch.zeros(2, 0) > 0, 3, 5, 4).shape == (2, 3, 5)


def test_distances_and_boxes_are_inverse():
    cells = cell_centres(5, 6, 4)
    generator = torch.Generator().manual_seed(0)
    low, high = (torch.rand(5, 6, 2, generator=generator) * 30 + 0.5 for _ in range(2))
    boxes = torch.cat([cells - low, cells + high], -1)
    torch.testing.assert_close(to_boxes(to_distances(boxes, 4), 4), boxes, atol=1e-3, rtol=0)


def perfect_maps(truth, config, classes, height, width, stride=4):
    """The maps that say exactly what is true."""
    length = truth.boxes.shape[2]
    windows = length - config.frames + 1
    maps = Maps(
        torch.full((1, windows, height, width), -20.0),
        torch.zeros(1, windows, classes, height, width),
        torch.zeros(1, windows, config.frames, 4, height, width),
    )
    for window in range(windows):
        middle = window + config.frames // 2
        chosen = assign(
            truth.boxes[0, :, middle], truth.present[0, :, middle], height, width, stride, config.shrink
        )
        for row, column in (chosen >= 0).nonzero().tolist():
            actor = int(chosen[row, column])
            maps.actionness[0, window, row, column] = 20.0
            maps.classes[0, window, truth.labels[0, actor], row, column] = 20.0
            for k in range(config.frames):
                box = truth.boxes[0, actor, window + k].expand(height, width, 4)
                maps.distances[0, window, k, :, row, column] = to_distances(box, stride)[:, row, column]
    return maps


@pytest.mark.parametrize("frames", [1, 2])
def test_perfect_maps_cost_nothing_and_decode_to_the_truth(frames):
    config = tiny(frames=frames, clip=frames, shrink=0.5, flow_scale=1.0)
    truth = actors(
        [
            [[2, 3, 14, 25], [3, 3, 15, 25], [4, 4, 16, 26]],
            [[20, 8, 38, 30], [19, 8, 37, 30], [18, 8, 36, 30]],
        ],
        [2, 0],
    )
    maps = perfect_maps(truth, config, 3, 8, 10)
    assert sum(losses(maps, truth, 4, config).values()) < 1e-3
    found = decode(maps, 4, (32, 40), config)[0]
    assert found.start.tolist() == [w for w in range(3 - frames + 1) for _ in range(2)]
    np.testing.assert_allclose(found.scores.sum(1), found.actionness, rtol=1e-5)
    for start, boxes, scores in zip(found.start, found.boxes, found.scores, strict=True):
        actor = [2, 0].index(int(scores.argmax()))
        wanted = truth.boxes[0, actor, start : start + frames].numpy()
        np.testing.assert_allclose(boxes, wanted, atol=1e-3)


def test_each_term_sees_its_own_mistake():
    config = tiny()
    truth = actors([[[4, 4, 24, 28]]], [1])
    perfect = perfect_maps(truth, config, 3, 8, 10)
    best = losses(perfect, truth, 4, config)
    wrong = {
        "actionness": perfect._replace(actionness=-perfect.actionness),
        "class": perfect._replace(classes=-perfect.classes),
        "box": perfect._replace(distances=perfect.distances + 0.5),
    }
    for name, maps in wrong.items():
        worse = losses(maps, truth, 4, config)
        assert [key for key in worse if worse[key] > best[key] + 0.1] == [name]


def test_boxes_count_only_where_the_actor_has_one():
    config = tiny(frames=3)
    truth = actors([[[4, 4, 24, 28], [4, 4, 24, 28], [0, 0, 0, 0]]], [1])
    maps = perfect_maps(truth._replace(boxes=truth.boxes[:, :, [0, 1, 1]]), config, 3, 8, 10)
    maps.distances[:, :, 2] += 3.0  # the frame on which there is no box
    assert losses(maps, truth, 4, config)["box"] < 1e-4
    maps.distances[:, :, 0] += 3.0
    assert losses(maps, truth, 4, config)["box"] > 1


def test_clips_without_a_box_teach_only_that_nothing_happens():
    config = tiny(modality="rgb", frames=2)
    torch.manual_seed(0)
    detector = DenseDetector(config, classes=3)
    for number in (0, 2):  # no actor, and actors who are never there
        nothing = Actors(
            torch.zeros(2, number, 5, 4), torch.zeros(2, number, 5) > 0, torch.zeros(2, number).long()
        )
        terms = losses(detector(inputs(config)), nothing, 4, config)
        assert terms["actionness"] > 0 and terms["class"] == 0 and terms["box"] == 0
        sum(terms.values()).backward()
        assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.grad is not None)


def test_the_loss_of_a_batch_is_the_mean_of_its_halves():
    config = tiny(modality="rgb")
    torch.manual_seed(0)
    detector = DenseDetector(config, classes=3)
    given = inputs(config, clips=2, length=1)
    boxes = torch.tensor([[[[4.0, 4, 24, 28]]], [[[0.0, 0, 0, 0]]]])
    truth = Actors(boxes, torch.tensor([[[True]], [[False]]]), torch.ones(2, 1).long())
    whole = losses(detector(given), truth, 4, config)
    halves = [
        losses(
            detector({"rgb": given["rgb"][i : i + 1]}), Actors(*(x[i : i + 1] for x in truth[:3])), 4, config
        )
        for i in range(2)
    ]
    for name, value in whole.items():
        torch.testing.assert_close(value, (halves[0][name] + halves[1][name]) / 2)


def test_decoding_suppresses_over_all_classes_and_keeps_the_best():
    config = tiny(min_score=0.1, nms=0.4, keep=2)
    actionness, distances = torch.full((1, 1, 8, 10), -9.0), torch.full((1, 1, 1, 4, 8, 10), 0.5)
    maps = Maps(actionness, torch.zeros(1, 1, 2, 8, 10), distances)
    for row, column, logit in ((2, 2, 2.0), (2, 3, 1.0), (6, 8, 1.5), (2, 8, 0.5), (6, 1, -2.5)):
        maps.actionness[0, 0, row, column] = logit
    found = decode(maps, 4, (32, 40), config)[0]
    # (2, 3) overlaps (2, 2), (2, 8) is the third best, (6, 1) is too weak
    np.testing.assert_allclose(found.actionness, torch.tensor([2.0, 1.5]).sigmoid(), rtol=1e-5)
    assert box_ops.area(found.boxes).min() > 0
    assert found.boxes.max() <= 40


def test_decoding_nothing():
    maps = Maps(torch.full((2, 3, 4, 4), -30.0), torch.zeros(2, 3, 5, 4, 4), torch.zeros(2, 3, 1, 4, 4, 4))
    found = decode(maps, 4, (16, 16), tiny())
    assert [one.scores.shape for one in found] == [(0, 5), (0, 5)]
    assert [one.boxes.shape for one in found] == [(0, 1, 4), (0, 1, 4)]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"modality": "sound"}, "modality is 'sound'"),
        ({"fusion": "middle"}, "fusion is 'middle'"),
        ({"linking": "magic"}, "linking is 'magic'"),
        ({"trim": "hair"}, "trim is 'hair'"),
        ({"frames": 3, "clip": 2}, "frames is 3 and clip is 2"),
        ({"shrink": 0.0}, "shrink is 0.0"),
        ({"nms": 1.5}, "nms is 1.5"),
    ],
)
def test_bad_settings_are_refused(changes, word):
    with pytest.raises(FormatError, match=word):
        DenseConfig(**changes)
