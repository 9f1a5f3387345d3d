"""The truth of a run of clips: which tube counts where, single frames, places of I3D."""

from dataclasses import replace

import numpy as np
import pytest

from stad_lite.data.clips import neighbours, tubelets
from stad_lite.records import FrameBoxes, VideoAnnotation
from stad_lite.step.clips import clip_truth
from stad_lite.step.config import StepConfig
from stad_lite.tubes import Tube
from tests.step.cases import CLASSES, tiny


def tube(start: int, length: int, label: str = "b") -> Tube:
    """A tube whose box tells its frame."""
    x = np.arange(start, start + length)[:, None]
    return Tube(start, x + np.array([0.0, 1, 10, 12]), label)


def run_truth(tubes, start: int, num_frames: int = 30, config: StepConfig | None = None):
    config = config or tiny(clips=(1, 3))
    run = next(r for r in tubelets("v", num_frames, config.clip) if r.start == start)
    around = neighbours(run, num_frames, config.reach)
    numbers, inside = (np.concatenate([getattr(r, name) for r in around]) for name in ("frames", "valid"))
    video = VideoAnnotation(num_frames, 48, 48, tubes=tuple(tubes))
    return clip_truth(video, CLASSES, numbers, inside, config)


def test_boxes_stand_on_their_own_frames():
    found = run_truth([tube(4, 10)], start=8)
    frames = np.arange(2, 20)
    there = (frames >= 4) & (frames < 14)
    np.testing.assert_array_equal(found.present[0], there)
    np.testing.assert_array_equal(found.boxes[0, there, 0], frames[there])
    assert (found.boxes[0, ~there] == 0).all()
    assert found.labels.tolist() == [[0, 1, 0]] and found.valid.tolist() == [True]


@pytest.mark.parametrize(("start", "counts"), [(8, True), (7, False), (11, True), (12, False)])
def test_half_of_the_centre_clip_counts(start, counts):
    """A tube of three frames beside or in the clip of frames 8 to 13."""
    assert run_truth([tube(start, 3)], start=8).valid.tolist() == [counts]


def test_tubes_elsewhere_are_no_rows():
    assert len(run_truth([tube(0, 2), tube(25, 5)], start=8).valid) == 0
    assert run_truth([], start=8).boxes.shape == (0, 18, 4)


@pytest.mark.parametrize(("start", "outside"), [(0, slice(0, 6)), (24, slice(12, 18))])
def test_a_clip_at_the_videos_border_has_no_truth_beyond_it(start, outside):
    found = run_truth([tube(0, 30)], start=start)
    assert not found.present[0, outside].any()
    assert found.present[0].sum() == 12 and found.valid[0]


def test_a_video_shorter_than_a_clip():
    found = run_truth([tube(0, 4)], start=0, num_frames=4)
    assert found.present[0].sum() == 4 and found.valid[0]


@pytest.mark.parametrize(("start", "length", "counts"), [(0, 2, True), (1, 1, True), (0, 0, False)])
def test_a_video_of_two_frames_learns_from_them(start, length, counts):
    """The four places that fill up the clip say nothing of a tube that is there all along."""
    tubes = [tube(start, length)] if length else []
    found = run_truth(tubes, start=0, num_frames=2)
    assert found.valid.tolist() == [True] * counts and found.present.sum() == length


def test_i3d_has_one_place_for_four_frames():
    config = tiny(backbone="i3d", clip=12, clips=(1, 1), stream="rgb")
    found = run_truth([tube(0, 30)], start=8, config=config)
    np.testing.assert_array_equal(found.boxes[0, :, 0], [10, 14, 18])


def test_key_frames_and_several_labels():
    """AVA: one box with two labels and another box, on the key frame alone."""
    config = replace(StepConfig.paper_ava(), size=(48, 48), pretrained="")
    frame, label = np.array([18, 18, 18, 40]), np.array([0, 2, 1, 1])
    box = np.array([[1.0, 2, 20, 30], [1, 2, 20, 30], [5, 5, 9, 9], [0, 0, 4, 4]])
    video = VideoAnnotation(60, 48, 48, frames=FrameBoxes(frame, label, box), evaluated_frames=[18, 40])
    numbers = np.arange(36)
    found = clip_truth(video, CLASSES, numbers, np.ones(36, bool), config)
    assert found.labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert found.valid.all() and found.present.sum(1).tolist() == [1, 1]
    np.testing.assert_array_equal(found.present.argmax(1), [4, 4])
    np.testing.assert_array_equal(found.boxes[:, 4], box[[0, 2]])


def test_middle_supervision_takes_tubes_on_one_place():
    found = run_truth([tube(0, 30)], start=8, config=tiny(clips=(1, 3), supervision="middle"))
    assert found.present[0].nonzero()[0].tolist() == [9]


def test_the_mirror_turns_boxes_only_where_there_are_any():
    found = run_truth([tube(4, 10)], start=8)
    turned = found.mirrored(48)
    there = found.present[0]
    np.testing.assert_array_equal(turned.boxes[0, there, 0], 48 - found.boxes[0, there, 2])
    np.testing.assert_array_equal(turned.boxes[0, there, 1], found.boxes[0, there, 1])
    assert (turned.boxes[0, ~there] == 0).all()
    np.testing.assert_allclose(turned.mirrored(48).boxes, found.boxes)


def test_a_video_without_annotations_and_classes_has_no_rows():
    """As in prediction on a plain video file."""
    found = clip_truth(VideoAnnotation(30, 48, 48), (), np.arange(18), np.ones(18, bool), tiny(clips=(1, 3)))
    assert found.boxes.shape == (0, 18, 4) and found.labels.shape == (0, 0) and found.valid.shape == (0,)
