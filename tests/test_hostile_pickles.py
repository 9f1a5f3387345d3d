"""Small pickles that would take the process over, take all its memory or never end.

They are put together opcode by opcode, and read in a process of their own with little memory and time.
"""

from __future__ import annotations

import gzip
import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.limits import LIMITED

ARRAY = b"cnumpy\nndarray\n((I1\ntS'i8'\ntR"
MADE = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
MADE_1 = MADE.replace(b"(I0\nt", b"(I1\nt")
POINTER = struct.pack("<Q", 0x414141414140)


def dtype(name: bytes, state: bytes = b"") -> bytes:
    """A type by its name, and a state for it."""
    return b"cnumpy\ndtype\n(S'" + name + b"'\nI0\nI1\ntR" + (state + b"b" if state else b"")


def state(kind: bytes, content: bytes, shape: bytes = b"(I1\nt") -> bytes:
    """An array's state: version, shape, type, order, content."""
    return b"(I1\n" + shape + kind + b"I00\n" + content + b"t"


def short(data: bytes) -> bytes:
    """Bytes of the newer protocols, latin-1 text of the older ones (both are tried)."""
    return b"C" + bytes([len(data)]) + data


RAW, TEXT = short(POINTER), b"U\x08" + POINTER
LIE = b"(I3\nS'|'\nNNNI-1\nI-1\nI0\nt"
FIELDS = b"(I3\nS'|'\nN(S'a'\nt(dS'a'\n(" + dtype(b"O8") + b"I0\ntsI8\nI8\nI0\nt"
HUGE = b"(L4611686018427387904L\nI0\nt"


def doubled(parts: int, start: bytes, twice: bytes) -> bytes:
    """A part that holds the one before twice, so often: 2 ** parts for whoever goes through it."""
    return start + b"".join(b"q%c" % i + twice.replace(b"?", b"h%c" % i) for i in range(parts))


TURNED = state(dtype(b"i8"), RAW) + b"b%s" + state(dtype(b"O8"), b"N") + b"b"

TAKING_OVER = {
    "an array that turns into objects": ARRAY
    + state(dtype(b"i8"), RAW)
    + b"b"
    + state(dtype(b"O8"), b"N")
    + b"b",
    "twice set": MADE + TURNED % b"",
    "twice set, then read": MADE
    + b"q\0"
    + state(dtype(b"i8"), RAW)
    + b"b0h\0"
    + state(dtype(b"O8"), b"]")
    + b"b",
    "bytes as objects": MADE + state(dtype(b"O8"), RAW) + b"b",
    "text as objects": MADE + state(dtype(b"O8"), TEXT) + b"b",
    "bytes as objects without the flag": MADE + state(dtype(b"O8", LIE), RAW) + b"b",
    "a number that holds an object": MADE + state(dtype(b"V8", FIELDS), RAW) + b"b",
    "two types": MADE + state(dtype(b"O8,i8"), RAW) + b"b",
    "a list of types": MADE + state(b"cnumpy\ndtype\n(](S'a'\nS'O'\ntaI0\nI1\ntR", RAW) + b"b",
    "a scalar of an object": b"cnumpy.core.multiarray\nscalar\n(" + dtype(b"O8") + RAW + b"tR",
    "a buffer of objects": b"cnumpy.core.numeric\n_frombuffer\n(" + RAW + dtype(b"O8") + b"(I1\ntS'C'\ntR",
    "an array of a size": ARRAY,
    "an array made with a size": MADE_1,
    "another class of arrays": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR",
    "fewer bytes than it asks for": MADE + state(dtype(b"i8"), RAW, b"(I2\nt") + b"b",
    "more bytes than it asks for": MADE + state(dtype(b"i4"), RAW) + b"b",
    "a shape below 0": MADE + state(dtype(b"i8"), RAW, b"(I-1\nt") + b"b",
    "a shape that wraps around": MADE + state(dtype(b"i8"), RAW, b"(L4611686018427387905L\nI4\nt") + b"b",
    "fewer parts than it asks for": MADE + state(dtype(b"O8"), b"(lNa", b"(I2\nt") + b"b",
    "a list that goes on inside its array": b"(lq\0"
    + MADE
    + state(dtype(b"O8"), b"h\0", b"(I0\nt")
    + b"bh\0h\0a",
    "letters that are none": MADE + state(dtype(b"U2"), RAW) + b"b",
    "a state for a list": b"]" + state(dtype(b"O8"), RAW) + b"b",
    "a state for a table": b"}(S'__class__'\nNdb",
    "a state for a name": b"cnumpy\nndarray\n(S'x'\nNdb",
    "a state for a type": dtype(b"f8") + state(dtype(b"O8"), RAW) + b"b",
    "an object made by class": b"cbuiltins\nset\n)\x81",
    "an instance": b"(ibuiltins\nset\n",
    "an item of a list": b"](I0\nNu",
    "a part of bytes": b"C\x01a(I0\ne",
    "a name alone": b"cnumpy\nndarray\n",
    "a type alone": dtype(b"f8"),
    "an array never filled": MADE,
}

WITHOUT_END = {
    "keys of keys": doubled(40, b")", b"??\x86") + b"\x85}(" + b"h\x27Nu",
    "a frozen set of keys": doubled(40, b")", b"??\x86") + b"(h\x27\x91",
    "lists that share": doubled(60, b"]", b"](??e"),
    "tuples that share": doubled(60, b")", b"??\x86"),
    "tables that share": doubled(60, b"}", b"}(K\0?K\1?u"),
    "lists filled after they were shared": b"".join(b"]q%c" % i for i in range(60))
    + b"".join(b"h%c(h%ch%ce0" % (i + 1, i, i) for i in range(59)),
    "a list of itself": b"]q\0h\0a",
    "an array of itself": MADE + b"q\0(I1\n(I1\nt" + dtype(b"O8") + b"I00\n]h\0atb",
    "lists in lists": b"]" * 100_000 + b"a" * 99_999,
    "tuples in tuples": b")" + b"\x85" * 100_000,
    "a long side of nothing": MADE + state(dtype(b"i8"), b"C\0", HUGE) + b"b",
    "bytes by their number": b"\x96" + struct.pack("<Q", 1 << 40) + b"abc",
    "a text by its number": b"\x8d" + struct.pack("<Q", 1 << 40) + b"abc",
    "bytes of a size": b"c__builtin__\nbytes\n(I4000000000\ntR",
    "a type of a size": MADE + state(dtype(b"S999999999999"), RAW) + b"b",
    "a number of many digits": b"I" + b"9" * 5000 + b"\n",
    "a number of many bytes": b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20),
    "keys that collide": b"}("
    + b"".join(b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") + b"N" for k in range(1, 60_000))
    + b"u",
    "nothing but sets": gzip.compress(b"(" + b"\x8f" * 20_000_000 + b"l"),
    "nothing but marks": gzip.compress(b"(" * 20_000_000),
    "blanks": gzip.compress(b" " * (1 << 25)),
    "blanks in blanks": gzip.compress(gzip.compress(b" " * (1 << 25))),
    "many short streams": gzip.compress(b" " * (1 << 20)) * 500,
}

READ = """
import json, sys
from stad_lite import unpickle
from stad_lite.errors import StadError
said = {}
for path in sys.argv[1:]:
    try:
        said[path] = "read: " + repr(unpickle.load(path, encoding="latin1"))[:80]
    except StadError as error:
        said[path] = str(error)
print(json.dumps(said))
"""


@pytest.mark.parametrize("kind", ["taking over", "without end"])
def test_hostile_pickles_are_refused(tmp_path: Path, kind: str) -> None:
    cases = TAKING_OVER if kind == "taking over" else WITHOUT_END
    paths = {}
    for number, (name, data) in enumerate(cases.items()):
        ways = {"whole": data} if data.startswith(b"\x1f\x8b") else {}
        ways = ways or {"result": b"\x80\x05" + data + b".", "dropped": b"\x80\x05N" + data + b"0."}
        for way, content in ways.items():
            path = tmp_path / f"{way}{number}.pkl"
            path.write_bytes(content)
            paths[str(path)] = name
    command = [sys.executable, "-c", LIMITED + READ, *paths]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    for path, name in paths.items():
        refused = said[path].startswith(path)
        assert refused or (said[path] == "read: None" and "dropped" in path), (name, said[path])


def test_the_takeover_is_real(tmp_path: Path) -> None:
    """Python's own reader does take eight bytes of the file for an object, so that the test can fail."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x03" + TAKING_OVER["an array that turns into objects"] + b".")
    code = f"import pickle; print(pickle.load(open({str(path)!r}, 'rb')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode not in (0, 1)  # an exception would be 1


def test_sound_pickles_of_any_size_pass(tmp_path: Path) -> None:
    """The bounds follow the data: what dumps writes is read, packed or not."""
    from stad_lite import unpickle

    table = {f"v{i}": [[(j, float(j)), {"x": [i, j]}] for j in range(40)] for i in range(300)}
    for name, data in (("a.pkl", pickle.dumps(table)), ("b.pkl", gzip.compress(pickle.dumps(table, 2)))):
        (tmp_path / name).write_bytes(data)
        assert unpickle.load(tmp_path / name) == table
