"""UCF101-24: small files in the published layouts, and the real ones where they are here."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from stad_lite.data import ucf101_24
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    InvertedBoxError,
    MissingFileError,
    NotFiniteError,
    TruncatedFileError,
    TubeTooLongError,
    UnknownVideoError,
    UnsafePickleError,
)

NAME = "Basketball/v_Basketball_g01_c01"


def published(dtype=np.uint8, **changes) -> dict:
    """One video as ``pyannot.pkl`` holds it; x + w passes 255, which uint8 cannot hold."""
    tube = {"label": 0, "sf": 8, "ef": 10, "boxes": np.array([[200, 11, 90, 60], [201, 12, 90, 61]], dtype)}
    tube |= {key: changes.pop(key) for key in list(changes) if key in tube}
    return {NAME: {"numf": np.uint8(141), "label": 0, "annotations": [tube]} | changes}


def save(folder: Path, content: object) -> Path:
    path = folder / "pyannot.pkl"
    path.write_bytes(pickle.dumps(content, protocol=3))
    return path


def test_one_based_boxes_become_half_open(tmp_path: Path) -> None:
    annotations = ucf101_24.read_pickle(save(tmp_path, published()))
    video = annotations.videos[NAME]
    assert (video.num_frames, video.width, video.height, video.fps) == (141, 320, 240, 25.0)
    assert video.duration == pytest.approx(5.64)
    (tube,) = video.tubes
    assert (tube.label, tube.start, tube.end) == ("Basketball", 8, 10)
    np.testing.assert_array_equal(tube.boxes, [[199, 10, 289, 70], [200, 11, 290, 72]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float64])
def test_no_box_wraps_around_whatever_its_type(tmp_path: Path, dtype) -> None:
    tube = ucf101_24.read_pickle(save(tmp_path, published(dtype))).videos[NAME].tubes[0]
    np.testing.assert_array_equal(tube.boxes[:, 2] - tube.boxes[:, 0], [90, 90])


def mat_twin(path: Path, sf: int = 9, ef: int = 10, label: int = 1) -> Path:
    """The same video in the layout of finalAnnots.mat: 1-based and inclusive."""
    boxes = np.array([[200, 11, 90, 60], [201, 12, 90, 61]], dtype=np.uint8)
    tube = np.zeros(1, dtype=[("sf", object), ("ef", object), ("class", object), ("boxes", object)])
    tube[0] = (sf, ef, label, boxes)
    video = np.zeros(2, dtype=[("name", object), ("num_imgs", object), ("tubes", object)])
    video[0] = (NAME, 141, tube)
    video[1] = ("Surfing/v_Surfing_g01_c01", 50, np.concatenate([tube, tube]))
    savemat(path, {"annot": video})
    return path


def test_the_matlab_twin_says_the_same(tmp_path: Path) -> None:
    twin = ucf101_24.read_mat(mat_twin(tmp_path / "finalAnnots.mat"))
    ours = ucf101_24.read_pickle(save(tmp_path, published()))
    assert twin.videos[NAME] == ours.videos[NAME]
    assert len(twin.videos["Surfing/v_Surfing_g01_c01"].tubes) == 2


@pytest.mark.parametrize(
    "changes, kind, told",
    [
        ({"sf": 140, "ef": 142}, FrameRangeError, "tube 0"),
        ({"sf": -1, "ef": 1}, FrameRangeError, "before the video"),
        ({"ef": 11}, FormatError, "need 3 boxes"),
        ({"label": 24}, FormatError, "label 24"),
        ({"boxes": np.array([[5, 5, 0, 9], [5, 5, 4, 4]], np.uint8)}, InvertedBoxError, "frame 8"),
        ({"boxes": np.array([[5, 5, 3, 9], [5, 5, np.nan, 4]])}, NotFiniteError, "frame 9"),
        ({"boxes": np.array([["a", "b", "c", "d"]] * 2)}, FormatError, "not (n, 4) numbers"),
        ({"boxes": np.zeros((2, 3))}, FormatError, "(2, 3)"),
        ({"numf": np.uint8(1), "sf": 0, "ef": 2}, TubeTooLongError, "2 boxes"),
        ({"annotations": [{"sf": 1}]}, FormatError, "lacks or garbles"),
        ({"annotations": 7}, FormatError, "lacks or garbles"),
    ],
)
def test_bad_content_is_named(tmp_path: Path, changes: dict, kind: type, told: str) -> None:
    path = save(tmp_path, published(**changes))
    with pytest.raises(kind) as caught:
        ucf101_24.read_pickle(path)
    assert told in str(caught.value) and str(path) in str(caught.value) and NAME in str(caught.value)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    with pytest.raises(UnsafePickleError, match="not plain data"):
        ucf101_24.read_pickle(save(tmp_path, {NAME: Bomb()}))
    assert not (tmp_path / "ran").exists()


def test_unexpected_files_are_named(tmp_path: Path) -> None:
    whole = save(tmp_path, published())
    cut = tmp_path / "cut.pkl"
    cut.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(TruncatedFileError, match=r"cut\.pkl"):
        ucf101_24.read_pickle(cut)
    with pytest.raises(FormatError, match="holds a list"):
        ucf101_24.read_pickle(save(tmp_path, [1, 2]))
    with pytest.raises(MissingFileError):
        ucf101_24.read_pickle(tmp_path / "none.pkl")
    with pytest.raises(FormatError, match="MATLAB"):
        ucf101_24.read_mat(cut)
    savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(FormatError, match="no variable called annot"):
        ucf101_24.read_mat(tmp_path / "other.mat")
    with pytest.raises(FormatError, match="label"):
        ucf101_24.read_mat(mat_twin(tmp_path / "label.mat", label=0))


def test_split1_is_the_list_and_the_rest(tmp_path: Path) -> None:
    content = published()
    content["Biking/v_Biking_g01_c01"] = content[NAME]
    annotations = ucf101_24.read_pickle(save(tmp_path, content))
    (tmp_path / "list.txt").write_text(f"{NAME}", "utf-8")  # the published list has no newline at its end
    train, test = ucf101_24.split1(annotations, tmp_path / "list.txt")
    assert (train, test) == (("Biking/v_Biking_g01_c01",), (NAME,))
    (tmp_path / "list.txt").write_text("Biking/v_Biking_g99_c01.avi\n", "utf-8")
    with pytest.raises(UnknownVideoError, match="v_Biking_g99_c01"):
        ucf101_24.split1(annotations, tmp_path / "list.txt")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        ucf101_24.split1(annotations, tmp_path / "list.txt")


def test_real_annotations(stad_data: Path) -> None:
    folder = stad_data / "ucf101_24"
    annotations = ucf101_24.read_pickle(folder / "pyannot.pkl")
    tubes = [tube for video in annotations.videos.values() for tube in video.tubes]
    assert (len(annotations.videos), len(tubes), sum(map(len, tubes))) == (3194, 4458, 573862)
    train, test = ucf101_24.split1(annotations, folder / "testlist01.txt")
    assert (len(train), len(test)) == (2284, 910)
    boxes = np.concatenate([tube.boxes for tube in tubes])
    assert (boxes >= 0).all() and (boxes[:, 2] <= 319).all() and (boxes[:, 3] <= 239).all()
    arrays = np.load(folder / "ucf24_tubes.npz")
    xywh = arrays["boxes_xywh"].astype(np.float64)
    np.testing.assert_array_equal(np.sort(boxes[:, 2] - boxes[:, 0]), np.sort(xywh[:, 2]))
    np.testing.assert_array_equal(np.sort(boxes[:, 0]), np.sort(xywh[:, 0] - 1))
