"""A folder's record beside its files: each disagreement is named, with its place and how often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.data import video
from stad_lite.data.folder import check_folder
from stad_lite.data.source import open_source
from stad_lite.errors import FrameRangeError, StadError
from stad_lite.records import Annotations, FrameBoxes, Segment, VideoAnnotation
from stad_lite.tubes import Tube
from tests.data.field_files import av, pictures

BOX = [8.0, 4, 24, 12]


def boxes(frames: list[int]) -> FrameBoxes:
    return FrameBoxes(np.array(frames), np.zeros(len(frames), int), np.tile(BOX, (len(frames), 1)))


SOUND = VideoAnnotation(
    30, 64, 48, 10.0, 3.0,
    tubes=(Tube(0, np.tile(BOX, (30, 1)), "run"),), frames=boxes([0, 29]),
    segments=(Segment("run", 0.0, 3.0),), ignore=((1.0, 3.0),), evaluated_frames=np.array([0, 29]),
)  # fmt: skip

LONG: dict[str, Any] = {"num_frames": None, "fps": None, "duration": None}

FAULTS = {
    "frames": ({"num_frames": 31}, "says 31 frames and 30 decode"),
    "rate": ({"fps": 12.0}, "12 frames a second and the file's time stamps 10"),
    "twice the rate": ({"fps": 20.0, "duration": None}, "20 frames a second"),
    "length": ({"duration": 4.0}, "says 4 seconds and the file has 3.00"),
    "times": ({"times": np.arange(31) / 12.0}, "from the file's time stamp"),
    "size": ({"width": 128}, "the frames are 64 x 48, the boxes were made on 128 x 48"),
    "tube": ({"tubes": (Tube(3, np.tile(BOX, (30, 1)), "run"),)}, "tube 0.* the video decodes to 30 frames"),
    "key frames": ({"frames": boxes([0, 40, 41])}, "frame 40: 2 boxes stand outside"),
    "evaluated": ({"evaluated_frames": np.array([0, 250])}, "frame 250: 1 evaluated frames lie outside"),
    "segments": ({"segments": (Segment("run", 0, 1), Segment("run", 2, 5))}, "segment 1: 1 segments end"),
    "ignored": ({"ignore": ((1.0, 9.0),)}, "1 ignored spans end after the file"),
    "shares": (
        {"tubes": (Tube(0, np.tile([0.1, 0.1, 0.4, 0.9], (30, 1)), "run"),), "frames": None},
        "all 30 boxes .* look like shares",
    ),
}  # fmt: skip


def folder_with(folder: Path, entry: VideoAnnotation) -> Path:
    video.write(folder / "v.mp4", pictures(30), 10.0)
    records.write(Annotations("own", ("run",), {"v": entry}), folder / "annotations.json")
    return folder


def test_a_record_that_agrees_is_sound(tmp_path: Path, capsys) -> None:
    assert main(["check", str(folder_with(tmp_path, SOUND))]) == 0
    assert "sound" in capsys.readouterr().out
    near = replace(SOUND, fps=10.01, duration=3.1, width=64)
    check_folder(folder_with(tmp_path, near))
    check_folder(folder_with(tmp_path, VideoAnnotation()))


@pytest.mark.parametrize("name", list(FAULTS))
def test_each_disagreement_is_named(tmp_path: Path, name: str) -> None:
    changes, message = FAULTS[name]
    free = LONG if name in ("tube", "key frames", "evaluated") else {}
    with pytest.raises(StadError, match=message) as caught:
        check_folder(folder_with(tmp_path, replace(SOUND, **free, **changes)))
    assert "v.mp4, video v" in str(caught.value)


def test_all_disagreements_are_listed_and_the_first_is_the_error(tmp_path: Path, capsys) -> None:
    entry = replace(SOUND, num_frames=300, fps=100.0, duration=3000.0, evaluated_frames=np.array([250]))
    entry = replace(entry, segments=(Segment("run", 40, 55),), frames=boxes([290]))
    assert main(["check", str(folder_with(tmp_path, entry))]) == 2
    told = capsys.readouterr()
    assert told.out.count("fault: ") == 6 and told.err.count("\n") == 1 and "300 frames" in told.err


def test_boxes_as_shares_of_a_1_x_1_frame_are_sound(tmp_path: Path) -> None:
    shares = FrameBoxes(np.array([1, 2]), np.zeros(2, int), np.tile([0.1, 0.2, 0.5, 0.9], (2, 1)))
    entry = VideoAnnotation(width=1, height=1, fps=1.0, frames=shares, evaluated_frames=np.array([1, 2]))
    check_folder(folder_with(tmp_path, entry))
    with pytest.raises(FrameRangeError, match="frame 902: 1 boxes stand outside"):
        late = replace(entry, frames=replace(shares, frame=np.array([1, 902])))
        check_folder(folder_with(tmp_path, late))


def test_damaged_frames_are_named_and_counted(tmp_path: Path, capsys) -> None:
    path = tmp_path / "v.mkv"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number in range(30):
            image = rng.integers(0, 255, (48, 64, 3), np.uint8)
            packets = list(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            for packet in packets:
                if number in (10, 20):
                    data = bytearray(bytes(packet))
                    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
                    broken = av.Packet(bytes(data))
                    broken.stream, broken.pts, broken.dts = stream, packet.pts, packet.dts
                    broken.time_base, broken.is_keyframe = packet.time_base, packet.is_keyframe
                    packet = broken
                container.mux(packet)
        container.mux(stream.encode())
    records.write(Annotations("own", (), {"v": VideoAnnotation()}), tmp_path / "annotations.json")
    info = video.probe(path)
    assert len(info.damaged) > 0 and info.damaged[0] in (10, 11)
    assert main(["check", str(tmp_path)]) == 2
    assert f"frame {info.damaged[0]}: {len(info.damaged)} frames are marked" in capsys.readouterr().err


def test_the_source_believes_the_file(tmp_path: Path) -> None:
    wrong = replace(SOUND, num_frames=300, fps=100.0, duration=3000.0)
    source = open_source(folder_with(tmp_path / "own", wrong), cache_dir=tmp_path / "cache")
    entry = source.annotations.videos["v"]
    assert (entry.num_frames, entry.fps, entry.duration) == (30, 10.0, 3.0)
    assert any("what the record says" in note for note in source.notes)
    fewer = replace(SOUND, num_frames=20, tubes=(), frames=None, evaluated_frames=None)
    source = open_source(folder_with(tmp_path / "own", fewer), cache_dir=tmp_path / "cache")
    assert source.num_frames("v") == 30
    late = replace(SOUND, num_frames=None, frames=boxes([0, 40]))
    with pytest.raises(FrameRangeError, match=r"v\.mp4, video v.*frame 40|video v, frame 40"):
        open_source(folder_with(tmp_path / "own", late), cache_dir=tmp_path / "cache")


def test_key_frames_of_seconds_stand_on_the_files_frames(tmp_path: Path) -> None:
    shares = FrameBoxes(np.array([0, 2]), np.zeros(2, int), np.tile([0.25, 0.25, 0.5, 0.75], (2, 1)))
    entry = VideoAnnotation(width=1, height=1, fps=1.0, frames=shares, evaluated_frames=np.array([0, 1, 2]))
    source = open_source(folder_with(tmp_path / "own", entry), cache_dir=tmp_path / "cache")
    found = source.annotations.videos["v"]
    assert found.frames.frame.tolist() == [0, 20] and found.evaluated_frames.tolist() == [0, 10, 20]
    np.testing.assert_array_equal(found.frames.box[0], [16, 12, 32, 36])
