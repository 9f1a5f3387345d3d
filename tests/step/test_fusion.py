"""Late and hybrid fusion: mean, union, and the score of those that agree."""

import numpy as np
import pytest

from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import CLASSES, Settings
from stad_lite.errors import FormatError
from stad_lite.step import system as pipeline
from stad_lite.step.fusion import RULES, fuse, look_together
from stad_lite.step.model import Dense
from tests.step.cases import tiny


def part(seed: int, proposals: int = 5, classes: int = 2) -> Dense:
    generator = np.random.default_rng(seed)
    corner = generator.uniform(0, 20, (3, proposals, classes, 6, 2))
    boxes = np.concatenate([corner, corner + generator.uniform(5, 20, corner.shape)], -1)
    return Dense(boxes, generator.uniform(0, 1, (3, proposals, classes)))


@pytest.mark.parametrize("rule", ["mean", "nearest"])
def test_a_detector_joined_with_itself_says_the_same(rule):
    one = part(0)
    found = fuse([one, one, one], rule)
    np.testing.assert_allclose(found.boxes[:, :5], one.boxes)
    if rule == "mean":
        np.testing.assert_allclose(found.scores, one.scores)
    else:
        assert (found.scores[:, :5] >= one.scores - 1e-12).all()  # a better one nearby may lend its score


def test_mean_by_cuboid():
    a, b = part(0), part(1)
    found = fuse([a, b], "mean")
    np.testing.assert_allclose(found.scores, (a.scores + b.scores) / 2)
    np.testing.assert_allclose(found.boxes, (a.boxes + b.boxes) / 2)


def test_union_offers_everything():
    a, b = part(0), part(1, proposals=3)
    found = fuse([a, b])
    np.testing.assert_array_equal(found.scores[:, :5], a.scores)
    np.testing.assert_array_equal(found.boxes[:, 5:], b.boxes)


def test_nearest_counts_only_those_that_agree():
    box = np.tile([0.0, 0, 10, 10], (6, 1))
    a = Dense(np.stack([box, box + 30])[None, :, None], np.array([[[0.8], [0.6]]]))
    b = Dense(np.stack([box + 60, box + 1, box + 2])[None, :, None], np.array([[[0.9], [0.4], [0.5]]]))
    found = fuse([a, b], "nearest").scores[0, :, 0]
    assert found[:2].tolist() == pytest.approx([(0.8 + 0.4) / 2, 0.6 / 2])  # box + 2 overlaps by .47
    assert found[2:].tolist() == pytest.approx([0.9 / 2, (0.4 + 0.8) / 2, 0.5 / 2])


def test_detections_that_cannot_be_joined_are_refused():
    with pytest.raises(FormatError):
        fuse([part(0), part(1, classes=3)])
    with pytest.raises(FormatError):
        fuse([part(0), part(1, proposals=3)], "mean")
    with pytest.raises(FormatError):
        fuse([part(0)], "median")
    with pytest.raises(FormatError):
        fuse([])


def test_streams_together(tmp_path):
    source = synthetic_source(Settings.smoke(), 2, "train", tmp_path)
    systems = [
        pipeline.StepSystem(tiny(stream=stream, min_score=0.001), CLASSES)
        for stream in ("rgb", "flow", "early")
    ]
    for rule in RULES:
        assert tuple(video for video, _, _ in look_together(systems, source, rule=rule)) == source.videos
    alone = [list(pipeline.look(one, source)) for one in systems]
    for number, (_, runs, steps) in enumerate(look_together(systems, source)):
        assert len(steps) == 2
        wanted = np.concatenate([one[number][2][-1].scores for one in alone], 1)
        np.testing.assert_allclose(steps[-1].scores, wanted)
        assert len(runs) == len(wanted)
    with pytest.raises(FormatError, match="steps"):
        next(look_together([systems[0], pipeline.StepSystem(tiny(stride=3), CLASSES)], source))
