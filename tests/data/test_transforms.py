import colorsys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.data import transforms
from stad_lite.data.transforms import Augment, Change, Sample, crop, flip, recolouring, resize, sample, scale
from stad_lite.errors import FormatError, UnknownLabelError
from stad_lite.systems.seen import Seen, fed, pixels
from stad_lite.tubes import Tube

T, H, W = 4, 24, 32


class Shown(NamedTuple):
    """Actors and pixels of a clip."""

    actors: Sample
    frames: np.ndarray
    flow: np.ndarray


def marked(seed: int = 0) -> tuple[Sample, np.ndarray, np.ndarray]:
    """A clip in which a bright rectangle fills exactly the box of its only actor, which moves."""
    rng = np.random.default_rng(seed)
    frames = np.full((T, H, W, 3), 30, np.uint8)
    x, y = rng.integers(0, 8), rng.integers(0, 6)
    boxes = np.array([[x + 3 * t, y + t, x + 3 * t + 8, y + t + 10] for t in range(T)], dtype=float)
    motion = np.zeros((T, H, W, 2), np.float32)
    for t, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        frames[t, y1:y2, x1:x2] = [200, 180, 190]
        motion[t, y1:y2, x1:x2] = [3, 1]
    return sample((H, W), [Tube(0, boxes, "run")], ["jump", "run"], range(T)), frames, motion


def shown(clip: tuple[Sample, np.ndarray, np.ndarray], actors: Sample, change: Change) -> Shown:
    """A clip as a network is fed it, channels last."""
    _, frames, flow = clip
    parts = [
        pixels(Seen(torch.from_numpy(values)).changed(change), stream)
        for values, stream in ((frames, "rgb"), (flow, "flow"))
    ]
    return Shown(actors, *(part.permute(0, 2, 3, 1).numpy() for part in parts))


def bright(frame: np.ndarray) -> list[int] | None:
    """The box of the bright pixels."""
    mask = frame.mean(-1) > 100
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_sample_takes_the_frames_by_number() -> None:
    tubes = [Tube(10, np.arange(8).reshape(2, 4) + [[0, 0, 4, 4]] * 2, "b"), Tube(0, [[0, 0, 1, 1]], "a")]
    clip = sample((8, 8), tubes, ["a", "b"], numbers=[9, 11, 11])
    assert clip.labels.tolist() == [1]  # the other tube misses these frames
    assert clip.present.tolist() == [[False, True, True]]
    np.testing.assert_array_equal(clip.boxes[0], [[0] * 4, tubes[0].boxes[1], tubes[0].boxes[1]])
    with pytest.raises(UnknownLabelError, match="'b'"):
        sample((8, 8), tubes[:1], ["a"], numbers=[10, 11, 12])


@pytest.mark.parametrize(
    "change",
    [{"boxes": np.zeros((1, 3, 4))}, {"present": np.zeros((2, T), bool)}, {"known": np.ones(3, bool)}],
)
def test_shapes_that_disagree(change: dict) -> None:
    with pytest.raises(FormatError, match=next(iter(change))):
        replace(marked()[0], **change)


@given(st.integers(0, 1000))
def test_boxes_stay_on_their_pixels_in_the_mirror(seed: int) -> None:
    clip = marked(seed)
    seen = shown(clip, flip(clip[0]), Change(mirror=True))
    for t in range(T):
        assert bright(seen.frames[t]) == seen.actors.boxes[0, t].tolist()
        x1, y1 = seen.actors.boxes[0, t, :2].astype(int)
        np.testing.assert_array_equal(seen.flow[t, y1, x1], [-3, 1])
    np.testing.assert_array_equal(flip(flip(clip[0])).boxes, clip[0].boxes)


@given(st.integers(0, 1000), st.integers(0, 10), st.integers(0, 12), st.integers(6, 14), st.integers(6, 20))
def test_a_box_stays_where_its_centre_is_in_the_crop(
    seed: int, top: int, left: int, height: int, width: int
) -> None:
    before, frames, _ = marked(seed)
    after = crop(before, top, left, height, width)
    assert after.size == (height, width)
    for t in range(T):
        x1, y1, x2, y2 = before.boxes[0, t]
        centre_inside = left <= (x1 + x2) / 2 < left + width and top <= (y1 + y2) / 2 < top + height
        assert after.present[0, t] == centre_inside
        if centre_inside:
            part = frames[t, top : top + height, left : left + width]
            assert bright(part) == after.boxes[0, t].tolist()
        else:
            assert (after.boxes[0, t] == 0).all()


def test_crop_beyond_the_frame() -> None:
    for window in ((-1, 0, 4, 4), (0, 0, H + 1, 4), (0, W - 3, 4, 4), (0, 0, 0, 4)):
        with pytest.raises(FormatError, match="does not lie"):
            crop(marked()[0], *window)


def test_scale_takes_boxes_along() -> None:
    clip = scale(marked()[0], 48, 40)
    assert clip.size == (48, 40)
    np.testing.assert_allclose(clip.boxes, marked()[0].boxes * [40 / W, 2, 40 / W, 2])


@pytest.mark.parametrize("size", [(7, 9), (40, 50), (24, 10), (24, 32)])
def test_resize_equals_torchs_antialiased_bilinear(size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).random((2, H, W, 3))
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    theirs = torch.nn.functional.interpolate(
        tensor, size, mode="bilinear", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(resize(images, *size), theirs.permute(0, 2, 3, 1).numpy(), atol=1e-6)


def test_resize_keeps_constant_images_and_types() -> None:
    for dtype in (np.uint8, np.float16, np.float32, np.float64):
        out = resize(np.full((H, W, 1), 77, dtype), 13, 50)
        assert out.dtype == dtype and np.abs(out - 77.0).max() < 1e-4


def recoloured(colour: Sequence[int], **how: Any) -> np.ndarray:
    """One pixel in other colours."""
    values = torch.tensor(colour, dtype=torch.uint8).view(1, 1, 1, 3)
    return pixels(Seen(values, colours=torch.from_numpy(recolouring(**how))), "rgb").flatten().numpy()


@settings(max_examples=30)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.floats(-60, 60), st.floats(0.2, 1.0))
def test_colours_turn_at_constant_luma(r: int, g: int, b: int, hue: float, saturation: float) -> None:
    before = np.array([r // 2 + 64, g // 2 + 64, b // 2 + 64])
    luma, after = np.array([0.299, 0.587, 0.114]), recoloured(before, hue=hue, saturation=saturation)
    if after.min() > 0 and after.max() < 255:
        assert abs(before @ luma - after @ luma) < 0.01


def test_each_colour_change_does_what_it_says() -> None:
    grey, red = [100] * 3, [200, 60, 40]
    near = partial(pytest.approx, abs=1e-3)
    assert recoloured(grey, brightness=7) == near(107)
    assert recoloured(grey, contrast=1.5) == near(150)
    assert recoloured(grey, saturation=0.3, hue=40) == near(100)  # grey has no colour to turn
    assert recoloured(grey, brightness=300) == near(255)
    assert recoloured(grey, brightness=-300) == near(0)
    assert recoloured(red, channels=(2, 0, 1)) == near(np.array([40, 200, 60]))
    assert np.ptp(recoloured(red, saturation=0)) < 1e-3
    turned = recoloured(red, hue=-60, saturation=0.6) / 255
    assert colorsys.rgb_to_hsv(*turned)[0] != pytest.approx(
        colorsys.rgb_to_hsv(*np.array(red) / 255)[0], abs=0.05
    )
    assert recoloured(red) == near(np.array(red))


def test_a_batch_is_recoloured_as_its_clips_are() -> None:
    frames = torch.randint(0, 256, (3, T, H, W, 3), dtype=torch.uint8, generator=torch.manual_seed(0))
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    drawn = torch.stack([torch.from_numpy(Augment(photometric=1.0, swap=0.5).colours(rng)) for rng in rngs])
    together = pixels(Seen(frames, colours=drawn), "rgb")
    for clip, colours, row in zip(frames, drawn, together, strict=True):
        each = clip.double().numpy() @ colours[:, :3].double().numpy().T + colours[:, 3].numpy()
        np.testing.assert_allclose(row.permute(0, 2, 3, 1), each.clip(0, 255), atol=1e-3)
    scaled = fed(Seen(frames, colours=drawn), "rgb")
    torch.testing.assert_close(scaled, together / 127.5 - 1, rtol=0, atol=1e-6)


def test_one_draw_serves_the_whole_clip() -> None:
    still = np.repeat(np.random.default_rng(0).integers(0, 255, (1, H, W, 3), dtype=np.uint8), T, 0)
    actors, _, flow = marked()
    for seed in range(20):
        augment = Augment(crop="overlap", photometric=1.0, swap=0.5)
        out = shown((actors, still, flow), *augment(actors, np.random.default_rng(seed)))
        np.testing.assert_allclose(out.frames, np.repeat(out.frames[:1], T, 0), atol=1e-3)


@pytest.mark.parametrize("kind", ["none", "overlap"])
def test_augmented_boxes_stay_on_their_pixels(kind: Any) -> None:
    augment = Augment(crop=kind, photometric=0.0)
    flipped = cropped = 0
    for seed in range(60):
        clip = marked(seed)
        actors, change = augment(clip[0], np.random.default_rng(seed))
        assert actors.size == (H, W) and change.colours is None
        out = shown(clip, actors, change)
        flipped += change.mirror
        cropped += change.window is not None and change.window != (0, 0, H, W)
        for t in range(T):
            if actors.present[0, t] and (actors.boxes[0, t, 2:] - actors.boxes[0, t, :2]).min() > 3:
                np.testing.assert_allclose(bright(out.frames[t]), actors.boxes[0, t], atol=1.6)
                x, y = ((actors.boxes[0, t, :2] + actors.boxes[0, t, 2:]) / 2).astype(int)
                _, _, tall, wide = change.window or (0, 0, H, W)
                turn = -1 if change.mirror else 1
                np.testing.assert_allclose(out.flow[t, y, x], [turn * 3 * W / wide, H / tall], rtol=1e-4)
    assert 15 < flipped < 45
    assert (cropped > 10) == (kind == "overlap")


def test_augment_is_a_function_of_the_generator() -> None:
    augment = Augment(crop="overlap", swap=0.3)
    a, b, c = (augment(marked()[0], np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a[1].colours, b[1].colours)
    np.testing.assert_array_equal(a[0].boxes, b[0].boxes)
    assert a[1][:2] == b[1][:2]
    assert not np.array_equal(a[1].colours, c[1].colours)


def test_overlap_window_keeps_what_it_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "CROP_OVERLAPS", (0.3,))
    clip = marked()[0]
    drawn = set()
    for seed in range(40):
        top, left, height, width = transforms.overlap_window(clip, np.random.default_rng(seed))
        drawn.add((top, left, height, width))
        if (top, left, height, width) != (0, 0, H, W):
            window = np.array([left, top, left + width, top + height])
            assert transforms.box_ops.iou(clip.boxes[0], window).min() >= 0.3
            assert 0.5 <= height / width <= 2
    assert len(drawn) > 3
