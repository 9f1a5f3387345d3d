import json
from pathlib import Path

import numpy as np
import pytest

from stad_lite.data import frame_cache, video
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    MissingFileError,
    TruncatedFileError,
    UnknownVideoError,
)

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("video")
    y, x = np.mgrid[:40, :48]
    images = [np.stack([x * 5, y * 5 + t, (x + y + 8 * t) % 256], -1).astype(np.uint8) for t in range(9)]
    return {
        "run/one": video.write(folder / "one.mp4", images, fps=10),
        "jump/two": video.write(folder / "two.mp4", images[:4], fps=10),
    }


@pytest.mark.parametrize("form", frame_cache.FORMS)
def test_cache_gives_what_the_decoder_gave(files: dict[str, Path], tmp_path: Path, form: str) -> None:
    cache = frame_cache.build_cache(files, tmp_path / "cache", size=(30, 36), form=form)
    assert cache.videos == ("run/one", "jump/two")
    assert [cache.num_frames(name) for name in cache.videos] == [9, 4]
    direct = video.read(files["run/one"], size=(30, 36))
    stored = cache.read("run/one")
    if form == "npz":
        np.testing.assert_array_equal(stored, direct)
    else:
        assert np.abs(stored.astype(int) - direct).max() < 24
        assert np.abs(stored.astype(int) - direct).mean() < 2
    np.testing.assert_array_equal(cache.read("run/one", [3, 0, 3]), stored[[3, 0, 3]])
    np.testing.assert_array_equal(
        frame_cache.open_cache(tmp_path / "cache").read("jump/two"), cache.read("jump/two")
    )


def test_manifest_says_what_made_it(files: dict[str, Path], tmp_path: Path) -> None:
    frame_cache.build_cache(files, tmp_path, size=(30, 36))
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    assert manifest["format"] == "stad-lite/frames/2"
    assert av.__version__ in manifest["decoder"] and "libavcodec" in manifest["decoder"]
    assert (manifest["form"], manifest["size"], manifest["quality"]) == ("jpg", [30, 36], 3)
    assert manifest["videos"]["run/one"] == {
        "num_frames": 9, "fps": 10.0, "width": 48, "height": 40, "codec": "h264", "file": "one.mp4",
        "times": None, "stated": 10.0, "damaged": [],
    }  # fmt: skip


def test_building_again_decodes_only_what_is_new(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_cache.build_cache({"run/one": files["run/one"]}, tmp_path)
    seen = []
    probe = video.probe
    monkeypatch.setattr(video, "probe", lambda path: seen.append(Path(path).name) or probe(path))
    frame_cache.build_cache(files, tmp_path)
    assert seen == ["two.mp4"]


@pytest.mark.parametrize("change", [{"size": (20, 20)}, {"form": "npz"}, {"quality": 5}])
def test_caches_are_not_mixed(files: dict[str, Path], tmp_path: Path, change: dict) -> None:
    frame_cache.build_cache(files, tmp_path)
    with pytest.raises(FormatError, match=next(iter(change))):
        frame_cache.build_cache(files, tmp_path, **change)


def test_another_decoder_is_refused(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_cache.build_cache(files, tmp_path)
    monkeypatch.setattr(video, "decoder_name", lambda: "another 1.0")
    with pytest.raises(FormatError, match="made with decoder PyAV"):
        frame_cache.build_cache(files, tmp_path)


def test_an_interrupted_build_leaves_no_half_video(files: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(files["jump/two"].read_bytes()[:-200])
    with pytest.raises(TruncatedFileError):
        frame_cache.build_cache({"run/one": files["run/one"], "bad": broken}, tmp_path / "cache")
    assert frame_cache.open_cache(tmp_path / "cache").videos == ("run/one",)
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == ["manifest.json", "run"]


def test_bad_requests_and_damage(files: dict[str, Path], tmp_path: Path) -> None:
    cache = frame_cache.build_cache(files, tmp_path)
    with pytest.raises(UnknownVideoError, match="video walk/three"):
        cache.read("walk/three")
    with pytest.raises(FrameRangeError, match="video jump/two, frame 4: the video has 4 frames"):
        cache.read("jump/two", [0, 4])
    picture = tmp_path / "jump" / "two" / "000002.jpg"
    picture.write_bytes(picture.read_bytes()[:-40])
    with pytest.raises(TruncatedFileError, match=r"000002\.jpg"):
        cache.read("jump/two")
    picture.unlink()
    with pytest.raises(MissingFileError, match=r"000002\.jpg"):
        cache.read("jump/two")
    with pytest.raises(MissingFileError, match="no frame cache"):
        frame_cache.open_cache(tmp_path / "elsewhere")
    (tmp_path / "manifest.json").write_text('{"format": "stad-lite/frames/9"}', "utf-8")
    with pytest.raises(FormatError, match="not stad-lite/frames/2"):
        frame_cache.open_cache(tmp_path)
    with pytest.raises(FormatError, match="no form"):
        frame_cache.build_cache(files, tmp_path, form="png")
