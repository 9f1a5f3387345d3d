"""Packed files: sound ones are read, and memory follows their bytes, whatever numbers they hold."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from stad_lite import matlab, packed
from stad_lite.data.jhmdb21 import archive_texts
from stad_lite.errors import FormatError, StadError, TruncatedFileError
from tests.limits import LIMITED

ARRAYS = {
    "a": np.arange(6, dtype=">i2").reshape(2, 3),
    "b": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    "c": np.zeros((0, 4)),
    "d": np.array(["ü", "ab"]),
    "e": np.float32(0.5),
    "f": np.array([True, False]),
}


def test_sound_archives_are_read(tmp_path: Path) -> None:
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", **ARRAYS)
        found = packed.arrays(tmp_path / "a.npz")
        assert list(found) == list(ARRAYS)
        for name, array in found.items():
            np.testing.assert_array_equal(array, ARRAYS[name])
            assert array.flags.writeable and array.dtype == np.asarray(ARRAYS[name]).dtype


def test_gzip_of_many_members_and_padding(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"ab") + gzip.compress(b"") + gzip.compress(b"c") + bytes(20))
    assert packed.read(path) == b"abc" == gzip.decompress(path.read_bytes())


def npy(shape: str, kind: str = "<f8", data: bytes = b"") -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".encode()
    head += b" " * (64 - (10 + len(head) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (npy("(1099511627776,)"), "lacks"),
        (npy("(4, 1099511627776)", data=bytes(32)), "lacks"),
        (npy("(0, 1099511627776)"), "longer than its bytes"),
        (npy("(-1,)", data=bytes(8)), "cannot be"),
        (npy("(True,)", data=bytes(8)), "cannot be"),
        (npy("(2,)", data=bytes(24)), "bytes follow"),
        (npy("(1,)", "|O", bytes(8)), "no plain data"),
        (npy("(1,)", "|V8", bytes(8)), "no plain data"),
        (npy("(1,)", "|S0"), "no plain data"),
        (npy("(1,)", "<U1", b"\xff" * 4), "no letter"),
        (npy("(1,)", "<f8), __import__('os')"), "not an array"),
        (b"\x93NUMPY\x09\x00" + bytes(60), "not an array"),
    ],
)
def test_headers_that_lie(tmp_path: Path, content: bytes, problem: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises((FormatError, TruncatedFileError), match=problem) as caught:
        packed.arrays(tmp_path / "a.npz")
    assert caught.value.file == str(tmp_path / "a.npz") and caught.value.remedy


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, shape: tuple[int, ...], *rest: bytes) -> bytes:
    flags, sides = struct.pack("<II", kind, 0), struct.pack(f"<{len(shape)}i", *shape)
    return element(14, element(6, flags) + element(5, sides) + element(1, b"x") + b"".join(rest))


def mat(*elements: bytes) -> bytes:
    return b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + b"".join(elements)


def nested(depth: int) -> bytes:
    inner = matrix(6, (1, 1), element(9, bytes(8)))
    for _ in range(depth):
        inner = matrix(1, (1, 1), inner)
    return inner


MATS = {
    "cells": mat(matrix(1, (2**31 - 1, 4))),
    "structures": mat(matrix(2, (2**20, 2**10), element(5, struct.pack("<i", 8)), element(1, b"a" * 8))),
    "structures of nothing": mat(
        matrix(2, (2**20, 2**10), element(5, struct.pack("<i", 8)), element(1, b""))
    ),
    "numbers": mat(matrix(6, (2**31 - 1, 2**31 - 1), element(9, bytes(8)))),
    "no numbers": mat(matrix(6, (0, 2**31 - 1), element(9, b""))),
    "sparse": mat(matrix(5, (2**31 - 1, 2**31 - 1), element(5, bytes(8)))),
    "a function": mat(matrix(16, (1, 1))),
    "nested": mat(nested(500)),
    "grows": mat(struct.pack("<II", 15, len(zlib.compress(bytes(1 << 25)))) + zlib.compress(bytes(1 << 25))),
    "beyond the end": mat(struct.pack("<II", 14, 1 << 30)),
}


@pytest.mark.parametrize("name", MATS)
def test_matlab_files_that_lie(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.mat").write_bytes(MATS[name])
    with pytest.raises(FormatError, match="not a readable MATLAB v5 file") as caught:
        matlab.read(tmp_path / "a.mat")
    assert caught.value.file == str(tmp_path / "a.mat")


@pytest.mark.parametrize("compressed", [True, False])
def test_sound_matlab_files_are_read(tmp_path: Path, compressed: bool) -> None:
    entries = np.zeros(2, dtype=[("name", object), ("tubes", object)])
    entries[0], entries[1] = ("a", {"sf": 1, "boxes": np.ones((3, 4))}), ("é", np.zeros(0))
    cells = np.array([np.arange(3), "text", None], dtype=object)
    cells[2] = np.zeros((0, 3))
    content = {"annot": entries, "cells": cells, "flag": np.array([True]), "z": np.array([1 + 2j])}
    savemat(tmp_path / "a.mat", content, do_compression=compressed)
    found = matlab.read(tmp_path / "a.mat", squeeze_me=True, struct_as_record=False)
    assert found["annot"][0].tubes.boxes.shape == (3, 4) and str(found["annot"][1].name) == "é"
    assert found["cells"][0].tolist() == [0, 1, 2] and found["z"] == 1 + 2j


def test_archives_of_texts(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name, text in (("b/x.txt", b"two"), ("a/y.txt", b"one"), ("c.bin", b"\xff")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    assert archive_texts(tmp_path / "a.tar.gz") == [("a/y.txt", "one"), ("b/x.txt", "two")]
    member = tarfile.TarInfo("x.txt")
    member.size = 1 << 40
    (tmp_path / "b.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(StadError, match=r"b\.tar"):
        archive_texts(tmp_path / "b.tar")


READ = """
import sys, json
from stad_lite import records
from stad_lite.data import flow
from stad_lite.errors import StadError
from stad_lite.records.exchange import text
reads = {"records.json.gz": records.read, "flow.flo.gz": flow.read_flo, "text.json.gz": text.read_json,
         "list.txt": records.read_list, "far.npz": records.read, "many.npz": records.read}
said = {}
for name, read in reads.items():
    try:
        said[name] = "read: " + str(read(sys.argv[1] + "/" + name))[:50]
    except StadError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def test_what_grows_without_measure_takes_no_memory(tmp_path: Path) -> None:
    blanks = gzip.compress(b" " * (1 << 26))
    for name in ("records.json.gz", "flow.flo.gz", "text.json.gz", "list.txt"):
        (tmp_path / name).write_bytes(blanks)
    with zipfile.ZipFile(tmp_path / "far.npz", "w") as archive:
        archive.writestr("boxes.npy", npy("(1099511627776, 4)"))
    tubes = [{"label": "a", "score": 0.5, "start": 0, "boxes": [0, 100_000]}] * 2000
    head = {"format": "stad-lite/predictions/1", "classes": ["a"], "videos": {"v": {"tubes": tubes}}}
    np.savez_compressed(
        tmp_path / "many.npz",
        boxes=np.random.default_rng(0).random((100_000, 4)) + [0, 0, 2, 2],
        floats=np.zeros(0),
        integers=np.zeros(0, np.int64),
        header=np.frombuffer(json.dumps(head).encode(), np.uint8),
    )
    command = [sys.executable, "-c", LIMITED + READ, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert len(said) == 6 and all(text.startswith(str(tmp_path / name)) for name, text in said.items()), said
    assert "more than once" in said["many.npz"] and "unpack to more than" in said["flow.flo.gz"]
