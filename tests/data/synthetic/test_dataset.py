"""Sets of clips: splits, cache, damaged files, records."""

import os
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stad_lite.data.synthetic import CLASSES, SPLITS, Settings, annotate, cache_folder, dataset, render
from stad_lite.data.synthetic import dataset as public_dataset
from stad_lite.data.synthetic.dataset import split_seeds
from stad_lite.errors import StadError

SMALL = replace(Settings.smoke(), frames=8, height=32, width=32, span=(3, 6))


@pytest.fixture
def rendered(monkeypatch) -> list[int]:
    """The seeds rendered in the course of the test."""
    module = sys.modules["stad_lite.data.synthetic.dataset"]
    seeds: list[int] = []

    def counting(settings, seed, masks=False):
        seeds.append(seed)
        return render(settings, seed, masks)

    monkeypatch.setattr(module, "render", counting)
    return seeds


def test_processes_render_the_same_bytes(tmp_path: Path, monkeypatch, rendered: list[int]) -> None:
    pytest.importorskip("joblib")
    module = sys.modules["stad_lite.data.synthetic.dataset"]
    alone = dataset(SMALL, 3, cache_dir=tmp_path / "alone")
    monkeypatch.setattr(module, "MANY", 3)
    monkeypatch.setattr(module, "cores", lambda: 2)
    together = dataset(SMALL, 3, cache_dir=tmp_path / "together")
    assert rendered == [0, 1, 2]  # here: the others were rendered elsewhere
    for seed in alone.seeds:
        one, other = (some.folder / f"{seed:07d}.npz" for some in (alone, together))
        assert one.read_bytes() == other.read_bytes()


def test_clips_are_rendered_once(tmp_path: Path, rendered: list[int]) -> None:
    first = dataset(SMALL, 3, cache_dir=tmp_path)
    assert rendered == [0, 1, 2]
    again = dataset(SMALL, 5, cache_dir=tmp_path)
    assert rendered == [0, 1, 2, 3, 4]
    assert len(first) == 3 and len(list(again)) == 5
    assert rendered == [0, 1, 2, 3, 4]


def test_a_loaded_clip_is_the_rendered_one(tmp_path: Path) -> None:
    loaded, fresh = dataset(SMALL, 2, "val", tmp_path)[1], render(SMALL, 1_000_001)
    np.testing.assert_array_equal(loaded.frames, fresh.frames)
    np.testing.assert_array_equal(loaded.flow, fresh.flow)
    assert loaded.flow.dtype == np.float16
    assert (loaded.tubes, loaded.presence, loaded.seed) == (fresh.tubes, fresh.presence, fresh.seed)


def test_other_settings_have_another_folder(tmp_path: Path, rendered: list[int]) -> None:
    one = dataset(SMALL, 1, cache_dir=tmp_path)
    other = dataset(replace(SMALL, noise=3.0), 1, cache_dir=tmp_path)
    assert one.folder != other.folder
    assert rendered == [0, 0]


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_file_is_rendered_again_with_a_message(tmp_path: Path, rendered, keep: float) -> None:
    clips = dataset(SMALL, 2, cache_dir=tmp_path)
    path = clips.folder / "0000001.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.warns(UserWarning, match=r"0000001\.npz is damaged .* rendered again"):
        clip = clips[1]
    np.testing.assert_array_equal(clip.frames, render(SMALL, 1).frames)
    assert rendered == [0, 1, 1]
    np.testing.assert_array_equal(clips[1].frames, clip.frames)
    assert rendered == [0, 1, 1]


def test_a_flipped_byte_and_a_wrong_shape_are_noticed(tmp_path: Path) -> None:
    clips = dataset(SMALL, 2, cache_dir=tmp_path)
    path = clips.folder / "0000000.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))
    np.savez(clips.folder / "0000001.npz", frames=np.zeros((2, 2), np.uint8), flow=np.zeros(1))
    for index in (0, 1):
        with pytest.warns(UserWarning, match="damaged"):
            np.testing.assert_array_equal(clips[index].frames, render(SMALL, index).frames)


def test_a_file_deleted_behind_the_set_is_rendered_again(tmp_path: Path, rendered: list[int]) -> None:
    clips = dataset(SMALL, 1, cache_dir=tmp_path)
    os.unlink(clips.folder / "0000000.npz")
    assert clips[0].frames.shape == (8, 32, 32, 3)
    assert rendered == [0, 0]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        dataset(SMALL, 1, cache_dir=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_splits_share_no_seed_by_construction() -> None:
    starts = sorted(SPLITS.values())
    assert all(b - a >= 1_000_000 for a, b in pairwise(starts))
    last = {split: split_seeds(split, [0, 999_999]) for split in SPLITS}
    ranges = sorted(last.values())
    assert all(a[1] < b[0] for a, b in pairwise(ranges))


@pytest.mark.parametrize("clips", [-1, 1_000_001, [1_000_000], [-1], [3, -2]])
def test_clips_outside_of_a_split_are_refused(clips) -> None:
    with pytest.raises(StadError, match="split"):
        split_seeds("train", clips)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(StadError, match="train, val, test"):
        public_dataset(SMALL, 1, split="validation")


def test_none_is_a_set_too(tmp_path: Path) -> None:
    assert len(dataset(SMALL, 0, cache_dir=tmp_path)) == 0
    assert split_seeds("test", []) == ()


def test_a_clip_does_not_depend_on_the_ones_before(tmp_path: Path) -> None:
    forward = dataset(SMALL, [4, 2, 7], cache_dir=tmp_path / "a")
    backward = dataset(SMALL, [7, 2, 4], cache_dir=tmp_path / "b")
    for one, other in zip(forward, list(backward)[::-1], strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)


def test_annotations_are_the_clips_own(tmp_path: Path) -> None:
    clips = dataset(SMALL, 3, "test", tmp_path)
    record = clips.annotations()
    assert record == annotate(SMALL, 3, "test")
    assert record.dataset == "synthetic" and record.classes == CLASSES == clips.classes
    assert tuple(record.videos) == clips.ids == ("test/2000000", "test/2000001", "test/2000002")
    for clip, video in zip(clips, record.videos.values(), strict=True):
        assert video == clip.annotation()
        assert (video.num_frames, video.fps, video.duration) == (8, 25.0, 8 / 25)


def test_a_slice_is_a_smaller_set(tmp_path: Path) -> None:
    clips = dataset(SMALL, 4, cache_dir=tmp_path)
    assert clips[1:3].seeds == (1, 2)
    assert clips[-1].seed == 3
    with pytest.raises(IndexError):
        clips[4]


def test_without_flow_nothing_of_it_is_kept(tmp_path: Path) -> None:
    clips = dataset(replace(SMALL, flow=False), 1, cache_dir=tmp_path)
    assert clips[0].flow is None
    with np.load(clips.folder / "0000000.npz") as file:
        assert file.files == ["frames"]


def test_the_cache_lies_where_the_environment_says(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert dataset(SMALL, 1).folder.is_relative_to(tmp_path / "mine")
    monkeypatch.delenv("STAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().name == "stad_lite"
