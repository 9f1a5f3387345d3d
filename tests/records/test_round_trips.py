"""What is written is read again, whole, in every format."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from stad_lite import records
from stad_lite.errors import FormatError, StadError
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube
from tests.records import samples

SUFFIXES = (".json", ".json.gz", ".npz")
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def through(record: Annotations | Predictions, folder: str) -> None:
    """Write every format, read it, and write every other from what was read: always the same bytes."""
    first = {}
    for suffix in SUFFIXES:
        first[suffix] = records.write(record, Path(folder) / f"first{suffix}").read_bytes()
    for before, after in itertools.product(SUFFIXES, SUFFIXES):
        found = records.read(Path(folder) / f"first{before}")
        assert found == record and type(found) is type(record)
        assert records.write(found, Path(folder) / f"second{after}").read_bytes() == first[after]


@few
@given(samples.annotations())
def test_annotations_pass_through_every_format(record: Annotations) -> None:
    with TemporaryDirectory() as folder:
        through(record, folder)


@few
@given(samples.predictions())
def test_predictions_pass_through_every_format(record: Predictions) -> None:
    with TemporaryDirectory() as folder:
        through(record, folder)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_absent_and_empty_stay_apart(tmp_path: Path, suffix: str) -> None:
    none = np.zeros((0, 4))
    empty = VideoAnnotation(
        tubes=(), frames=FrameBoxes([], [], none), segments=(), evaluated_frames=np.zeros(0, np.int64)
    )
    record = Annotations("d", (), {"absent": VideoAnnotation(), "empty": empty})
    found = records.read_annotations(records.write(record, tmp_path / f"a{suffix}"))
    absent, empty = found.videos["absent"], found.videos["empty"]
    assert absent.tubes is absent.frames is absent.segments is absent.evaluated_frames is None
    assert empty.tubes == empty.segments == () and len(empty.frames) == 0
    assert empty.evaluated_frames.shape == (0,) and empty.frames.box.shape == (0, 4)
    assert absent != empty and found == record


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_last_bit_and_the_largest_number_survive(tmp_path: Path, suffix: str) -> None:
    box = np.array([[-0.0, np.nextafter(1, 0), 0.1 + 0.2, np.pi * 1e100]])
    person = [2**53 + 1]
    video = VideoAnnotation(5, 9, 9, 1e-300, 5e-324, frames=FrameBoxes([4], [0], box, person=person))
    found = records.read(records.write(Annotations("d", ("a",), {"v": video}), tmp_path / f"a{suffix}"))
    frames = found.videos["v"].frames
    assert frames.box.tobytes() == box.tobytes() and frames.person.tolist() == person
    assert frames.person.dtype == np.int64
    assert (found.videos["v"].fps, found.videos["v"].duration) == (1e-300, 5e-324)


def test_names_in_any_script_are_kept_as_they_are(tmp_path: Path) -> None:
    names = ("投球", "مشي", "🏀", 'a"b\\c', "new\nline", "", "é", "e\u0301")
    record = Predictions(names, {f"{name}/v": VideoPredictions() for name in names})
    for suffix in SUFFIXES:
        found = records.read(records.write(record, tmp_path / f"投球{suffix}"))
        assert found.classes == names and list(found.videos) == [f"{name}/v" for name in names]
    assert "🏀" in (tmp_path / "投球.json").read_text(encoding="utf-8")


def test_numbers_of_other_kinds_are_settled(tmp_path: Path) -> None:
    """numpy's scalars, whole floats and lists give the record, and the bytes, that plain values give."""
    plain = VideoAnnotation(
        9, 8, 7, 25.0, 1.0, (Tube(1, np.array([[0.0, 0, 1, 1]]), "a", 1.0),), None,
        (Segment("a", 1.0, 2.0, 0.5),), ((0.0, 1.0),), np.array([3]),
    )  # fmt: skip
    odd = VideoAnnotation(
        np.int32(9), 8.0, np.uint8(7), 25, np.float32(1),
        [Tube(np.int64(1), [[0, 0, 1, 1]], "a", np.float32(1))], None,
        [Segment("a", 1, np.float32(2), np.float64(0.5))], [[0, 1]], [3.0],
    )  # fmt: skip
    assert plain == odd
    for suffix in SUFFIXES:
        ours = records.write(Annotations("d", ["a"], {"v": odd}), tmp_path / f"odd{suffix}")
        theirs = records.write(Annotations("d", ("a",), {"v": plain}), tmp_path / f"plain{suffix}")
        assert ours.read_bytes() == theirs.read_bytes()
        assert records.read(ours).videos["v"] == plain


def test_whole_json_numbers_are_numbers(tmp_path: Path) -> None:
    document = samples.annotations_document()
    document["videos"][samples.VIDEO] |= {"fps": 25, "duration": 6, "ignore": [{"start": 0, "end": 2}]}
    video = records.read(samples.put(tmp_path / "a.json", document)).videos[samples.VIDEO]
    assert (video.fps, type(video.fps), video.ignore) == (25.0, float, ((0.0, 2.0),))


# ----------------------------------------------------------------------------- the documented example


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_documented_annotations(tmp_path: Path, suffix: str) -> None:
    record = records.read_annotations(samples.put(tmp_path / "a.json", samples.annotations_document()))
    record = records.read_annotations(records.write(record, tmp_path / f"b{suffix}"))
    assert (record.dataset, record.classes) == ("ucf101-24", ("Basketball", "spare"))
    video = record.videos[samples.VIDEO]
    assert (video.num_frames, video.width, video.height) == (141, 320, 240)
    assert (video.fps, video.duration) == (25.0, 5.64)
    assert video.tubes == (Tube(8, np.array(samples.BOXES), "Basketball"),)
    assert (video.tubes[0].start, video.tubes[0].end, video.tubes[0].score) == (8, 11, None)
    assert video.frames.frame.tolist() == [3, 9] and video.frames.label.tolist() == [0, 0]
    assert video.frames.box.tolist() == samples.BOXES[:2] and video.frames.person.tolist() == [0, 7]
    assert video.frames.score is None
    assert video.segments == (Segment("Basketball", 1.2, 3.4),)
    assert video.ignore == ((0.0, 2.0),) and video.evaluated_frames.tolist() == [3, 9]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_documented_predictions(tmp_path: Path, suffix: str) -> None:
    record = records.read_predictions(samples.put(tmp_path / "a.json", samples.predictions_document()))
    record = records.read_predictions(records.write(record, tmp_path / f"b{suffix}"))
    video = record.videos[samples.VIDEO]
    assert video.tubes == (Tube(8, np.array(samples.BOXES), "Basketball", 0.9, [0.9, 0.8, 0.7]),)
    assert video.frames.score.tolist() == [0.5, 0.25] and video.frames.person is None
    assert video.segments == (Segment("Basketball", 1.2, 3.4, 0.75),)


def test_a_tube_of_44_boxes_from_frame_8_ends_on_frame_51(tmp_path: Path) -> None:
    document = samples.annotations_document()
    document["videos"][samples.VIDEO]["tubes"][0]["boxes"] = samples.BOXES[:1] * 44
    document["videos"][samples.VIDEO]["evaluated_frames"] = None
    video = records.read(samples.put(tmp_path / "a.json", document)).videos[samples.VIDEO]
    assert video.tubes[0].frames[[0, -1]].tolist() == [8, 51] and video.evaluated_frames is None


@pytest.mark.parametrize("kind", samples.DOCUMENTS)
def test_the_written_text_is_the_documented_one(tmp_path: Path, kind: str) -> None:
    document = samples.DOCUMENTS[kind]()
    path = records.write(records.read(samples.put(tmp_path / "a.json", document)), tmp_path / "b.json")
    assert json.loads(path.read_text(encoding="utf-8")) == document
    assert path.read_bytes() == (tmp_path / "a.json").read_bytes()


def test_what_may_be_left_out(tmp_path: Path) -> None:
    for kind, empty in (("annotations", VideoAnnotation()), ("predictions", VideoPredictions())):
        document = samples.DOCUMENTS[kind]() | {"videos": {"v": {}}}
        assert records.read(samples.put(tmp_path / "a.json", document)).videos == {"v": empty}


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    text = json.dumps(samples.predictions_document())
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert records.read_predictions(tmp_path / "a.json").classes == ("Basketball", "spare")


def test_each_kind_has_its_reader(tmp_path: Path) -> None:
    ours = samples.put(tmp_path / "a.json", samples.annotations_document())
    theirs = samples.put(tmp_path / "p.json", samples.predictions_document())
    with pytest.raises(FormatError, match=r"p\.json: the file holds predictions, not annotations; give"):
        records.read_annotations(theirs)
    with pytest.raises(FormatError, match=r"a\.json: the file holds annotations, not predictions; give"):
        records.read_predictions(ours)


def test_a_subset_keeps_the_order_asked_for() -> None:
    record = Annotations("d", (), {name: VideoAnnotation() for name in "abc"})
    assert list(record.subset(["c", "a"]).videos) == ["c", "a"]


# -------------------------------------------------------------------------------------------- writing


def record() -> Predictions:
    return Predictions(
        ("a",), {"v": VideoPredictions(tubes=(Tube(0, np.array([[0.0, 0, 1, 1]]), "a", 0.5),))}
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_twice_gives_the_same_bytes(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = records.write(record(), tmp_path / f"a{suffix}").read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)  # no stamp of the time of writing
    assert records.write(record(), tmp_path / "deep" / "er" / f"b{suffix}").read_bytes() == first


def test_the_gzip_holds_the_json(tmp_path: Path) -> None:
    plain = records.write(record(), tmp_path / "a.json").read_bytes()
    assert gzip.decompress(records.write(record(), tmp_path / "a.json.gz").read_bytes()) == plain


def test_no_array_of_the_twin_needs_unpickling(tmp_path: Path) -> None:
    with np.load(records.write(record(), tmp_path / "a.npz"), allow_pickle=False) as archive:
        kinds = {name: archive[name].dtype.kind for name in archive.files}
    assert kinds == {"boxes": "f", "floats": "f", "integers": "i", "header": "u"}


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_a_broken_write_leaves_the_old_file_whole(tmp_path: Path, interruption: type) -> None:
    path = records.write(record(), tmp_path / "a.json")
    before = path.read_bytes()

    def fill(stream: object) -> None:
        stream.write(b"half")  # type: ignore[attr-defined]
        raise interruption

    for target in (path, tmp_path / "new.json"):
        with pytest.raises(interruption):
            records.atomic_write(target, fill)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.json"]


def test_a_failing_rename_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError):
        records.write(record(), tmp_path / "a.json")
    assert os.listdir(tmp_path) == ["a.json"]


def test_the_target_is_replaced_at_once(tmp_path: Path) -> None:
    path = records.write(record(), tmp_path / "a.json")
    before = path.read_bytes()

    def fill(stream: object) -> None:
        stream.write(b"new")  # type: ignore[attr-defined]
        assert path.read_bytes() == before

    assert records.atomic_write(path, fill) == path and path.read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_that_open_would_give(tmp_path: Path, mask: int, mode: int) -> None:
    old = os.umask(mask)
    try:
        path = records.write(record(), tmp_path / "a.npz")
        assert os.umask(mask) == mask
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("name", ["a.txt", "json", "a.json.bz2", "a.gz", "a.npy"])
def test_a_name_that_says_no_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match=rf"{name}: .*end it in \.json, \.json\.gz or \.npz"):
        records.write(record(), tmp_path / name)
    (tmp_path / name).write_text("{}", "utf-8")
    with pytest.raises(StadError, match=rf"{name}: .*end it in \.json, \.json\.gz or \.npz"):
        records.read(tmp_path / name)
