import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from stad_lite.data import video
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    MissingExtraError,
    MissingFileError,
    TruncatedFileError,
)
from stad_lite.tubes import Tube

av = pytest.importorskip("av")

HEIGHT, WIDTH, COUNT = 48, 64, 23


def clip(count: int = COUNT, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Frames that say their number in their brightness, with a square that moves."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames += (np.arange(count) * 9 + 20).astype(np.uint8)[:, None, None, None]
    for number in range(count):
        frames[number, 8:16, 2 * number % (width - 8) :][:, :8] = [200, 60, 20]
    return frames


def number_of(frames: np.ndarray) -> np.ndarray:
    """The numbers that frames of ``clip`` say."""
    return np.round((np.median(frames[:, -12:], axis=(1, 2, 3)) - 20) / 9).astype(int)


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video.write(tmp_path_factory.mktemp("video") / "clip.mp4", clip(), fps=12.5)


def encode(path: Path, frames: np.ndarray, codec: str, options: dict[str, str] | None = None) -> Path:
    """A file in whatever container its name says."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.options = options or {}
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_written_video_comes_back(mp4: Path) -> None:
    frames = video.read(mp4)
    assert frames.shape == (COUNT, HEIGHT, WIDTH, 3) and frames.dtype == np.uint8
    assert np.abs(frames.astype(int) - clip()).mean() < 2
    info = video.probe(mp4)
    assert (info.num_frames, info.width, info.height, info.fps) == (COUNT, WIDTH, HEIGHT, 12.5)
    assert info.codec == "h264" and av.__version__ in info.decoder


def test_the_same_frames_give_the_same_file(tmp_path: Path) -> None:
    """Whatever lies in memory; a training on written clips can be repeated."""
    random, files = np.random.default_rng(0), set()
    coarse = random.integers(0, 255, (24, 12, 16, 3), dtype=np.uint8)
    frames = coarse.repeat(4, axis=1).repeat(4, axis=2)
    for count in range(12):
        rubbish = [random.random(size) for size in random.integers(1, 20_000, 300)]
        del rubbish
        files.add(video.write(tmp_path / f"{count}.mp4", frames, 10.0).read_bytes())
    assert len(files) == 1


def test_odd_sides_grow_by_a_pixel(tmp_path: Path) -> None:
    frames = clip(3, 33, 45)
    back = video.read(video.write(tmp_path / "odd.mp4", frames))
    assert back.shape == (3, 34, 46, 3)
    assert np.abs(back[:, :33, :45].astype(int) - frames).mean() < 3


@pytest.mark.parametrize("gop", [4, 250])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_frames_by_index_equal_the_whole(tmp_path: Path, name: str, codec: str, gop: int) -> None:
    path = encode(tmp_path / name, clip(), codec, {"g": str(gop), "bf": "2", "qmin": "1", "qmax": "2"})
    whole = video.read(path)
    np.testing.assert_array_equal(number_of(whole), np.arange(COUNT))
    for wanted in ([0], [COUNT - 1], [5, 5, 2], [22, 0, 11, 12, 13], list(range(COUNT))):
        np.testing.assert_array_equal(video.read(path, wanted), whole[wanted])


def test_seeking_is_really_used_and_only_where_stamps_are_stored(tmp_path: Path) -> None:
    wanted = np.array([3, 17])
    mp4 = encode(tmp_path / "a.mp4", clip(), "libx264", {"g": "4"})
    np.testing.assert_array_equal(number_of(video._seek_frames(mp4, wanted, None)), wanted)
    avi = encode(tmp_path / "a.avi", clip(), "mpeg4")
    assert video._seek_frames(avi, wanted, None) is None


@pytest.mark.parametrize("count", [1, 5, 23, 100])
def test_batches_join_to_the_whole(mp4: Path, count: int) -> None:
    parts = list(video.batches(mp4, count))
    assert [len(part) for part in parts[:-1]] == [count] * (len(parts) - 1)
    np.testing.assert_array_equal(np.concatenate(parts), video.read(mp4))


def test_batches_keep_memory_bounded(tmp_path: Path) -> None:
    path = video.write(tmp_path / "long.mp4", clip(200))
    one, peaks = HEIGHT * WIDTH * 3, []
    for work in (lambda: [None for _ in video.batches(path, 4)], lambda: video.read(path)):
        tracemalloc.start()
        work()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 4 * one * 5 < 200 * one <= peaks[1]


def test_resizing_while_decoding_keeps_places(tmp_path: Path) -> None:
    frames = np.full((2, 64, 96, 3), 40, np.uint8)
    frames[:, 16:32, 48:72] = 220
    small = video.read(video.write(tmp_path / "a.mp4", frames, crf=1), size=(32, 24))
    assert small.shape == (2, 32, 24, 3)
    expected = frames.reshape(2, 32, 2, 24, 4, 3).mean((2, 4))
    assert np.abs(small - expected).mean() < 2.5
    large = video.read(video.write(tmp_path / "a.mp4", frames, crf=1), size=(128, 192))
    assert np.abs(large[:, ::2, ::2].astype(int) - frames).mean() < 4


@pytest.mark.parametrize("size", [None, (24, 32), (20, 90), (96, 128)])
def test_grey_levels_survive(tmp_path: Path, size: tuple[int, int] | None) -> None:
    greys = np.array([0, 20, 100, 218, 255], np.uint8)
    frames = np.broadcast_to(greys[:, None, None, None], (5, 48, 64, 3))
    back = video.read(video.write(tmp_path / "a.mp4", frames, crf=0), size=size)
    assert np.abs(np.median(back, axis=(1, 2)) - greys[:, None]).max() <= 1


def test_index_beyond_the_end(mp4: Path) -> None:
    with pytest.raises(FrameRangeError, match=rf"clip\.mp4, frame 23: the video has {COUNT} frames"):
        video.read(mp4, [0, COUNT])
    with pytest.raises(FrameRangeError, match="counted from 0"):
        video.read(mp4, [-1])
    with pytest.raises(FormatError, match="no frames are asked for"):
        video.read(mp4, [])


def readers() -> list:
    return [
        video.probe,
        video.read,
        lambda path: video.read(path, [0]),
        lambda path: list(video.batches(path, 4)),
    ]


@pytest.mark.parametrize("reader", readers())
def test_missing_file(tmp_path: Path, reader) -> None:
    with pytest.raises(MissingFileError, match=r"gone\.mp4: there is no such video"):
        reader(tmp_path / "gone.mp4")


@pytest.mark.parametrize("reader", readers())
@pytest.mark.parametrize("name", ["notes.mp4", "notes.avi"])
def test_what_is_no_video(tmp_path: Path, reader, name: str) -> None:
    (tmp_path / name).write_text("These are notes and no pictures at all.\n" * 100, "utf-8")
    with pytest.raises(FormatError, match=rf"{name}: the file is not a video"):
        reader(tmp_path / name)


@pytest.mark.parametrize("reader", readers())
def test_sound_alone(tmp_path: Path, reader) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(FormatError, match="no video stream"):
        reader(path)


@pytest.mark.parametrize("reader", readers())
def test_no_frames(tmp_path: Path, reader) -> None:
    path = tmp_path / "none.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = 16, 16
        container.start_encoding()
    with pytest.raises(FormatError, match="no frames"):
        reader(path)


@pytest.mark.parametrize("reader", readers())
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "front.mp4"])
def test_truncated_file(tmp_path: Path, reader, share: float, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
    options = {"movflags": "faststart"} if name == "front.mp4" else {}
    whole = tmp_path / name
    with av.open(str(whole), "w", options=options) as container:
        stream = container.add_stream("mpeg4" if name == "a.avi" else "libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for image in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert video.probe(whole).num_frames == COUNT
    data = whole.read_bytes()
    whole.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(TruncatedFileError, match=name):
        reader(whole)


def test_size_that_changes(tmp_path: Path) -> None:
    parts = [
        encode(tmp_path / f"{size}.h264", clip(4, size, size), "libx264").read_bytes() for size in (32, 48)
    ]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(parts))
    with pytest.raises(FormatError, match=r"frame 4: the size changes from 32x32 to 48x48"):
        video.read(path)


def test_nothing_half_written(tmp_path: Path) -> None:
    def broken():
        yield clip(1)[0]
        yield np.zeros((4, 4), np.float32)

    with pytest.raises(FormatError, match="a frame is float32"):
        video.write(tmp_path / "a.mp4", broken())
    with pytest.raises(FormatError, match="no frames"):
        video.write(tmp_path / "a.mp4", [])
    assert list(tmp_path.iterdir()) == []


def tube(start: int, count: int) -> Tube:
    return Tube(start, np.tile([0.0, 0.0, 4.0, 4.0], (count, 1)), box_scores=np.arange(count) / count)


def test_tubes_longer_than_their_video() -> None:
    kept, dropped = video.trim_tubes([tube(0, 10), tube(4, 7)], 10, allowed=1, video="Surfing/a")
    assert [t.end for t in kept] == [10, 10] and dropped == 1
    np.testing.assert_array_equal(kept[1].box_scores, np.arange(6) / 7)
    with pytest.raises(FrameRangeError, match="video Surfing/a, tube 1: the tube ends with frame 10 but"):
        video.trim_tubes([tube(0, 10), tube(4, 7)], 10, video="Surfing/a")
    with pytest.raises(FrameRangeError, match="decodes to 3 frames"):
        video.trim_tubes([tube(3, 1)], 3, allowed=5)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, mp4: Path) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"stad_lite\[video\]"):
        video.read(mp4)


def test_import_needs_neither_torch_nor_av() -> None:
    names = "video, frame_cache, clips, transforms, flow"
    code = (
        f"import sys; from stad_lite.data import {names}; print({{'torch', 'av', 'cv2'}} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert result.stdout.strip() == "set()"


def test_real_clips_by_index_and_count(stad_data: Path) -> None:
    folder = stad_data / "ucf101_24" / "clips"
    if not folder.is_dir():
        pytest.skip("no UCF101 clips here")
    counts = {
        "v_Surfing_g18_c03.avi": 75,
        "v_BasketballDunk_g04_c04.avi": 48,
        "v_Basketball_g01_c02.mp4": 180,
    }
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        whole = video.read(folder / name, size=(60, 80))
        assert len(whole) == count
        wanted = rng.integers(0, count, 5)
        np.testing.assert_array_equal(video.read(folder / name, wanted, size=(60, 80)), whole[wanted])


@pytest.mark.slow
def test_all_jhmdb_clips_decode_to_the_index_counts(stad_data: Path) -> None:
    folder = stad_data / "jhmdb21"
    if not (folder / "videos").is_dir():
        pytest.skip("no JHMDB videos here")
    names = json.loads((folder / "jhmdb21_index.json").read_text("utf-8"))["videos"]
    counts = np.diff(np.load(folder / "jhmdb21_mask_boxes.npz")["video_offset"])
    assert len(names) == 928 and counts.sum() == 31838
    wrong = {}
    for name, count in zip(names, counts, strict=True):
        path = folder / "videos" / f"{name}.mp4"
        info = video.probe(path)
        stamps = video._timetable(str(path), (0, 0))
        if (info.num_frames, info.width, info.height) != (count, 320, 240) or len(stamps[0]) != count:
            wrong[name] = info
    assert wrong == {}


def test_moved_file_is_read_afresh(tmp_path: Path) -> None:
    path = video.write(tmp_path / "a.mp4", clip(9))
    assert len(video.read(path, [8])) == 1
    shutil.copy(video.write(tmp_path / "b.mp4", clip(20)), path)
    assert number_of(video.read(path, [19])).tolist() == [19]
