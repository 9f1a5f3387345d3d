"""What players honour: display matrices, cover pictures, bytes after the end, names with colons."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.data import video
from stad_lite.data.frame_cache import build_cache
from stad_lite.data.source import open_source
from stad_lite.errors import FormatError, TruncatedFileError
from stad_lite.plots.render import render_video
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.tubes import Tube
from tests.data.field_files import ROTATIONS, av, pictures, shown, with_cover, with_matrix

MATRICES = [*ROTATIONS.values(), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]
"""All turns by right angles, without and with a mirror."""


@pytest.mark.parametrize("matrix", MATRICES)
def test_frames_are_upright_in_every_reader(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = video.write(tmp_path / "a.mp4", pictures(6), 10.0, crf=5)
    plain = video.read(path)
    expected = np.stack([shown(image, matrix) for image in plain])
    with_matrix(path, matrix)
    info = video.probe(path)
    assert (info.height, info.width) == expected.shape[1:3]
    np.testing.assert_array_equal(video.read(path), expected)
    np.testing.assert_array_equal(video.read(path, [4, 1]), expected[[4, 1]])
    np.testing.assert_array_equal(np.concatenate(list(video.batches(path, 4))), expected)
    size = (expected.shape[1] // 2, expected.shape[2] // 2)
    small = expected.reshape(6, size[0], 2, size[1], 2, 3).mean((2, 4))
    assert np.abs(video.read(path, size=size) - small).mean() < 2
    cache = build_cache({"a": path}, tmp_path / "cache", form="npz")
    np.testing.assert_array_equal(cache.read("a"), expected)


@pytest.mark.parametrize("degrees", [90, 270])
def test_boxes_lie_on_what_is_seen_upright(tmp_path: Path, degrees: int) -> None:
    matrix = ROTATIONS[degrees]
    mask = np.zeros((48, 64, 3), np.uint8)
    mask[4:12, 8:24] = 255
    ys, xs = np.nonzero(shown(mask, matrix)[..., 0])
    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], float)
    folder = tmp_path / "own"
    path = with_matrix(video.write(folder / "a.mp4", pictures(6), 10.0, crf=1), matrix)
    record = Annotations(
        "own", ("run",), {"a": VideoAnnotation(6, 48, 64, tubes=(Tube(0, np.tile(box, (6, 1)), "run"),))}
    )
    records.write(record, folder / "annotations.json")
    assert main(["check", str(folder)]) == 0
    source = open_source(folder, cache_dir=tmp_path / "cache")
    assert source.size == (64, 48)
    x1, y1, x2, y2 = box.astype(int)
    assert source.frames("a", [3])[0, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].min() > 200
    drawn = video.read(render_video(path, record, tmp_path / "r.mp4"))
    assert drawn.shape[1:3] == (64, 48)
    rim = np.abs(drawn[3].astype(int) - video.read(path)[3]).sum(2) > 60
    assert rim[y1:y2, x1].mean() > 0.8 and rim[y2 - 1, x1:x2].mean() > 0.8


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    info = video.probe(with_cover(tmp_path / "a.mp4", pictures(5)))
    assert (info.num_frames, info.width, info.codec) == (5, 64, "h264")
    with pytest.raises(FormatError, match="cover picture but no video"):
        video.probe(with_cover(tmp_path / "b.mp4", [], video=False))


@pytest.mark.parametrize(
    "tail",
    [
        b"CAMERA" * 40,  # letters that a part's length and kind may be read from
        b"\0" * 100,
        b"\0\0\0\5xxxx" * 9,
        struct.pack(">I4s", 1 << 30, b"free") + b"x" * 20,
        b"\xff" * 7,
        struct.pack(">I4sQ", 1, b"vndr", 1 << 40) + b"x" * 9,
    ],
)
def test_bytes_after_the_last_part_are_no_truncation(tmp_path: Path, tail: bytes) -> None:
    path = video.write(tmp_path / "a.mp4", pictures(9), 10.0)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert video.probe(path).num_frames == 9
    for cut in (len(whole) // 3, len(whole) - 5):
        path.write_bytes(whole[:cut])
        with pytest.raises((TruncatedFileError, FormatError)):
            video.probe(path)


def test_a_recorder_that_left_the_length_open(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for image in pictures(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    data[4:8] = b"\xff" * 4
    path.write_bytes(bytes(data))
    assert video.probe(path).num_frames == 8


@pytest.mark.parametrize("name", ["12:30:00.mp4", "file:a.mp4", "concat:a.mp4", "%03d.mp4", "a?b.mp4"])
def test_a_name_is_a_name_and_no_address(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(video.write(tmp_path / "plain.mp4", pictures(3), 10.0), tmp_path / name)
    assert video.probe(name).num_frames == 3 and len(video.read(name, [2])) == 1
    assert list(open_source(name, cache_dir=tmp_path / "cache").videos) == [name.removesuffix(".mp4")]
