"""Items by place, streams as networks are fed, mirror images, padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.systems.items import (
    Items,
    collated,
    flow_between,
    mirrored,
    padded,
    read_stream,
    some_places,
)
from stad_lite.systems.seen import read_clip


def source(frames: int = 5, size: tuple[int, int] = (6, 8), less: int = 0) -> VideoSource:
    """Random frames and flow of one video; ``less`` flow maps are missing."""
    random = np.random.default_rng(0)
    seen = random.integers(0, 256, (frames, *size, 3), np.uint8)
    flow = random.normal(size=(frames, *size, 2)).astype(np.float32)
    truth = Annotations("some", (), {"v": VideoAnnotation(frames, size[1], size[0])})
    return VideoSource(truth, size, lambda _, n: seen[n], lambda _, n: flow[n][less:])


def test_an_item_hangs_on_seed_epoch_and_index_alone():
    data = Items("abcd", lambda place, rng: (place, rng.random()), seed=3)
    first = [data[index] for index in range(4)]
    assert [data[index] for index in (3, 0)] == [first[3], first[0]] and data.name(2) == "c"
    assert len({value for _, value in first}) == 4
    data.epoch = 1
    assert data[0] != first[0]
    with pytest.raises(IndexError, match="item 4 of 4"):
        data[4]


def test_places_to_train_on_are_asked_for():
    assert some_places(source(), [1], "none") == [1]
    with pytest.raises(FormatError, match="some: nothing is there"):
        some_places(source(), [], "nothing is there")


@pytest.mark.parametrize(("stream", "channels"), [("rgb", 3), ("flow", 6), ("early", 7)])
def test_a_mirror_turns_the_picture_and_the_flow_along_x(stream, channels):
    inputs = torch.randn(2, channels, 4, 5)
    turned = mirrored(inputs, stream)
    torch.testing.assert_close(mirrored(turned, stream), inputs, rtol=0, atol=0)
    first = {"rgb": channels, "flow": 0, "early": 3}[stream]
    for channel in range(channels):
        sign = -1 if channel >= first and (channel - first) % 2 == 0 else 1
        assert torch.equal(turned[:, channel], sign * inputs[:, channel].flip(-1))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_mirrored_boxes_hold_the_mirrored_pixels(kind):
    picture, box = torch.zeros(6, 8), [1, 2, 5, 6]
    picture[2:6, 1:5] = 1
    x1, y1, x2, y2 = (int(side) for side in box_ops.mirrored(kind(box), 8))
    assert picture.flip(-1)[y1:y2, x1:x2].sum() == picture.sum() == (x2 - x1) * (y2 - y1)


def moving(frames: int = 9) -> VideoSource:
    """A picture that moves right by 1, 2, 3, ... pixels from frame to frame, everywhere alike."""
    flow = np.zeros((frames, 6, 8, 2), np.float32)
    flow[..., 0] = np.arange(1, frames + 1)[:, None, None]
    truth = Annotations("some", (), {"v": VideoAnnotation(frames, 8, 6)})
    return VideoSource(
        truth, (6, 8), lambda _, n: np.zeros((len(n), 6, 8, 3), np.uint8), lambda _, n: flow[n]
    )


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ([0, 3, 6], [1 + 2 + 3, 4 + 5 + 6, 7 + 8]),  # the last one ends with the video
        ([0, 2, 3, 4], [1 + 2, 3, 4, 5]),
        ([1, 1, 2], [2, 2, 3]),
        ([8], [8]),  # the source's own: the last map is repeated
    ],
)
def test_flow_between_frames_is_the_motion_between_them(numbers, wanted):
    found = flow_between(moving(), "v", np.array(numbers))
    np.testing.assert_array_equal(
        found[..., 0], np.broadcast_to(np.array(wanted)[:, None, None], (len(wanted), 6, 8))
    )
    clip = read_clip(moving(), ("flow",), "v", np.array(numbers), (6, 8), len(numbers))["flow"]
    np.testing.assert_array_equal(clip.values[:, 0, 0, 0], wanted)


def test_flow_is_followed_from_place_to_place():
    """Frame 0 moves all by two pixels to where frame 1 moves the left half up and the right half down."""
    flow = np.zeros((3, 6, 8, 2), np.float32)
    flow[0, ..., 0] = 2
    flow[1, :, :4, 1], flow[1, :, 4:, 1] = -1, 1
    truth = Annotations("some", (), {"v": VideoAnnotation(3, 8, 6)})
    some = VideoSource(truth, (6, 8), lambda _, n: np.zeros((len(n), 6, 8, 3)), lambda _, n: flow[n])
    found = flow_between(some, "v", np.array([0, 2]))[0]
    assert found[0].tolist() == [[2, -1]] * 2 + [[2, 1]] * 6
    assert flow[0, 0, 0].tolist() == [2, 0]  # the source's map is as it was


def test_streams_that_do_not_belong_together_are_refused():
    with pytest.raises(FormatError, match="the same frames") as caught:
        read_stream(source(less=1), "flow", "v", np.arange(3))
    assert caught.value.video == "v"


def test_padding_is_torchs_own():
    rows = [torch.randn(n, 3) for n in (2, 0, 4)]
    expected = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
    assert torch.equal(padded(rows, fill=-1), expected)
    assert padded([torch.zeros(0, 4)], least=1).shape == (1, 1, 4)
    batch = collated([{"x": rows[0], "y": rows[0]}, {"x": rows[0], "y": rows[2]}], {"y": 0})
    assert batch["x"].shape == (2, 2, 3) and batch["y"].shape == (2, 4, 3)
