"""Files of cached features."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.data.features import file_name, open_features, write_features
from stad_lite.errors import FormatError, MissingFileError, NotFiniteError, UnknownVideoError
from stad_lite.records import Annotations, Segment, VideoAnnotation

TRUTH = Annotations(
    "toy", ("run",), {name: VideoAnnotation(segments=(Segment("run", 0, 1),)) for name in ("a/1", "b", "c")}
)


def stages(frames: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=(3 + i, frames // stride)) for i, stride in enumerate((2, 4))]


def test_round_trip_of_the_videos_that_have_a_file(tmp_path):
    kept = {"a/1": stages(16), "c": stages(24, 1)}
    for name, parts in kept.items():
        write_features(tmp_path, name, parts, (2, 4), parts[0].shape[1] * 2, 12.5)
    source = open_features(tmp_path, TRUTH)
    assert source.videos == ("a/1", "c") and source.strides == (2, 4) and source.channels == (3, 4)
    assert source.num_frames("c") == 24 and source.fps("c") == 12.5
    for name, parts in kept.items():
        for ours, theirs in zip(source.features(name), parts, strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_array_equal(ours, theirs.astype(np.float32))
    with pytest.raises(UnknownVideoError, match="video b"):
        source.features("b")


def test_nan_is_refused_on_either_side(tmp_path):
    bad = stages(16)
    bad[1][2, 3] = np.nan
    with pytest.raises(NotFiniteError, match=r"video b: .*stage 1.* step 3"):
        write_features(tmp_path, "b", bad, (2, 4), 16, 10)
    assert not list(tmp_path.iterdir())
    arrays = {f"stage{i}": stage for i, stage in enumerate(bad)}
    np.savez(tmp_path / file_name("b"), about=np.array([16, 10, 2, 4]), **arrays)
    with pytest.raises(NotFiniteError, match="video b"):
        open_features(tmp_path, TRUTH)


def test_damaged_missing_and_mixed_files_are_told(tmp_path):
    with pytest.raises(MissingFileError, match="no annotated video"):
        open_features(tmp_path, TRUTH)
    write_features(tmp_path, "b", stages(16), (2, 4), 16, 10)
    write_features(tmp_path, "c", stages(16)[:1], (2,), 16, 10)
    with pytest.raises(FormatError, match="videos b, c"):
        open_features(tmp_path, TRUTH)
    whole = (tmp_path / "c.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"c\.npz, video c: not a file of features"):
        open_features(tmp_path, TRUTH)
    (tmp_path / "c.npz").unlink()
    source = open_features(tmp_path, TRUTH)
    (tmp_path / "b.npz").unlink()
    with pytest.raises(MissingFileError, match="video b"):
        source.features("b")


def test_no_pickle_is_read(tmp_path):
    np.savez(tmp_path / "b.npz", about=np.array([16, 10, 2]), stage0=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FormatError, match="not a file of features"):
        open_features(tmp_path, TRUTH)


def test_stages_and_strides_must_fit(tmp_path):
    with pytest.raises(FormatError, match="stages and strides"):
        write_features(tmp_path, "b", stages(16), (2,), 16, 10)
