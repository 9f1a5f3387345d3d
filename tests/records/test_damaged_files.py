"""Damaged files: cut, flipped, random, or made to harm; never a wrong record, never another error."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite import errors, records
from stad_lite.errors import FormatError, MissingFileError, StadError, TruncatedFileError
from stad_lite.records import Annotations, Predictions
from stad_lite.records.columns import write_arrays
from stad_lite.records.document import from_document
from tests.records import samples
from tests.records.samples import changed, places

SUFFIXES = (".json", ".json.gz", ".npz")


def small() -> Predictions:
    document = samples.predictions_document()
    text = json.dumps(document).replace("spare", "投🏀").replace("Basketball", "é")
    record = from_document(json.loads(text))
    assert isinstance(record, Predictions)
    return record


def refusal(path: Path) -> StadError:
    with pytest.raises(StadError) as caught:
        records.read(path)
    assert caught.value.file == str(path) and caught.value.remedy, str(caught.value)
    return caught.value


def put(folder: Path, data: bytes, suffix: str) -> Path:
    path = folder / f"a{suffix}"
    path.write_bytes(data)
    return path


# ----------------------------------------------------------------------------------------------- cut


def test_json_cut_anywhere(tmp_path: Path) -> None:
    """Inside strings, words, numbers, escapes and letters of several bytes."""
    plain = records.write(small(), tmp_path / "b.json").read_bytes()
    text = '{"format": "caf\\u00e9 \\n", "a": [true, false, null, -1.5e-7, NaN, -Infinity, 0.25E+2]}\n'
    for data in (plain, text.encode().rstrip()):
        for length in range(len(data)):
            error = refusal(put(tmp_path, data[:length], ".json"))
            assert type(error) is TruncatedFileError, (data[max(length - 20, 0) : length], error)
            assert str(error).endswith("the JSON ends too early; copy the file again")


def test_json_that_is_wrong_is_not_called_cut(tmp_path: Path) -> None:
    for data in (
        b"hello",
        b'{"a": 1,}',
        b'{"a": 1}}',
        b'{"a": 1} x',
        b"{'a': 1}",
        b'{"a": tru}',
        b'{"a": "\n"}',
    ):
        error = refusal(put(tmp_path, data, ".json"))
        assert type(error) is FormatError and "not JSON: " in str(error) and "line 1, column" in str(error)


def test_gzip_cut_anywhere(tmp_path: Path) -> None:
    data = records.write(small(), tmp_path / "b.json.gz").read_bytes()
    for length in range(len(data)):
        error = refusal(put(tmp_path, data[:length], ".json.gz"))
        assert type(error) is (FormatError if length == 1 else TruncatedFileError), length


def test_npz_cut_anywhere(tmp_path: Path) -> None:
    data = records.write(small(), tmp_path / "b.npz").read_bytes()
    for length in [*range(0, len(data), 7), len(data) - 1]:
        error = refusal(put(tmp_path, data[:length], ".npz"))
        assert type(error) in (TruncatedFileError, FormatError)
        assert length < 4 or type(error) is TruncatedFileError


# ------------------------------------------------------------------------------- flipped and random


@pytest.mark.parametrize("suffix", [".json.gz", ".npz"])
def test_a_flipped_bit_never_makes_another_record(tmp_path: Path, suffix: str) -> None:
    record = small()
    data = records.write(record, tmp_path / f"b{suffix}").read_bytes()
    refused = 0
    for place in range(0, len(data), 3):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place // 3 % 8)
        try:
            assert records.read(put(tmp_path, bytes(flipped), suffix)) == record
        except StadError as error:
            assert error.file and error.remedy
            refused += 1
    assert refused > len(data) // 6  # the rest says nothing of the content (times, attributes)


def test_a_flipped_bit_in_json_raises_nothing_else(tmp_path: Path) -> None:
    data = records.write(small(), tmp_path / "b.json").read_bytes()
    for place in range(0, len(data), 3):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place // 3 % 8)
        try:
            records.read(put(tmp_path, bytes(flipped), ".json"))
        except StadError as error:
            assert error.file and error.remedy


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=60))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, suffix: str, data: bytes) -> None:
    refusal(put(tmp_path_factory.getbasetemp(), data, suffix))
    if suffix == ".json.gz":
        refusal(put(tmp_path_factory.getbasetemp(), gzip.compress(data), suffix))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(["tubes", "boxes", "format"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["annotations", "predictions"]), json_values)
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, kind: str, value: Any) -> None:
    document = samples.DOCUMENTS[kind]() | {"videos": {"v": value}}
    path = samples.put(tmp_path_factory.getbasetemp() / "any.json", document)
    if value == {}:
        assert records.read(path).videos["v"].tubes is None
    elif not isinstance(value, dict) or set(value) - {"tubes"}:
        refusal(path)


# -------------------------------------------------------------------------------- files of other kinds


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file(tmp_path: Path, suffix: str) -> None:
    error = refusal(tmp_path / f"none{suffix}")
    assert type(error) is MissingFileError and str(error).endswith("there is no such file; check the path")
    (tmp_path / f"folder{suffix}").mkdir()
    assert type(refusal(tmp_path / f"folder{suffix}")) is MissingFileError


def test_a_name_of_another_format(tmp_path: Path) -> None:
    data = {suffix: records.write(small(), tmp_path / f"b{suffix}").read_bytes() for suffix in SUFFIXES}
    for ours in SUFFIXES:
        for theirs in SUFFIXES:
            if ours != theirs:
                assert type(refusal(put(tmp_path, data[ours], theirs))) is FormatError


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin1", "utf-16-le"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    text = json.dumps(samples.predictions_document(), ensure_ascii=False).replace("spare", "é")
    assert type(refusal(put(tmp_path, text.encode(encoding), ".json"))) is FormatError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" + "1" * 5000 + "]", "a number is too long to read"),
        ('{"format": "\ud800"}', "not UTF-8"),
        ('{"format": NaN}', "the format is nan"),
    ],
)
def test_texts_that_strain_the_parser(tmp_path: Path, text: str, words: str) -> None:
    for data in (text.encode("utf-8", "surrogatepass"),):
        assert words in str(refusal(put(tmp_path, data, ".json")))
        assert words in str(refusal(put(tmp_path, gzip.compress(data), ".json.gz")))
        header = np.frombuffer(data, np.uint8)
        assert words in str(refusal(archive(tmp_path, header=header))) or words.startswith("the format")


# ---------------------------------------------------------------------------------- archives by hand


@cache
def sound_arrays() -> dict[str, np.ndarray]:
    stream = io.BytesIO()
    write_arrays(small(), stream)
    stream.seek(0)
    with np.load(stream) as sound:
        return {name: sound[name] for name in sound.files}


def archive(folder: Path, **changes: np.ndarray | None) -> Path:
    """A sound archive with some arrays replaced (None: left out)."""
    path = folder / "hand.npz"
    arrays = {**sound_arrays(), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def header() -> dict[str, Any]:
    return json.loads(sound_arrays()["header"].tobytes())


def as_bytes(document: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(document).encode(), np.uint8)


def test_an_archive_by_hand_is_as_good(tmp_path: Path) -> None:
    assert records.read(archive(tmp_path)) == small()
    assert records.read(archive(tmp_path, header=as_bytes(header()))) == small()


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["boxes", "header", "integers", "extra"])
def test_object_arrays_are_not_unpickled(tmp_path: Path, name: str) -> None:
    flag = tmp_path / "flag"
    path = archive(tmp_path, **{name: np.array([Touch(flag)], dtype=object)})
    assert type(refusal(path)) is FormatError and "is no plain data" in str(refusal(path))
    assert not flag.exists()
    with np.load(path, allow_pickle=True) as arrays:  # the harm is real
        _ = arrays[name]
    assert flag.exists()


def test_a_pickle_by_the_name_of_an_archive(tmp_path: Path) -> None:
    flag, path = tmp_path / "flag", tmp_path / "a.npz"
    with path.open("wb") as stream:
        np.save(stream, np.array([Touch(flag)], dtype=object), allow_pickle=True)
    assert type(refusal(path)) is FormatError
    import pickle

    assert type(refusal(put(tmp_path, pickle.dumps(Touch(flag)), ".npz"))) is FormatError
    assert not flag.exists()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint64])
def test_unsigned_boxes(tmp_path: Path, kind: type) -> None:
    boxes = sound_arrays()["boxes"].astype(kind)
    error = refusal(archive(tmp_path, boxes=boxes))
    assert type(error) is errors.UnsignedBoxError
    assert f"array boxes is {np.dtype(kind)}" in str(error) and "wraps around; write" in str(error)


@pytest.mark.parametrize(
    ("row", "value", "kind", "place"),
    [
        (1, np.nan, errors.NotFiniteError, "tube 0, frame 9"),
        (2, -np.inf, errors.NotFiniteError, "tube 0, frame 10"),
        (0, 1e9, errors.InvertedBoxError, "tube 0, frame 8"),
        (4, np.nan, errors.NotFiniteError, "frame 9"),
        (3, 1e9, errors.InvertedBoxError, "frame 3"),
    ],
)
def test_bad_boxes_are_found_in_archives(
    tmp_path: Path, row: int, value: float, kind: type, place: str
) -> None:
    boxes = sound_arrays()["boxes"].copy()
    boxes[row, 0] = value
    error = refusal(archive(tmp_path, boxes=boxes))
    assert type(error) is kind and f", {place}: box " in str(error)
    assert error.video == samples.VIDEO.replace("Basketball", "é")


def test_bad_columns_are_found_in_archives(tmp_path: Path) -> None:
    floats, integers = sound_arrays()["floats"], sound_arrays()["integers"]
    for index in range(len(floats)):
        error = refusal(archive(tmp_path, floats=np.where(np.arange(len(floats)) == index, np.nan, floats)))
        assert type(error) is errors.NotFiniteError and error.frame is not None
    refusals = []
    for index in range(len(integers)):
        error = refusal(archive(tmp_path, integers=np.where(np.arange(len(integers)) == index, -9, integers)))
        refusals.append(type(error))
    assert set(refusals) == {errors.FrameRangeError, errors.UnknownLabelError}


WRONG_ARRAYS: dict[str, dict[str, Any]] = {
    "no boxes": {"boxes": None},
    "no header": {"header": None},
    "one more": {"more": np.zeros(1)},
    "narrow boxes": {"boxes": np.zeros((5, 4), np.float32)},
    "five corners": {"boxes": np.zeros((5, 5))},
    "flat boxes": {"boxes": np.zeros(20)},
    "word boxes": {"boxes": np.array([["a"] * 4])},
    "whole floats": {"floats": np.zeros(5, np.int64)},
    "short integers": {"integers": np.zeros(4, np.int32)},
    "floating integers": {"integers": np.zeros(4)},
    "wide header": {"header": np.zeros(9, np.int64)},
    "word header": {"header": np.array("{}")},
    "few boxes": {"boxes": np.tile([0.0, 0, 1, 1], (2, 1))},
    "few floats": {"floats": np.zeros(1)},
    "empty header": {"header": np.zeros(0, np.uint8)},
    "broken header": {"header": np.frombuffer(b'{"videos": x}', np.uint8)},
}


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_wrong_arrays_are_refused(tmp_path: Path, name: str) -> None:
    assert type(refusal(archive(tmp_path, **WRONG_ARRAYS[name]))) in (FormatError, TruncatedFileError)


def test_an_archive_of_other_things(tmp_path: Path) -> None:
    with zipfile.ZipFile(archive(tmp_path)) as source, zipfile.ZipFile(tmp_path / "c.npz", "w") as target:
        for name in source.namelist():
            if name == "boxes.npy":
                target.writestr("boxes", b"no array")
            else:
                target.writestr(name, source.read(name))
    assert "not an array of plain numbers" in str(refusal(tmp_path / "c.npz"))
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    assert "not an archive of arrays" in str(refusal(put(tmp_path, stream.getvalue(), ".npz")))


VALUES = [None, True, 7, "text", {}, [0], [1, 0], [0, 10**9], [-1, 1], [False, True], [[0], [1]]]


def test_every_type_at_every_place_of_the_header(tmp_path: Path) -> None:
    refused = 0
    for place in places(header()):
        for value in VALUES:
            path = archive(tmp_path, header=as_bytes(changed(header(), place, value)))
            try:
                assert isinstance(records.read(path), (Annotations, Predictions))
            except StadError as error:
                assert error.file and error.remedy, str(error)
                refused += 1
    assert refused > 300


def test_the_header_is_checked_like_the_text(tmp_path: Path) -> None:
    text = json.dumps(header())
    twice = text.replace('"classes":', '"classes": [], "classes":')
    assert "'classes' stands twice" in str(
        refusal(archive(tmp_path, header=np.frombuffer(twice.encode(), np.uint8)))
    )
    newer = text.replace("predictions/1", "predictions/2")
    error = refusal(archive(tmp_path, header=np.frombuffer(newer.encode(), np.uint8)))
    assert "the format is 'stad-lite/predictions/2'" in str(error)
    score = text.replace('"score": 0.9', '"score": NaN')
    error = refusal(archive(tmp_path, header=np.frombuffer(score.encode(), np.uint8)))
    assert type(error) is errors.NotFiniteError and error.tube == 0


@pytest.mark.parametrize("rows", [[0, 10**9], [0, 6], [-1, 2], [2, 1], [False, True], [0.0, 3.0], ["0", "3"]])
def test_the_header_points_to_rows_that_are_there(tmp_path: Path, rows: list) -> None:
    video = header()["videos"].popitem()[0]
    for place in (("tubes", 0, "boxes"), ("frames", "box"), ("frames", "label"), ("tubes", 0, "box_scores")):
        document = changed(header(), ("videos", video, *place), rows)
        error = refusal(archive(tmp_path, header=as_bytes(document)))
        assert type(error) is FormatError and f"rows {rows[0]!r} to {rows[1]!r} of array " in str(error)
        assert error.video == video
