"""Small damages to a file: bytes, words of a text, members of a packed file; the same for the same seed."""

from __future__ import annotations

import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable

WORDS = [
    b"", b"0", b"-1", b"1e999", b"nan", b"NaN", b"-Infinity", b"1099511627776", b"9" * 5000, b"0.5", b"true",
    b"null", b"[]", b"{}", b'""', b'"a"', b"[[[[1]]]]", b"x" * 3000, b"\xff\xfe", "\u2028é投".encode(),
    b"../../x", b"$x_{$", b"1 2 3 4 5 6 7 8", b",,,,", b"\x00", b"\r\n\r\n",
]  # fmt: skip
"""What a number or a word is replaced by."""
NUMBERS = [
    b"\x00" * 4,
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\x01",
    b"\xff" * 8,
    b"\x00" * 64,
]
TOKEN = re.compile(rb'-?\d[\d.e+-]*|"[^"]*"|\w+')


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to four damages, inside its packing as often as outside."""
    if chance.random() < 0.5:
        data = _inside(data, chance, lambda content: mutated(content, chance))
        if chance.random() < 0.7:
            return data
    ways = [_flip, _put, _cut, _drop, _double, _word, _word, _swap]
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(ways)(data, chance)
    return data


def _inside(data: bytes, chance: random.Random, change: Callable[[bytes], bytes]) -> bytes:
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.compress(change(gzip.decompress(data)), 1)
        if data.startswith(b"PK"):
            return _member(data, chance, change)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError):
        pass
    return _flip(data, chance)


def _member(data: bytes, chance: random.Random, change: Callable[[bytes], bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(content, "w") as new:
        names = old.namelist()
        chosen = chance.choice(names)
        for name in names:
            new.writestr(name, change(old.read(name)) if name == chosen else old.read(name))
    return content.getvalue()


def _place(data: bytes, chance: random.Random) -> int:
    """Any place, and every other time one near the beginning, where the headers are."""
    return chance.randrange(min(len(data), 200 if chance.random() < 0.5 else len(data)) or 1)


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\x00"
    at = _place(data, chance)
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _put(data: bytes, chance: random.Random) -> bytes:
    at, new = _place(data, chance), chance.choice(NUMBERS)
    return data[:at] + new + data[at + len(new) :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: _place(data, chance)]


def _drop(data: bytes, chance: random.Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at + chance.randint(1, 30) :]


def _double(data: bytes, chance: random.Random) -> bytes:
    at = _place(data, chance)
    end = at + chance.randint(1, 60)
    return data[:end] + data[at:end] * chance.choice([1, 1, 1, 50]) + data[end:]


def _swap(data: bytes, chance: random.Random) -> bytes:
    one, other = sorted((_place(data, chance), _place(data, chance)))
    size = chance.randint(1, 12)
    return data[:one] + data[other : other + size] + data[one + size :]


def _word(data: bytes, chance: random.Random) -> bytes:
    found = list(TOKEN.finditer(data))
    if not found:
        return _flip(data, chance)
    token = chance.choice(found)
    return data[: token.start()] + chance.choice(WORDS) + data[token.end() :]
