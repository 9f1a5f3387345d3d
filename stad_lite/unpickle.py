"""Reading other people's pickles without running what is in them.

The opcodes are taken as a description of plain data: no name in the file is ever looked up, called or given a
state. The few that numpy's pickles hold stand for functions of this module, which build arrays from shape,
type and bytes.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from stad_lite import packed
from stad_lite.errors import StadError, TruncatedFileError, UnsafePickleError

DEEPEST = 100
"""Containers inside each other."""
SPARE = 1_000_000
"""Parts that a pickle may have beyond those that its bytes can speak of; named twice, they count twice."""
WIDEST = 512
"""Bits of a whole number."""


def load(path: str | PathLike[str], encoding: str = "ASCII") -> Any:
    """Return what a pickle holds, if it holds nothing but plain containers and numpy arrays.

    path: the file, plain or gzipped
    encoding: how 8-bit strings of Python 2 are read ("latin1" for numpy arrays of that age)
    raises: MissingFileError, TruncatedFileError, FormatError (damaged gzip), UnsafePickleError (also for
        arrays that do not fit their bytes, for what grows without measure, and for bytes that are no pickle)
    """
    path = Path(path)
    data = packed.read(path)
    stream = io.BytesIO(data)
    try:
        told = Reader(stream, encoding, SPARE + 2 * path.stat().st_size).load()
        return _Settling(SPARE + len(data)).settle(told, 0)[0]
    except UnsafePickleError as error:
        remedy = "get the file from its publisher again and compare its checksum"
        raise error.at(file=path, remedy=remedy) from None
    except StadError as error:
        raise UnsafePickleError(error.problem, file=path, remedy=error.remedy) from None
    except Exception as error:  # a damaged pickle can make the machine raise nearly anything
        at_the_end = stream.tell() == len(data) and not data.endswith(pickle.STOP)
        if at_the_end or isinstance(error, EOFError):
            raise TruncatedFileError(
                "the pickle ends too early", file=path, remedy="download or copy the file again"
            ) from None
        raise UnsafePickleError(
            f"not a readable pickle ({type(error).__name__}: {str(error)[:200]})",
            file=path,
            remedy="check what kind of file it is",
        ) from None


class _Name:
    """A name that a pickle speaks of, and what it stands for here."""

    def __init__(self, text: str, stands_for: Callable[..., Any] | None) -> None:
        self.text, self.stands_for = text, stands_for


class _Dtype:
    """An array's type: made by its name, then told its byte order."""

    def __init__(self, name: str) -> None:
        self.value = np.dtype(name)

    def tell(self, state: Any) -> None:
        """Take the byte order of a state that says nothing else of the type than what is so."""
        honest = (None, None, None, (-1, self.value.itemsize), (-1, self.value.alignment), self.value.flags)
        told = state[2:] if type(state) is tuple and len(state) == 8 else ()
        same = [a in b if type(b) is tuple else a == b for a, b in zip(told, honest, strict=False)]
        if len(same) != len(honest) or not all(same) or state[1] not in ("<", ">", "|", "="):
            raise UnsafePickleError("the pickle gives a dtype a state that is not its own")
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """An array: announced, then given shape, type and content, a list of parts where they are objects."""

    value: np.ndarray | None = None
    parts: list[Any] | None = None
    shape: tuple[int, ...] = ()

    def fill(self, state: Any) -> None:
        """Take shape and content; bytes never become objects."""
        _, shape, dtype, fortran, content = state
        if type(dtype) is _Dtype and dtype.value.kind == "O" and type(content) is list:
            packed.shaped(
                bytes(len(content)), np.dtype(bool), shape, "C"
            )  # as many parts as the shape asks for
            self.shape, self.parts = shape, content
        else:
            self.value = _array(content, dtype, shape, "F" if fortran else "C")


def _dtype(name: str, align: bool = False, copy: bool = False) -> _Dtype:
    kinds = "biufcSUO"
    if not isinstance(name, str) or len(name) > 12 or name[:1] not in kinds or not name[1:].isdecimal():
        raise UnsafePickleError(f"the pickle asks for dtype {str(name)[:100]!r}, which is not plain data")
    return _Dtype(name)


def _announced(kind: Any, shape: Any, code: Any) -> _Array:
    if kind is not _NAMES["numpy", "ndarray"] or shape != (0,):
        raise UnsafePickleError("the pickle asks for an array of another kind")
    return _Array()


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    raw = raw.encode("latin1") if type(raw) is str else raw  # as Python 2 wrote it
    if type(dtype) is not _Dtype or type(raw) is not bytes:
        raise UnsafePickleError("the pickle gives an array something else than a type and bytes")
    return packed.shaped(raw, dtype.value, shape, order)


def _scalar(dtype: Any, raw: Any) -> Any:
    return _array(raw, dtype, (), "C")[()]


def _encode(text: str, encoding: str) -> bytes:
    """Make the bytes that protocols 0 to 2 write as text; other codecs may import and expand things."""
    if encoding != "latin1":
        raise UnsafePickleError(
            f"the pickle asks for the codec {str(encoding)[:100]!r}, which is not plain data"
        )
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Make the empty bytes of protocols 0 to 2 (the built-in would also take a size to allocate)."""
    return b""


def _set(parts: Any = ()) -> set[Any]:
    return {_key(part) for part in parts}


def _frozen(parts: Any = ()) -> frozenset[Any]:
    return frozenset(_set(parts))


def _table(pairs: Any = ()) -> dict[Any, Any]:
    return {_key(key): value for key, value in pairs}


_NAMES = {
    (module, name): _Name(f"{module}.{name}", stands_for)
    for module, name, stands_for in (
        ("numpy._core.multiarray", "_reconstruct", _announced),
        ("numpy._core.multiarray", "scalar", _scalar),
        ("numpy._core.numeric", "_frombuffer", _array),
        ("numpy", "ndarray", None),
        ("numpy", "dtype", _dtype),
        ("_codecs", "encode", _encode),
        ("builtins", "bytes", _no_bytes),
        ("builtins", "set", _set),
        ("builtins", "frozenset", _frozen),
        ("collections", "OrderedDict", _table),
    )
}
"""What a pickle of plain containers, numbers, strings and arrays asks for, and what that stands for here."""

_SINGLE = (str, int, float, bytes, bool, type(None))


def _key(value: Any) -> Any:
    """A key of a table or part of a set: hashing what is nested, or chosen to collide, may never end."""
    parts = value if type(value) is tuple else (value,)
    for part in parts:
        if not (type(part) in _SINGLE or isinstance(part, np.generic)):
            raise UnsafePickleError(f"the pickle has a {type(part).__name__} in a key")
        if type(part) is int and abs(part) >> 60:
            raise UnsafePickleError("the pickle has a whole number beyond 60 bits in a key")
    return value


class Reader(pickle._Unpickler):
    """Python's machine for pickles, with the opcodes that build plain data and no others."""

    def __init__(self, stream: BinaryIO, encoding: str, room: int) -> None:
        super().__init__(stream, encoding=encoding)
        self._room = room

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name; nothing is imported."""
        plain = module.replace("numpy.core", "numpy._core").replace("__builtin__", "builtins")
        if (plain, name) not in _NAMES:
            asked = f"{module}.{name}"[:200]
            raise UnsafePickleError(f"the pickle asks for {asked}, which is not plain data")
        return _NAMES[plain, name]

    def _refuse(self) -> None:
        raise UnsafePickleError("the pickle makes objects of a class, or refers to some outside itself")

    def _call(self: Any) -> None:
        told, name = self.stack.pop(), self.stack[-1]
        if type(name) is not _Name or name.stands_for is None or type(told) is not tuple:
            raise UnsafePickleError("the pickle asks for a call of what is not plain data")
        self.stack[-1] = name.stands_for(*told)

    def _state(self: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is _Dtype:
            target.tell(state)
        elif type(target) is _Array:
            target.fill(state)
        else:
            raise UnsafePickleError(f"the pickle sets the state of {type(target).__name__}, not an array")

    def _in(self: Any, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise UnsafePickleError(f"the pickle puts parts into what is no {kind.__name__}")
        return self.stack[-1]

    def _append(self: Any) -> None:
        part = self.stack.pop()
        self._in(list).append(part)

    def _extend(self: Any) -> None:
        parts = self.pop_mark()
        self._in(list).extend(parts)

    def _set_item(self: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._in(dict)[_key(key)] = value

    def _set_items(self: Any) -> None:
        parts = self.pop_mark()
        self._in(dict).update(zip(map(_key, parts[::2]), parts[1::2], strict=True))

    def _add(self: Any) -> None:
        parts = self.pop_mark()
        self._in(set).update(map(_key, parts))

    def _dict(self: Any) -> None:
        parts = self.pop_mark()
        self.append(dict(zip(map(_key, parts[::2]), parts[1::2], strict=True)))

    def _frozenset(self: Any) -> None:
        parts = self.pop_mark()
        self.append(_frozen(parts))

    def _bytes(self: Any) -> None:
        """Python's own would first take as much memory as the file says."""
        length = int.from_bytes(self.read(8), "little")
        self.append(self.read(length))

    dispatch: ClassVar[dict[int, Any]] = dict.fromkeys(pickle._Unpickler.dispatch, _refuse)


def _count(machine: Any) -> None:
    machine._room -= 1
    if machine._room < 0:
        raise UnsafePickleError("the pickle has more parts than its bytes can speak of")


def _narrow(machine: Any) -> None:
    if machine.stack[-1].bit_length() > WIDEST:
        raise UnsafePickleError(f"the pickle has a whole number of more than {WIDEST} bits")


def _checked(work: Callable[[Any], None], check: Callable[[Any], None]) -> Callable[[Any], None]:
    def both(machine: Any) -> None:
        work(machine)
        check(machine)

    return both


_AS_PYTHON = (
    "PROTO FRAME STOP POP POP_MARK DUP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "BINBYTES SHORT_BINBYTES BINBYTES8 GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL"
)
_COUNTED = (
    "MARK EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT EMPTY_SET "
    "PUT BINPUT LONG_BINPUT MEMOIZE"
)
_NUMBERS = "INT LONG LONG1 LONG4"
_OURS = {
    "REDUCE": Reader._call, "BUILD": Reader._state, "APPEND": Reader._append, "APPENDS": Reader._extend,
    "SETITEM": Reader._set_item, "SETITEMS": Reader._set_items, "DICT": Reader._dict,
    "ADDITEMS": Reader._add, "FROZENSET": Reader._frozenset, "BYTEARRAY8": Reader._bytes,
}  # fmt: skip


def _dispatch() -> None:
    codes = {name: getattr(pickle, name)[0] for name in f"{_AS_PYTHON} {_COUNTED} {_NUMBERS}".split()}
    work = {name: pickle._Unpickler.dispatch[code] for name, code in codes.items()}
    work |= {name: _checked(work[name], _count) for name in _COUNTED.split()}
    work |= {name: _checked(work[name], _narrow) for name in _NUMBERS.split()}
    work |= _OURS
    Reader.dispatch.update({getattr(pickle, name)[0]: way for name, way in work.items()})


_dispatch()


class _Settling:
    """A last walk over what was told: arrays in place of their announcements, depth and size in bounds.

    A part that is named twice counts twice, for whoever goes through the data meets it twice.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._known: dict[int, tuple[Any, tuple[Any, int, int] | None]] = {}  # kept alive with their ids

    def settle(self, value: Any, depth: int) -> tuple[Any, int, int]:
        """Return a value, its parts and its depth."""
        kind = type(value)
        if kind is str or kind is bytes:
            return value, 1 + len(value) // 8, 0
        if kind in _SINGLE or isinstance(value, np.generic):
            return value, 1, 0
        if id(value) not in self._known:
            self._known[id(value)] = (value, None)
            self._known[id(value)] = (value, self._container(value, depth))
        settled = self._known[id(value)][1]
        if settled is None or depth + settled[2] > DEEPEST:
            raise UnsafePickleError(f"the pickle nests its data deeper than {DEEPEST}")
        if settled[1] > self._room:
            raise UnsafePickleError("the pickle unfolds to more than its bytes can speak of")
        return settled

    def _container(self, value: Any, depth: int) -> tuple[Any, int, int]:
        if depth > DEEPEST:
            raise UnsafePickleError(f"the pickle nests its data deeper than {DEEPEST}")
        kind = type(value)
        if kind is _Array and value.parts is not None:
            parts, size, height = self._parts(value.parts, depth)
            cells = np.empty(len(parts), dtype=object)
            for place, part in enumerate(parts):
                cells[place] = part
            return cells.reshape(value.shape), size, height
        if kind is _Array and value.value is not None:
            return value.value, 1 + value.value.nbytes // 8, 0
        if kind is np.ndarray:
            return value, 1 + value.nbytes // 8, 0
        if kind in (set, frozenset):
            return value, self._parts(list(value), depth)[1], 1
        if kind is dict:
            keys = self._parts(list(value), depth)[1]
            parts, size, height = self._parts(list(value.values()), depth)
            return dict(zip(value, parts, strict=True)), keys + size, height
        if kind in (list, tuple):
            parts, size, height = self._parts(value, depth)
            return kind(parts), size, height
        raise UnsafePickleError(f"the pickle holds a {kind.__name__}, which is not plain data")

    def _parts(self, values: Any, depth: int) -> tuple[list[Any], int, int]:
        parts, size, height = [], 1, 0
        for value in values:
            part, more, deep = self.settle(value, depth + 1)
            parts.append(part)
            size, height = size + more, max(height, deep)
        return parts, size, height + 1
