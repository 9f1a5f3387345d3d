"""A folder of one's own videos is a data set; what is wrong with it is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.data import video
from stad_lite.data.folder import check_folder, open_folder
from stad_lite.errors import FormatError, FrameRangeError, MissingFileError, TruncatedFileError
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.tubes import Tube


def write_clip(path: Path, frames: int = 8, size: tuple[int, int] = (48, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return video.write(path, [np.full((*size, 3), 20 * i, np.uint8) for i in range(frames)], 10.0)


def own(folder: Path, boxes: int = 6, ids: tuple[str, ...] = ("run/a", "b")) -> Annotations:
    tube = Tube(2, np.tile([4.0, 4, 20, 40], (boxes, 1)), "run")
    entry = VideoAnnotation(None, 64, 48, 10.0, None, tubes=(tube,))
    record = Annotations("own", ("run",), dict.fromkeys(ids, entry))
    records.write(record, folder / "annotations.json")
    return record


def test_videos_are_found_at_any_depth_and_read(tmp_path: Path) -> None:
    record = own(tmp_path)
    write_clip(tmp_path / "videos" / "run" / "a.mp4")
    write_clip(tmp_path / "deep" / "er" / "b.avi")
    opened = open_folder(tmp_path)
    assert opened.annotations == record
    assert opened.files["b"].name == "b.avi"
    frames = opened.reader((24, 32))("run/a", np.array([5, 0]))
    assert frames.shape == (2, 24, 32, 3)
    assert np.abs(frames.mean((1, 2, 3)) - [100, 0]).max() < 6
    assert main(["check", str(tmp_path)]) == 0


def test_an_exact_place_beats_a_name(tmp_path: Path) -> None:
    own(tmp_path, ids=("run/a",))
    write_clip(tmp_path / "run" / "a.mp4")
    write_clip(tmp_path / "walk" / "a.mp4")
    assert open_folder(tmp_path).files["run/a"].parent.name == "run"
    own(tmp_path, ids=("a",))
    with pytest.raises(FormatError, match=r"run/a\.mp4 and walk/a\.mp4"):
        open_folder(tmp_path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"annotations\.json"):
        open_folder(tmp_path)
    own(tmp_path)
    write_clip(tmp_path / "a.mp4")
    with pytest.raises(MissingFileError, match="video b"):
        open_folder(tmp_path)


def test_a_tube_past_the_last_frame_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own(tmp_path, boxes=9, ids=("a",))
    path = write_clip(tmp_path / "a.mp4")
    with pytest.raises(FrameRangeError) as caught:
        check_folder(tmp_path)
    for told in (str(path), "video a", "tube 0", "8 frames"):
        assert told in str(caught.value)
    assert main(["check", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_another_size_and_damaged_files_are_named(tmp_path: Path) -> None:
    own(tmp_path, ids=("a",))
    path = write_clip(tmp_path / "a.mp4", size=(96, 64))
    with pytest.raises(FormatError, match="64 x 96"):
        check_folder(tmp_path)
    whole = write_clip(tmp_path / "a.mp4").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((TruncatedFileError, FormatError), match=r"a\.mp4"):
        check_folder(tmp_path)


def test_the_first_bad_box_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own(tmp_path)
    document = json.loads((tmp_path / "annotations.json").read_text("utf-8"))
    document["videos"]["b"]["tubes"][0]["boxes"][3] = [9, 9, 9, 20]
    (tmp_path / "annotations.json").write_text(json.dumps(document), "utf-8")
    assert main(["check", str(tmp_path)]) == 2
    assert "annotations.json, video b, tube 0, frame 5" in capsys.readouterr().err
