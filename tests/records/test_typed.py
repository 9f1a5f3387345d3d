"""The fast way of reading: what it reads is what the careful way reads, and it reads nothing else."""

from __future__ import annotations

import gc
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite import records
from stad_lite.errors import StadError
from stad_lite.records import Annotations, Predictions, columns, files
from stad_lite.records.document import from_document, parse, to_document
from stad_lite.records.typed import from_json
from tests.records import samples

Record = Annotations | Predictions


def careful(data: bytes) -> Record | None:
    try:
        return from_document(parse(data))
    except StadError:
        return None


def text_of(record: Record) -> bytes:
    return json.dumps(to_document(record), ensure_ascii=False).encode()


def kinds(part: object) -> dict[str, tuple]:
    return {name: (type(value), getattr(value, "dtype", None)) for name, value in vars(part).items()}


def both(kind: str) -> bytes:
    return json.dumps(samples.DOCUMENTS[kind](), ensure_ascii=False).encode()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_sound_records_are_read_alike(data: st.DataObject) -> None:
    for made in (samples.annotations(), samples.predictions()):
        record = data.draw(made)
        text = text_of(record)
        found = from_json(text)
        assert from_document(parse(text)) == record
        if found is None:  # a string may look like a key, a large number like one that was written whole
            colons = re.search(rb'[\[{,:]\s*"\s*:', text)
            numbers = re.findall(rb"\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)
            assert colons or max(map(float, numbers)) >= 2**63
        else:
            assert found == record and type(found) is type(record)


@pytest.mark.parametrize("kind", samples.DOCUMENTS)
def test_what_is_read_is_settled_as_the_constructors_settle_it(kind: str) -> None:
    text = both(kind)
    ours, theirs = from_json(text), careful(text)
    assert ours is not None and theirs is not None
    for one, other in zip(ours.videos.values(), theirs.videos.values(), strict=True):
        assert set(vars(one)) == set(vars(other))
        for part in ("frames", "tubes", "segments"):
            pair = [getattr(video, part) for video in (one, other)]
            rows = [value if isinstance(value, tuple) else (value,) for value in pair]
            for a, b in zip(*rows, strict=True):
                assert kinds(a) == kinds(b)
        assert kinds(one) == kinds(other)


PIECES = [
    b"1",
    b"-",
    b"0",
    b".",
    b"e9",
    b"null",
    b"true",
    b'"',
    b",",
    b":",
    b"[",
    b"]",
    b"{",
    b"}",
    b" ",
    b"\\u",
]


@pytest.mark.parametrize("kind", samples.DOCUMENTS)
def test_nothing_damaged_is_read_that_the_careful_way_refuses(kind: str) -> None:
    """A piece put in, left out or copied at every place: never another record, never one too many."""
    text, random, read = both(kind), np.random.default_rng(0), 0
    for place in range(len(text)):
        piece = PIECES[random.integers(len(PIECES))]
        width = int(random.integers(1, 12))
        for damaged in (
            text[:place] + piece + text[place:],
            text[:place] + text[place + width :],
            text[: place + width] + text[place:],
        ):
            found = from_json(damaged)
            if found is not None:
                assert found == careful(damaged), damaged[max(place - 20, 0) : place + 20]
                read += 1
    assert read > 20


def test_doubled_keys_are_not_read_whatever_blanks_and_colons_there_are() -> None:
    text = both("predictions").decode()
    for double in ('"fps": 1, "fps" : 2,', '"fps":1,"fps"\n:2,', '"fps" \t: 1, "fps":1,'):
        assert from_json(text.replace('"tubes"', f'{double} "tubes"', 1).encode()) is None
    named = text.replace("spare", 'a: \\"b\\"').replace("Basketball/", "x:y/")
    assert from_json(named.encode()) == careful(named.encode()) is not None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("tubes", 0, "start"), 2**63),
        (("tubes", 0, "score"), 10**30),
        (("segments", 0, "end"), 2**70),
        (("frames", "frame", 0), 2**64),
        (("fps",), 2**65),
        (("fps",), 0),
        (("flat",), [[0.5, 0, 1]]),
        (("frames", "score"), None),
    ],
)
def test_numbers_that_records_do_not_hold_are_not_read(place: tuple, value: Any) -> None:
    document = samples.changed(samples.DOCUMENTS["predictions"](), ("videos", samples.VIDEO, *place), value)
    data = json.dumps(document).encode()
    assert from_json(data) is None and careful(data) is None


@pytest.mark.parametrize("suffix", [".json", ".json.gz", ".npz"])
def test_sound_files_take_the_fast_way(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the careful way was taken")

    wanted = careful(both("annotations"))
    assert wanted is not None
    path = records.write(wanted, tmp_path / f"a{suffix}")
    monkeypatch.setattr(files, "parse", never)
    monkeypatch.setattr(columns, "parse", never)
    assert records.read(path) == wanted


@pytest.mark.parametrize("outcome", [lambda: from_json(both("predictions")), lambda: from_json(b"[")])
def test_pythons_collector_is_left_as_it_was(outcome: Callable[[], object]) -> None:
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            outcome()
            assert gc.isenabled() is enabled
        finally:
            gc.enable()


def test_an_archive_whose_header_points_to_rows_twice_is_not_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    columns.write_arrays(careful(both("predictions")), stream)  # type: ignore[arg-type]
    stream.seek(0)
    with np.load(stream) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(arrays["header"].tobytes())
    tube = header["videos"][samples.VIDEO]["tubes"][0]
    del tube["box_scores"]  # there are three
    tube["boxes"] = [0, 5]  # the frames' two as well
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(StadError, match="more than once"):
        records.read(tmp_path / "a.npz")
