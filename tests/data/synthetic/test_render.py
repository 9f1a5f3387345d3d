"""Rendering: flow against the next frame, boxes against masks, sameness everywhere."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stad_lite.data.synthetic import Clip, Settings, render
from stad_lite.data.synthetic.render import GROUND, POST
from stad_lite.errors import StadError

PRESETS = {"smoke": Settings.smoke(), "lesson": Settings.lesson(), "large": Settings.large()}
GOLDEN = {
    "smoke": ["58f0e6edad30070f", "611038bf8a07fbf4", "afc7d44822768931", "83a9de35ea78161e"],
    "lesson": ["8e67f22cf17e9b0d", "53f1bb8d07cbb7de", "9ce9d16e4477b7cb", "9ef0bca3a4cd7614"],
    "large": ["9914fd780aba64ca", "0ef35b80df65e3aa", "3b5fd6e6f4d894ac", "627d3c696ed6e9d2"],
}
"""Hashes of clips 0 to 3 of each preset, as printed by
``PYTHONPATH=. python tests/data/synthetic/test_render.py``."""


def digest(clip: Clip) -> str:
    """Return a hash of the frames, the boxes to 1e-6 pixels and the flow to 1/64 pixel."""
    whole = hashlib.sha256(clip.frames.tobytes())
    for tube in clip.tubes:
        whole.update(f"{tube.start} {tube.label}".encode())
        whole.update(np.rint(tube.boxes * 1e6).astype("<i8").tobytes())
    whole.update(np.rint(clip.flow.astype(np.float64) * 64).astype("<i2").tobytes())
    return whole.hexdigest()[:16]


def digests(preset: str) -> list[str]:
    return [digest(render(PRESETS[preset], seed)) for seed in range(4)]


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    left = np.clip(np.floor(x).astype(int), 0, image.shape[1] - 2)
    top = np.clip(np.floor(y).astype(int), 0, image.shape[0] - 2)
    right, down = (x - left)[..., None], (y - top)[..., None]
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def residuals(clip: Clip) -> dict[str, tuple[float, float]]:
    """Return the mean grey-level difference to the next frame by layer: along the flow, without it.

    Only pixels that are seen in both frames and whose layer is seen around them in the next count.
    """
    height, width = clip.frames.shape[1:3]
    row, column = np.mgrid[:height, :width].astype(float)
    sums = {name: [] for name in ("ground", "actors", "post")}
    for t in range(len(clip.frames) - 1):
        flow, owner = clip.flow[t].astype(float), clip.owner[t]
        here, after = clip.frames[t].astype(float), clip.frames[t + 1].astype(float)
        x, y = column + flow[..., 0], row + flow[..., 1]
        seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        seen &= bilinear(clip.owner[t + 1][..., None].astype(float), x, y)[..., 0] == owner
        along = np.abs(bilinear(after, x, y) - here).mean(-1)
        without = np.abs(after - here).mean(-1)
        layers = {"ground": owner == GROUND, "actors": owner >= 0, "post": owner == POST}
        for name, layer in layers.items():
            sums[name].append(np.stack([along, without], -1)[seen & layer])
    return {
        name: tuple(np.concatenate(parts).mean(0)) for name, parts in sums.items() if sum(map(len, parts))
    }


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [render(Settings(occluder=1.0, noise=1.0), seed, masks=True) for seed in range(4)]


def test_the_next_frame_warped_by_the_flow_is_this_frame(clips) -> None:
    for clip in clips:
        for layer, (along, without) in residuals(clip).items():
            assert along < without / (1.5 if layer == "post" else 2.0), (clip.seed, layer)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_pass_the_warping_test_too(preset: str) -> None:
    clip = render(PRESETS[preset], seed=11, masks=True)
    along, without = residuals(clip)["ground"]
    assert along < without / 2


def test_a_wrong_flow_fails_the_warping_test(clips) -> None:
    for wrong in (-clips[0].flow, clips[0].flow[..., ::-1], np.roll(clips[0].flow, 1, axis=0)):
        broken = residuals(replace(clips[0], flow=wrong))
        right = residuals(clips[0])
        assert broken["actors"][0] > 1.5 * right["actors"][0]


def test_boxes_are_the_bounds_of_the_masks(clips) -> None:
    edges = 0
    for clip in clips:
        for mask, presence in zip(clip.masks, clip.presence, strict=True):
            for picture, box in zip(mask, presence.boxes, strict=True):
                rows, columns = np.nonzero(picture)
                bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                assert np.abs(bounds - box).max() <= 1.0
                edges += 4
    assert edges >= 4 * 4 * 32


def test_boxes_ignore_what_hides_the_actor() -> None:
    for seed in range(5):
        free = render(Settings(occluder=0.0), seed, masks=True)
        hidden = render(Settings(occluder=1.0), seed, masks=True)
        assert free.tubes == hidden.tubes
        np.testing.assert_array_equal(free.masks, hidden.masks)
        assert (hidden.owner == POST).any() and not (free.owner == POST).any()


def test_the_mirror_image_keeps_its_truth(clips) -> None:
    clip = clips[0]
    mirrored = clip.mirrored()
    assert [tube.label for tube in mirrored.tubes] == [tube.label for tube in clip.tubes]
    assert not np.array_equal(mirrored.frames, clip.frames)
    for layer, (along, without) in residuals(mirrored).items():
        assert along < without / (1.5 if layer == "post" else 2.0), layer
    for mask, presence in zip(mirrored.masks, mirrored.presence, strict=True):
        columns = np.nonzero(mask[0])[1]
        assert np.abs([columns.min(), columns.max() + 1] - presence.boxes[0, ::2]).max() <= 1.0
    twice = mirrored.mirrored()
    np.testing.assert_array_equal(twice.frames, clip.frames)
    np.testing.assert_array_equal(twice.flow, clip.flow)
    np.testing.assert_allclose(twice.tubes[0].boxes, clip.tubes[0].boxes, atol=1e-9)


def test_shapes_and_types() -> None:
    clip = render(Settings.smoke(), 3, masks=True)
    assert clip.frames.shape == (16, 48, 48, 3) and clip.frames.dtype == np.uint8
    assert clip.flow.shape == (16, 48, 48, 2) and clip.flow.dtype == np.float16
    assert clip.masks.shape == (len(clip.presence), 16, 48, 48)
    assert np.isfinite(clip.flow).all()
    record = clip.annotation()
    assert (record.num_frames, record.width, record.height, record.fps) == (16, 48, 48, 25.0)
    assert record.tubes == clip.tubes


def test_without_flow_the_frames_are_the_same() -> None:
    clip, bare = (render(replace(Settings.smoke(), flow=flow), 5) for flow in (True, False))
    assert bare.flow is None and bare.masks is None
    np.testing.assert_array_equal(clip.frames, bare.frames)


def test_a_tall_frame_is_not_a_wide_one() -> None:
    clip = render(Settings(frames=8, height=40, width=72, span=(2, 6)), 0, masks=True)
    assert clip.frames.shape == (8, 40, 72, 3)
    assert residuals(clip)["ground"][0] < residuals(clip)["ground"][1]


def test_corrupt_flow_adds_the_stated_error_and_nothing_else() -> None:
    clean = render(Settings.smoke(), 2)
    for error in (0.5, 3.0):
        clip = render(replace(Settings.smoke(), corrupt_flow=error), 2)
        added = np.linalg.norm(clip.flow.astype(float) - clean.flow, axis=-1)
        assert added.mean() == pytest.approx(error, abs=0.01)
        np.testing.assert_array_equal(clip.frames, clean.frames)
        assert clip.tubes == clean.tubes


def test_corrupt_rgb_casts_colours_of_the_stated_deviation_and_nothing_else() -> None:
    dials = Settings(texture=0.02, noise=0.0, actors=(0, 0), occluder=0.0)
    clean, clip = (render(replace(dials, corrupt_rgb=cast), 4) for cast in (0.0, 15.0))
    added = clip.frames.astype(float) - clean.frames
    assert added.std() == pytest.approx(15.0, rel=0.1)
    assert abs(added.mean()) < 1.0
    np.testing.assert_array_equal(clip.flow, clean.flow)


def test_corrupt_share_spoils_one_run_of_frames_of_each_stream() -> None:
    runs = set()
    for seed in range(6):
        clean = render(Settings(), seed)
        clip = render(Settings(corrupt_rgb=20.0, corrupt_flow=2.0, corrupt_share=0.5), seed)
        for before, after in ((clean.frames, clip.frames), (clean.flow, clip.flow)):
            wrong = (before != after).any((1, 2, 3))
            assert wrong.sum() == 16
            assert np.abs(np.diff(wrong.astype(int))).sum() <= 2
            runs.add((seed, int(wrong.argmax())))
    assert len(runs) > 6  # drawn for each stream


def test_camouflage_takes_the_contrast_away() -> None:
    def contrast(share: float) -> float:
        dials = Settings(camouflage=share, occluder=0.0, actors=(1, 1), noise=0.0)
        differences = []
        for seed in range(12):
            clip = render(dials, seed, masks=True)
            colours = [clip.frames[clip.owner == layer].mean(0) for layer in (0, GROUND)]
            differences.append(np.abs(colours[0] - colours[1]).mean())
        return float(np.mean(differences))

    assert contrast(1.0) < 0.6 * contrast(0.0)


def test_noise_and_texture_are_as_stated() -> None:
    still = Settings(actors=(0, 0), occluder=0.0, texture=0.0)
    quiet, noisy = (render(replace(still, noise=n), 1).frames.astype(float) for n in (0.0, 4.0))
    assert (noisy - quiet).std() == pytest.approx(4.0, rel=0.03)
    fine = [
        np.abs(np.diff(render(replace(still, texture=x), 1).frames.astype(float), axis=2)).mean()
        for x in (0, 0.12)
    ]
    assert fine[1] > 2 * fine[0]


def test_the_same_seed_gives_the_same_clip_and_another_another() -> None:
    first = render(Settings.smoke(), 9)
    render(Settings.smoke(), 10)
    np.random.seed(0)  # noqa: NPY002  the global state must not matter
    assert digest(render(Settings.smoke(), np.int64(9))) == digest(first)
    assert digest(render(Settings.smoke(), 10)) != digest(first)
    assert digest(render(Settings.smoke(), 9, masks=True)) == digest(first)


def test_another_process_renders_the_same_clip() -> None:
    code = (
        "from tests.data.synthetic.test_render import *; "
        "render(Settings.smoke(), 1); print(digest(render(Settings.smoke(), 9)))"
    )
    environment = os.environ | {
        "PYTHONHASHSEED": "123",
        "OMP_NUM_THREADS": "2",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
    }
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == digest(render(Settings.smoke(), 9))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_clip_is_the_recorded_one(preset: str) -> None:
    assert digests(preset) == GOLDEN[preset]


@pytest.mark.parametrize("toward", [-2.0, 2.0])
def test_the_last_bit_of_a_sine_reaches_neither_a_box_nor_a_pixel(monkeypatch, toward: float) -> None:
    expected = render(Settings.smoke(), 7)
    for name in ("sin", "cos", "exp"):
        exact = getattr(np, name)
        monkeypatch.setattr(np, name, lambda x, exact=exact: np.nextafter(exact(x), toward))
    clip = render(Settings.smoke(), 7)
    assert clip.presence == expected.presence  # to the last bit
    np.testing.assert_array_equal(clip.frames, expected.frames)
    np.testing.assert_array_equal(clip.flow, expected.flow)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None])
def test_a_wrong_seed_is_refused(seed: object) -> None:
    with pytest.raises(StadError, match="seed"):
        render(Settings.smoke(), seed)


def test_no_torch_is_imported() -> None:
    code = "import sys, stad_lite.data.synthetic; assert not {'torch', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=True)


if __name__ == "__main__":
    print({preset: digests(preset) for preset in PRESETS})
