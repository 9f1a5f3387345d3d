"""From raw outputs to tubes: suppression by brute force, refinement where it belongs, exact interpolation."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import stad_lite.cfad
from stad_lite import boxes as box_ops
from stad_lite.cfad.coarse import Coarse
from stad_lite.cfad.decoding import (
    CoarseTubes,
    Refined,
    coarse_tubes,
    covered,
    final_tube,
    find_tubes,
    frame_boxes,
    knots_of,
    refine_tubes,
    suppress_tubes,
    tidy,
)
from stad_lite.cfad.trajectory import decode_tube, normalised_time
from stad_lite.tubes import Tube, tube_iou
from tests.cfad.cases import CLASSES, system, tiny


def random_tubes(count: int, seed: int, length: int = 16, spans: int = 4) -> CoarseTubes:
    random = np.random.default_rng(seed)
    start = random.integers(0, length - 4, spans)
    places = np.stack([start, np.minimum(start + random.integers(2, 12, spans), length)], 1).astype(float)
    number = random.integers(0, spans, count)
    corner = random.uniform(4, 24, (count, 2))
    anchors = np.concatenate([corner, corner + [12, 18]], 1)
    theta = random.normal(0, 0.1, (count, 3, 4))
    scores = random.permutation(count) / count
    return CoarseTubes(theta, anchors, number, places[number], random.integers(0, 3, count), scores)


def brute_force(tubes: CoarseTubes, config) -> list[int]:
    records = []
    for row, (start, end) in enumerate(tubes.spans.astype(int)):
        boxes = tidy(
            decode_tube(tubes.theta[row], tubes.anchors[row], normalised_time(end - start)), config.size
        )
        records.append(Tube(int(start), boxes, CLASSES[tubes.labels[row]], float(tubes.scores[row])))
    kept: list[int] = []
    for row in sorted(range(len(tubes)), key=lambda i: -tubes.scores[i]):
        same = [k for k in kept if config.suppression == "all" or tubes.labels[k] == tubes.labels[row]]
        if any(tube_iou(records[k], records[row]) > config.tube_nms for k in same):
            continue
        group = [k for k in kept if config.most_in == "video" or tubes.number[k] == tubes.number[row]]
        if len(group) < config.most:
            kept.append(row)
    return kept


@pytest.mark.parametrize("suppression", ["class", "all"])
@pytest.mark.parametrize("most_in", ["proposal", "video"])
@pytest.mark.parametrize("most", [1, 3, 99])
def test_suppression_is_the_literal_rule(suppression, most_in, most):
    config = tiny(suppression=suppression, most_in=most_in, most=most)
    lost = 0
    for seed in range(6):
        tubes = random_tubes(25, seed)
        kept = suppress_tubes(tubes, config)
        wanted = brute_force(tubes, config)
        assert kept.scores.tolist() == tubes.scores[wanted].tolist()
        lost += len(tubes) - len(wanted)
    assert lost


def test_coarse_tubes_are_the_best_pairs_of_each_span():
    config = tiny(considered=5, min_score=0.05)
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 20, 4, generator=random) * 2
    theta, anchors = torch.randn(3, 20, 3, 4, generator=random), torch.rand(20, 4, generator=random)
    spans = torch.tensor([[0.0, 4.0], [2.0, 9.0], [5.0, 6.0]])
    tubes = coarse_tubes(Coarse(logits, theta), anchors, spans, config)
    chances = logits.softmax(2).numpy()
    for number in range(3):
        rows = np.flatnonzero(tubes.number == number)
        pairs = sorted(((chances[number, a, c], a, c) for a in range(20) for c in range(3)), reverse=True)[:5]
        pairs = [pair for pair in pairs if pair[0] >= 0.05]
        np.testing.assert_allclose(tubes.scores[rows], [pair[0] for pair in pairs], rtol=1e-6)
        assert tubes.labels[rows].tolist() == [pair[2] for pair in pairs]
        np.testing.assert_allclose(tubes.theta[rows], theta[number, [pair[1] for pair in pairs]], rtol=1e-6)
        assert (tubes.spans[rows] == spans[number].numpy()).all()


def told(network, config, keys, boxes_of):
    """Let the selector choose ``keys``, and the box proposals say what their sample's features say."""
    calls = []
    network.refine.importance = lambda features: torch.tensor(
        [[9.0 if i in keys else -9.0 for i in range(config.samples)]] * len(features)
    )

    def proposals(features):
        calls.append(len(features))
        wanted = torch.stack([boxes_of(float(one[0, 0, 0])) for one in features])[:, None]
        anchors = network.anchors(*features.shape[2:])
        scores = torch.full((len(features), len(anchors), network.classes), 3.0)
        return scores, box_ops.encode(wanted, anchors)

    network.refine.proposals = proposals
    return calls


def test_each_key_is_refined_by_its_own_sample_and_nothing_else_is():
    one = system(samples=6)
    network, config = one.network, one.config
    spans = torch.tensor([[2.0, 13.0], [0.0, 8.0]])
    times = torch.stack([torch.linspace(2, 12, 6), torch.linspace(0, 7, 6)])
    # the features of a sample say which span and which sample they are of
    sampled = (torch.tensor([[0.0], [10.0]]) + torch.arange(6.0))[:, None, :, None, None].expand(
        2, 16, 6, 6, 6
    )
    calls = told(network, config, (1, 4), lambda name: torch.tensor([8.0, 8, 20, 30]) + name / 5)
    anchors = np.array([[9.0, 9, 21, 31]] * 2)
    tubes = CoarseTubes(
        np.zeros((2, 3, 4)),
        anchors,
        np.array([1, 1]),
        spans.numpy()[[1, 1]],
        np.zeros(2, int),
        np.ones(2) / 2,
    )
    found = refine_tubes(network, tubes, sampled, times, network.anchors(6, 6))
    assert calls == [2]  # once for the span, at its two keys; the other span has no tube
    for refined in found:
        assert refined.keys.tolist() == [1, 4] and (refined.box_scores > 0.9).all()
        np.testing.assert_allclose(refined.times, times[1])
        for sample in range(6):
            wanted = anchors[0] if sample not in (1, 4) else np.array([8.0, 8, 20, 30]) + (10 + sample) / 5
            np.testing.assert_allclose(refined.boxes[sample], wanted, atol=1e-4)


@pytest.mark.parametrize("interpolation", ["spline", "linear"])
def test_the_tube_goes_through_all_its_boxes_exactly(interpolation):
    config = tiny(samples=4, interpolation=interpolation)
    random = np.random.default_rng(0)
    corner = random.uniform(4, 20, (4, 2))
    boxes = np.concatenate([corner, corner + random.uniform(8, 20, (4, 2))], 1)
    tubes = random_tubes(1, 0)
    tubes = replace(tubes, spans=np.array([[3.0, 13.0]]))
    refined = Refined(np.array([3.0, 6.0, 9.0, 12.0]), boxes, np.array([0, 2]), np.array([0.4, 0.6]))
    tube = final_tube(tubes, 0, refined, config.length, CLASSES, config)
    assert (tube.start, len(tube)) == (3, 10)
    np.testing.assert_allclose(tube.boxes[[0, 3, 6, 9]], boxes, atol=1e-9)
    assert tube.score == pytest.approx((tubes.scores[0] + 0.5) / 2)


def test_the_tube_goes_through_all_samples_or_through_keys_and_ends():
    times, boxes = np.array([3.0, 6.0, 9.0, 12.0]), random_tubes(1, 3).at(0, np.linspace(0, 1, 4))
    refined = Refined(times, boxes, np.array([2]), np.array([0.4]))
    assert knots_of(refined, tiny(through="all")).tolist() == [0, 1, 2, 3]
    assert knots_of(refined, tiny(through="keys")).tolist() == [0, 2, 3]
    tubes = replace(random_tubes(1, 0), spans=np.array([[3.0, 13.0]]))
    tube = final_tube(tubes, 0, refined, 16, CLASSES, tiny(samples=4, through="keys", interpolation="linear"))
    np.testing.assert_allclose(tube.boxes[[0, 6, 9]], boxes[[0, 2, 3]], atol=1e-9)
    np.testing.assert_allclose(tube.boxes[3], (boxes[0] + boxes[2]) / 2, atol=1e-9)
    still = Refined(np.full(4, 5.0), boxes, np.array([2]), np.array([0.4]))
    assert knots_of(still, tiny()).tolist() == [2]  # one frame: the refined box


def test_without_refinement_the_tube_is_its_polynomial():
    config = tiny(size=(200, 200))
    tubes = replace(random_tubes(1, 1), spans=np.array([[3.0, 13.0]]), scores=np.array([0.7]))
    tube = final_tube(tubes, 0, None, 16, CLASSES, config)
    np.testing.assert_allclose(tube.boxes, decode_tube(tubes.theta[0], tubes.anchors[0], normalised_time(10)))
    assert tube.score == 0.7
    longer = final_tube(tubes, 0, None, 48, CLASSES, config)  # three frames for each resampled one
    assert (longer.start, len(longer)) == (9, 30)
    np.testing.assert_allclose(longer.boxes[1::3], tube.boxes)


@pytest.mark.parametrize("count", [1, 3, 5, 16, 50])
def test_a_span_of_one_frame_and_a_video_shorter_than_the_samples(count):
    config = tiny(samples=6)
    for span in ([4.0, 5.0], [0.0, 16.0], [14.0, 16.0]):
        tubes = replace(random_tubes(1, 2), spans=np.array([span]))
        times = np.linspace(span[0], span[1] - 1, 6)
        refined = Refined(times, tubes.at(0, np.linspace(0, 1, 6)), np.zeros(0, int), np.zeros(0))
        tube = final_tube(tubes, 0, refined, count, CLASSES, config)
        assert 0 <= tube.start < tube.end <= count and np.isfinite(tube.boxes).all()


def test_every_frame_is_covered_by_spans_that_part_the_video():
    for count in (5, 16, 37):
        parts = [covered(np.array([a, b]), count, 16) for a, b in ((0, 5), (5, 11), (11, 16))]
        assert np.concatenate(parts).tolist() == list(range(count))


def test_nothing_found_is_no_tube():
    one = system(span_score=1.0)
    features = torch.randn(2, 16, 16, 6, 6)
    assert find_tubes(one.network, features, [16, 16], CLASSES) == [(), ()]
    empty = frame_boxes((), CLASSES)
    assert len(empty.frame) == 0
    one = system(min_score=1.0)
    assert find_tubes(one.network, features, [16, 16], CLASSES) == [(), ()]


def test_tubes_of_a_whole_network_are_inside_the_video():
    one = system(min_score=0.0, span_score=0.0)
    tubes = find_tubes(one.network, torch.randn(2, 16, 16, 6, 6), [16, 7], CLASSES)
    for found, count in zip(tubes, (16, 7), strict=True):
        assert found and all(tube.end <= count for tube in found)
        assert [tube.score for tube in found] == sorted((tube.score for tube in found), reverse=True)
        boxes = np.concatenate([tube.boxes for tube in found])
        assert boxes.min() >= 0 and boxes.max() <= 48
        frames = frame_boxes(found, CLASSES)
        assert len(frames.frame) == sum(len(tube) for tube in found)


def test_inference_looks_at_keys_only_and_links_nothing():
    one = system(samples=6, min_score=0.0, span_score=0.0, spans=3, suppression="all", most=2)
    calls = told(one.network, one.config, (0, 3), lambda name: torch.tensor([8.0, 8, 20, 30]))
    (tubes,) = find_tubes(one.network, torch.randn(1, 16, 16, 6, 6), [16], CLASSES)
    assert tubes and len(calls) <= 3 and set(calls) == {2}
    one.config = replace(one.config, selection="none")
    one.network.config = one.config
    calls.clear()
    assert find_tubes(one.network, torch.randn(1, 16, 16, 6, 6), [16], CLASSES)[0] and not calls
    for path in Path(stad_lite.cfad.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert "linking" not in (node.module or ""), path
