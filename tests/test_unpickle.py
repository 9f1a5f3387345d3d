"""The restricted unpickler: good files are read, bad ones are refused and never run."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite import unpickle
from stad_lite.arrays import same
from stad_lite.errors import (
    FormatError,
    MissingFileError,
    StadError,
    TruncatedFileError,
    UnsafePickleError,
)

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PLAIN = {
    "Ski/v_1": {
        "numf": 7,
        "label": 3,
        "fps": 25.0,
        "none": None,
        "yes": True,
        "é": (1, [2, b"\x00\xff", b""]),
    },
    "far": [10**40, -1.5e-300, {1, 2}, frozenset({3}), set()],
}
ARRAYS = [
    np.arange(12, dtype=np.uint16).reshape(3, 4),
    np.arange(6.0).reshape(2, 3).T,
    np.zeros((0, 4)),
    np.array([True, False]),
    np.array(["ab", "ü"]),
    np.array([b"ab"]),
    np.array([1, 2], dtype=">i4"),
    np.array([[None, {"a": (1, "x")}, [3, np.arange(2)]]], dtype=object).T,
]


def put(folder: Path, data: bytes, name: str = "a.pkl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# ---------------------------------------------------------------------------------------- good ones


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert unpickle.load(put(tmp_path, pickle.dumps(PLAIN, protocol))) == PLAIN


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    found = unpickle.load(put(tmp_path, pickle.dumps([*ARRAYS, np.float32(0.5)], protocol)))
    assert type(found[-1]) is np.float32 and found[-1] == 0.5
    for ours, theirs in zip(found, ARRAYS, strict=False):
        assert type(ours) is np.ndarray and ours.shape == theirs.shape and ours.flags.writeable
        assert repr(ours) == repr(theirs) if ours.dtype == object else same(ours, theirs)
        assert ours.dtype == theirs.dtype.newbyteorder("=") or ours.dtype == theirs.dtype


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_both_names_of_numpy(tmp_path: Path, protocol: int) -> None:
    """numpy 1 writes numpy.core, numpy 2 numpy._core."""
    new = pickle.dumps([np.arange(3), np.float64(2)], protocol)
    old = new.replace(b"numpy._core.", b"numpy.core.")
    assert (old != new) or b"numpy.core." in new
    for name, data in (("old.pkl", old), ("new.pkl", old.replace(b"numpy.core.", b"numpy._core."))):
        found = unpickle.load(put(tmp_path, data, name))
        assert found[0].tolist() == [0, 1, 2] and found[1] == 2


def test_python_2_strings_and_gzip(tmp_path: Path) -> None:
    data = b"\x80\x02}q\x00U\x04caf\xe9q\x01K\x01s."  # {'caf\xe9': 1} as Python 2 writes it
    assert unpickle.load(put(tmp_path, data), encoding="latin1") == {"café": 1}
    assert unpickle.load(put(tmp_path, gzip.compress(data)), encoding="latin1") == {"café": 1}
    with pytest.raises(UnsafePickleError, match="not a readable pickle"):
        unpickle.load(put(tmp_path, data))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ordered_tables_and_what_stands_twice(tmp_path: Path, protocol: int) -> None:
    """An ordered table is a table; a part that stands twice is read twice, however often it may stand."""
    row, array, key = [1, 2], np.arange(3), ("a", 1)
    data = OrderedDict([("b", row), ("a", row), (key, [array, array, key, {np.int64(4): np.float32(2)}])])
    found = unpickle.load(put(tmp_path, pickle.dumps(data, protocol)))
    assert list(found) == ["b", "a", key] and found["a"] == row and found[key][1].tolist() == [0, 1, 2]
    assert found[key][3] == {4: 2.0}


def test_the_published_pickle(stad_data: Path) -> None:
    path = stad_data / "ucf101_24" / "pyannot.pkl"
    if not path.is_file():
        pytest.skip("no ucf101_24/pyannot.pkl under the published data")
    table = unpickle.load(path)
    assert len(table) == 3194
    assert sum(len(tube["boxes"]) for video in table.values() for tube in video["annotations"]) == 573862


# ----------------------------------------------------------------------------------------- bad ones


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.made = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> tuple:
        return self.made


class Persistent(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return "elsewhere" if obj == "x" else None


def attacks(flag: Path) -> dict[str, Any]:
    """Pickles that would make the file ``flag`` if they were run."""
    code = f"open({str(flag)!r}, 'w').close()"
    evil = Call(eval, code)
    return {
        "os.system": Call(os.system, f"touch {flag}"),
        "eval": evil,
        "exec": Call(exec, code),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "nested in lists": [{"a": (1, [evil])}],
        "as a key": {Call(eval, f"({code}, 1)[1]"): 1},
        "argument of an array": Call(np.zeros, evil),
        "in an object array": np.array([evil, None], dtype=object),
        "state of an array": Call(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b", state=evil),
        "nested reduce": Call(eval, Call(eval, repr(code))),
        "subprocess": Call(subprocess.call, ["touch", str(flag)]),
        "numpy's own loader": Call(np.load, str(flag)),
        "open": Call(open, str(flag), "w"),
        "codec": Call(__import__("_codecs").encode, "a", "rot13"),
    }


NAMES = list(attacks(Path("flag")))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_pickle_runs(tmp_path: Path, name: str) -> None:
    flag = tmp_path / "flag"
    for protocol in PROTOCOLS:
        path = put(tmp_path, pickle.dumps(attacks(flag)[name], protocol))
        with pytest.raises(UnsafePickleError) as caught:
            unpickle.load(path)
        assert str(caught.value).startswith(f"{path}: the pickle asks for ")
        assert caught.value.remedy and not flag.exists()


@pytest.mark.parametrize(
    "name", ["os.system", "eval", "exec", "nested in lists", "in an object array", "open"]
)
def test_the_attacks_are_real(tmp_path: Path, name: str) -> None:
    """Python's own reader does run them, so that the test above can fail."""
    flag = tmp_path / "flag"
    pickle.loads(pickle.dumps(attacks(flag)[name]))
    assert flag.exists()


def test_persistent_ids_and_registered_extensions(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    with path.open("wb") as stream:
        Persistent(stream).dump(["x"])
    with pytest.raises(UnsafePickleError, match=r"a\.pkl: .*outside itself; get the file"):
        unpickle.load(path)
    with pytest.raises(UnsafePickleError):
        unpickle.load(put(tmp_path, b"\x80\x02\x82\x01."))  # EXT1: a class by number


FORGED = """
import pickle, sys, numpy as np
from stad_lite import unpickle
from stad_lite.errors import UnsafePickleError
class Call:
    def __init__(self, *made): self.made = made
    def __reduce__(self): return self.made
remake, raw = np._core.multiarray._reconstruct, b"A" * 8
def array(dtype): return Call(remake, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, raw))
flagless = Call(np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0))
fields = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 8, 0)
cases = [
    array(flagless),
    array(Call(np.dtype, ("V8", False, True), fields)),
    array(Call(np.dtype, ("f8", False, True), fields)),
    array(Call(np.dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 63))),
    array(Call(np.dtype, ("f8", False, True), (3, "<", None, None, None, 8000, 8, 0))),
    array(Call(np.dtype, ([("a", "O")],))),
    array(Call(np.dtype, ("O,i8",))),
    Call(np._core.multiarray.scalar, (flagless, raw)),
    Call(np._core.numeric._frombuffer, (raw, flagless, (1,), "C")),
    Call(np._core.numeric._frombuffer, (raw, np.dtype("O"), (1,), "C")),
    Call(set, (), {"a": 1}),
    Call(np._core.numeric._frombuffer, (raw, np.dtype("f8"), (1,), "C"), (None, {"a": 1})),
]
for number, case in enumerate(cases):
    with open(sys.argv[1], "wb") as stream:
        pickle.dump(case, stream)
    try:
        print(number, "was read:", unpickle.load(sys.argv[1]), flush=True)
    except UnsafePickleError:
        pass
with open(sys.argv[1], "wb") as stream:  # a byte order set on numpy's one float64 would reach everyone
    pickle.dump(array(Call(np.dtype, ("f8", False, False), (3, ">", None, None, None, -1, -1, 0))), stream)
print(unpickle.load(sys.argv[1]).dtype.byteorder, np.dtype("f8").byteorder)
"""


def test_dtypes_cannot_lie_about_what_they_hold(tmp_path: Path) -> None:
    """Raw bytes as an object array are pointers of the writer's choice; a process of its own may crash."""
    command = [sys.executable, "-c", FORGED, str(tmp_path / "a.pkl")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "> ="), done.stderr


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_anywhere(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps([{"é": (1.5, None, b"ab")}, np.arange(2.0)], protocol)
    for length in range(len(data)):
        path = put(tmp_path, data[:length])
        with pytest.raises((TruncatedFileError, UnsafePickleError)) as caught:
            unpickle.load(path)
        assert caught.value.file == str(path) and caught.value.remedy


def test_most_cuts_are_told_as_such(tmp_path: Path) -> None:
    for protocol in (3, 4):
        data = pickle.dumps({"ab": [1, 2.5]}, protocol)
        for length in range(len(data)):
            with pytest.raises(TruncatedFileError, match=r"a\.pkl: the pickle ends too early; download"):
                unpickle.load(put(tmp_path, data[:length]))
    packed = gzip.compress(data)
    for length in range(2, len(packed)):
        with pytest.raises(TruncatedFileError, match=r"a\.pkl: the gzip stream ends too early"):
            unpickle.load(put(tmp_path, packed[:length]))
    with pytest.raises(FormatError, match="not a gzip file"):
        unpickle.load(put(tmp_path, packed[:-8] + bytes(8)))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40))
def test_random_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    try:
        unpickle.load(put(tmp_path_factory.getbasetemp(), data, "random.pkl"))
    except StadError as error:
        assert error.file and error.remedy


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.pkl: there is no such file; check the path"):
        unpickle.load(tmp_path / "none.pkl")
    with pytest.raises(MissingFileError):
        unpickle.load(tmp_path)
