"""What real data brings: tubes shorter than K, spans of one frame, short videos, anchors that fit nothing.

That a video in which nothing is found has an empty and valid file tells ``test_system``.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from stad_lite.cfad import decoding
from stad_lite.cfad import system as cfad
from stad_lite.cfad.coarse import Coarse
from stad_lite.cfad.criterion import Spans, coarse_losses
from stad_lite.cfad.decoding import find_tubes
from stad_lite.cfad.system import CfadSystem
from stad_lite.data.source import VideoSource
from stad_lite.errors import InvertedBoxError
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.systems.maps import FrameMaps
from stad_lite.tubes import Tube
from tests.cfad.cases import CLASSES, batch, moving, system, tiny, truth


def noise(count: int, tubes: list[Tube]) -> VideoSource:
    """A source of one video of noise."""
    video = VideoAnnotation(width=48, height=48, num_frames=count, tubes=tuple(tubes))
    frames = np.random.default_rng(0).integers(0, 256, (count, 48, 48, 3), dtype=np.uint8)
    return VideoSource(
        Annotations("noise", CLASSES, {"v": video}), (48, 48), lambda _, numbers: frames[numbers]
    )


def learnt_from(one: CfadSystem, shown: dict) -> dict[str, float]:
    """The terms, after their gradient was seen to be finite."""
    terms = one.loss(shown)
    sum(terms.values()).backward()
    gradients = [p.grad for p in one.network.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(grad).all() for grad in gradients)
    return {name: float(value.detach()) for name, value in terms.items()}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("trimmed", [False, True])
def test_a_video_shorter_than_the_samples_is_learnt_from_and_looked_at(count, trimmed):
    one = system(samples=6, min_score=0.0, span_score=0.0, proposal_epochs=0, trimmed=trimmed)
    source = noise(count, [Tube(count - 1, moving(0, 1), "b")])
    data = cfad.training_set(one, source, FrameMaps({}))
    frames = replace(data, make=partial(data.make, maps=None))
    terms = learnt_from(one, cfad.collate([frames[0]]))
    assert terms["class"] > 0 and terms["box_class"] > 0
    tubes = cfad.detect(one, source).videos["v"].tubes
    assert tubes and all(0 <= tube.start < tube.end <= count for tube in tubes)


@pytest.mark.parametrize("length", [1, 3, 5])
@pytest.mark.parametrize("position", [0, 1, -1])
def test_a_tube_shorter_than_a_segment_has_its_anchors_and_its_loss(length, position):
    config = tiny(segment=6, position=position, sampled=64)
    one = truth([(3, moving(0, length))], config, [1])
    anchors = torch.as_tensor(np.array([moving(0, 1)[0], [30.0, 30, 44, 46]])).float()
    logits = torch.zeros(1, 2, 4)
    spans = Spans(torch.tensor([0]), one.spans, torch.tensor([0]))
    sure = logits.clone()
    sure[0, 0, 1] = sure[0, 1, 3] = 30.0  # the first anchor is class 1, the other background
    theta = torch.zeros(1, 2, config.order + 1, 4)
    terms = coarse_losses(Coarse(sure, theta), anchors, [one], spans, config)
    assert float(terms["class"]) < 1e-6 and torch.isfinite(terms["tube"])
    still = truth([(3, moving(0, length, 0.0))], config, [1])
    assert float(coarse_losses(Coarse(sure, theta), anchors, [still], spans, config)["tube"]) < 1e-9


@pytest.mark.parametrize("span", [[0.0, 1.0], [7.0, 8.0], [15.0, 16.0]])
def test_a_proposed_span_of_one_frame_is_one_box(span, monkeypatch):
    one = system(samples=6, min_score=0.0, selection="all")
    monkeypatch.setattr(decoding, "propose", lambda *_: (torch.tensor([span]), torch.ones(1)))
    (tubes,) = find_tubes(one.network, torch.randn(1, 16, 16, 6, 6), [16], CLASSES)
    assert tubes and all((tube.start, len(tube)) == (int(span[0]), 1) for tube in tubes)
    (tubes,) = find_tubes(one.network, torch.randn(1, 16, 16, 6, 6), [160], CLASSES)
    assert tubes and all((tube.start, len(tube)) == (10 * int(span[0]), 10) for tube in tubes)


ODD = {
    "tiny": [[0.5, 0.5]] * 6,
    "huge": [[4000.0, 3000.0]] * 6,
    "threads": [[0.1, 400.0], [400.0, 0.1]] * 3,
    "all the same": [[14.0, 21.0]] * 6,
}


@pytest.mark.parametrize("sizes", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("best", [True, False])
def test_anchors_that_fit_nothing_leave_losses_and_boxes_finite(sizes, best):
    one = system(min_score=0.0, span_score=0.0, best_anchor=best, selection="all", samples=6)
    one.network.sizes.copy_(torch.tensor(sizes))
    config = one.config
    terms = learnt_from(one, batch(config, [truth([(2, moving(0, 9))], config), truth([], config)]))
    assert all(np.isfinite(value) for value in terms.values())
    (tubes,) = find_tubes(one.network, torch.randn(1, 16, 16, 6, 6), [16], CLASSES)
    assert tubes
    boxes = np.concatenate([tube.boxes for tube in tubes])
    assert boxes.min() >= 0 and boxes.max() <= 48 and (boxes[:, 2:] > boxes[:, :2]).all()


def test_coefficients_beyond_measure_stay_inside_the_frame():
    one = system(min_score=0.0, span_score=0.0, selection="none")
    torch.nn.init.normal_(one.network.coarse.shape.weight, std=1e4)
    (tubes,) = find_tubes(one.network, torch.randn(1, 16, 16, 6, 6), [16], CLASSES)
    assert tubes
    for tube in tubes:
        assert np.isfinite(tube.boxes).all() and tube.boxes.min() >= 0 and tube.boxes.max() <= 48


def test_a_box_without_extent_never_comes_to_the_anchors():
    with pytest.raises(InvertedBoxError):
        Tube(0, np.array([[4.0, 4, 4, 9]]), "a")
