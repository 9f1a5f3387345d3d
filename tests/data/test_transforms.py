import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.data import transforms
from stad_lite.data.transforms import Augment, Sample, crop, flip, photometric, resize, sample, scale
from stad_lite.errors import FormatError, UnknownLabelError
from stad_lite.tubes import Tube

T, H, W = 4, 24, 32


def marked(seed: int = 0, flow: bool = True) -> Sample:
    """A clip in which a bright rectangle fills exactly the box of its only actor, which moves."""
    rng = np.random.default_rng(seed)
    frames = np.full((T, H, W, 3), 30, np.uint8)
    x, y = rng.integers(0, 8), rng.integers(0, 6)
    boxes = np.array([[x + 3 * t, y + t, x + 3 * t + 8, y + t + 10] for t in range(T)], dtype=float)
    motion = np.zeros((T, H, W, 2), np.float32)
    for t, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        frames[t, y1:y2, x1:x2] = [200, 180, 190]
        motion[t, y1:y2, x1:x2] = [3, 1]
    return sample(frames, [Tube(0, boxes, "run")], ["jump", "run"], flow=motion if flow else None)


def bright(clip: Sample, frame: int) -> list[int] | None:
    """The box of the bright pixels."""
    mask = clip.frames[frame].mean(-1) > 100
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_sample_takes_the_frames_by_number() -> None:
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    tubes = [Tube(10, np.arange(8).reshape(2, 4) + [[0, 0, 4, 4]] * 2, "b"), Tube(0, [[0, 0, 1, 1]], "a")]
    clip = sample(frames, tubes, ["a", "b"], numbers=[9, 11, 11])
    assert clip.labels.tolist() == [1]  # the other tube misses these frames
    assert clip.present.tolist() == [[False, True, True]]
    np.testing.assert_array_equal(clip.boxes[0], [[0] * 4, tubes[0].boxes[1], tubes[0].boxes[1]])
    with pytest.raises(UnknownLabelError, match="'b'"):
        sample(frames, tubes[:1], ["a"], numbers=[10, 11, 12])


@pytest.mark.parametrize(
    "change",
    [
        {"frames": np.zeros((T, H, W, 3))},
        {"boxes": np.zeros((1, 3, 4))},
        {"present": np.zeros((2, T), bool)},
        {"flow": np.zeros((T, H, W, 3))},
    ],
)
def test_shapes_that_disagree(change: dict) -> None:
    clip = marked()
    parts = {name: getattr(clip, name) for name in ("frames", "boxes", "present", "labels", "flow")}
    with pytest.raises(FormatError, match=next(iter(change))):
        Sample(**{**parts, **change})


@given(st.integers(0, 1000))
def test_boxes_stay_on_their_pixels_under_flip(seed: int) -> None:
    clip = flip(marked(seed))
    for t in range(T):
        assert bright(clip, t) == clip.boxes[0, t].tolist()


def test_flip_twice_is_nothing_and_negates_u_only() -> None:
    clip = marked()
    once, twice = flip(clip), flip(flip(clip))
    for name in ("frames", "boxes", "flow"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(clip, name))
    x1, y1 = once.boxes[0, 0, :2].astype(int)
    np.testing.assert_array_equal(once.flow[0, y1, x1], [-3, 1])
    # the boxes of the next frame lie where the flow says
    np.testing.assert_array_equal(once.boxes[0, 1, :2] - once.boxes[0, 0, :2], once.flow[0, y1, x1])
    assert once.flow.dtype == np.float32


@given(st.integers(0, 1000), st.integers(0, 10), st.integers(0, 12), st.integers(6, 14), st.integers(6, 20))
def test_boxes_stay_on_their_pixels_under_crop(
    seed: int, top: int, left: int, height: int, width: int
) -> None:
    before = marked(seed)
    after = crop(before, top, left, height, width)
    assert after.size == (height, width) and after.flow.shape == (T, height, width, 2)
    for t in range(T):
        x1, y1, x2, y2 = before.boxes[0, t]
        centre_inside = left <= (x1 + x2) / 2 < left + width and top <= (y1 + y2) / 2 < top + height
        assert after.present[0, t] == centre_inside
        if centre_inside:
            assert bright(after, t) == after.boxes[0, t].tolist()
        else:
            assert (after.boxes[0, t] == 0).all()


def test_crop_beyond_the_frame() -> None:
    for window in ((-1, 0, 4, 4), (0, 0, H + 1, 4), (0, W - 3, 4, 4), (0, 0, 0, 4)):
        with pytest.raises(FormatError, match="does not lie"):
            crop(marked(), *window)


@pytest.mark.parametrize("size", [(48, 64), (12, 16), (24, 64), (48, 40), (17, 29)])
def test_scale_takes_boxes_and_flow_along(size: tuple[int, int]) -> None:
    clip = scale(marked(), *size)
    sy, sx = size[0] / H, size[1] / W
    assert clip.size == size and clip.frames.dtype == np.uint8
    np.testing.assert_allclose(clip.boxes, marked().boxes * [sx, sy, sx, sy])
    for t in range(T):
        np.testing.assert_allclose(bright(clip, t), clip.boxes[0, t], atol=1.01)
        x, y = ((clip.boxes[0, t, :2] + clip.boxes[0, t, 2:]) / 2).astype(int)
        np.testing.assert_allclose(clip.flow[t, y, x], [3 * sx, sy], rtol=1e-5)


@pytest.mark.parametrize("size", [(7, 9), (40, 50), (24, 10), (24, 32)])
def test_resize_equals_torchs_antialiased_bilinear(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
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


@settings(max_examples=30)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.floats(-60, 60), st.floats(0.2, 1.0))
def test_colours_turn_at_constant_luma(r: int, g: int, b: int, hue: float, saturation: float) -> None:
    clip = sample(np.full((1, 2, 2, 3), [r // 2 + 64, g // 2 + 64, b // 2 + 64], np.uint8))
    luma = np.array([0.299, 0.587, 0.114])
    before, after = clip.frames[0, 0, 0], photometric(clip, hue=hue, saturation=saturation).frames[0, 0, 0]
    if after.min() > 0 and after.max() < 255:
        assert abs(before @ luma - after @ luma) <= 1


def test_each_colour_change_does_what_it_says() -> None:
    grey = sample(np.full((2, 4, 4, 3), 100, np.uint8))
    assert (photometric(grey, brightness=7).frames == 107).all()
    assert (photometric(grey, contrast=1.5).frames == 150).all()
    assert (photometric(grey, saturation=0.3, hue=40).frames == 100).all()  # grey has no colour to turn
    assert (photometric(grey, brightness=300).frames == 255).all()
    red = sample(np.full((1, 2, 2, 3), [200, 60, 40], np.uint8))
    assert photometric(red, channels=(2, 0, 1)).frames[0, 0, 0].tolist() == [40, 200, 60]
    assert np.ptp(photometric(red, saturation=0).frames[0, 0, 0].astype(int)) == 0
    turned = photometric(red, hue=-60, saturation=0.6).frames[0, 0, 0] / 255
    assert colorsys.rgb_to_hsv(*turned)[0] != pytest.approx(
        colorsys.rgb_to_hsv(*red.frames[0, 0, 0])[0], abs=0.05
    )
    assert photometric(red) is red


def test_one_draw_serves_the_whole_clip() -> None:
    still = sample(np.repeat(np.random.default_rng(0).integers(0, 255, (1, H, W, 3), dtype=np.uint8), T, 0))
    for seed in range(20):
        out = Augment((16, 16), crop="overlap", photometric=1.0, swap=0.5)(still, np.random.default_rng(seed))
        assert (out.frames == out.frames[:1]).all()


@pytest.mark.parametrize("kind", ["none", "window", "overlap"])
def test_augmented_boxes_stay_on_their_pixels(kind: str) -> None:
    augment = Augment((20, 20), crop=kind, photometric=0.0)
    flipped = 0
    for seed in range(30):
        clip = marked(seed)
        out = augment(clip, np.random.default_rng(seed))
        assert out.size == (20, 20)
        flipped += out.flow[..., 0].min() < 0
        for t in range(T):
            if out.present[0, t] and (out.boxes[0, t, 2:] - out.boxes[0, t, :2]).min() > 3:
                np.testing.assert_allclose(bright(out, t), out.boxes[0, t], atol=1.6)
    assert 5 < flipped < 25
    with pytest.raises(FormatError, match="no crop"):
        Augment((8, 8), crop="corner")(marked(), np.random.default_rng(0))


def test_augment_is_a_function_of_the_generator() -> None:
    augment = Augment((20, 24), crop="overlap", swap=0.3)
    a, b, c = (augment(marked(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a.frames, b.frames)
    np.testing.assert_array_equal(a.boxes, b.boxes)
    assert not np.array_equal(a.frames, c.frames)


def test_overlap_window_keeps_what_it_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "CROP_OVERLAPS", (0.3,))
    clip = marked()
    drawn = set()
    for seed in range(40):
        top, left, height, width = transforms.overlap_window(clip, np.random.default_rng(seed))
        drawn.add((top, left, height, width))
        if (top, left, height, width) != (0, 0, H, W):
            window = np.array([left, top, left + width, top + height])
            assert transforms.box_ops.iou(clip.boxes[0], window).min() >= 0.3
            assert 0.5 <= height / width <= 2
    assert len(drawn) > 3


def test_input_conventions() -> None:
    frames = np.array([[[[0, 128, 255]]]], np.uint8)
    np.testing.assert_allclose(transforms.to_unit(frames)[0, 0, 0], [-1, 0.0039, 1], atol=1e-4)
