"""Reading other people's pickles without running what is in them."""

from __future__ import annotations

import gzip
import io
import pickle
import zlib
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from stad_lite.errors import FormatError, MissingFileError, TruncatedFileError, UnsafePickleError

NUMPY_GLOBALS = frozenset(
    {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        ("__builtin__", "bytes"),
        ("__builtin__", "set"),
        ("__builtin__", "frozenset"),
        ("builtins", "set"),
        ("builtins", "frozenset"),
    }
)
"""What a pickle of plain containers, numbers, strings and numeric arrays asks for (old and new numpy)."""


def _dtype(name: str, align: bool = False, copy: bool = False) -> np.dtype:
    """Make a dtype by its name only: no fields, and always a copy, for BUILD changes it in place."""
    dtype = np.dtype(name, copy=True) if isinstance(name, str) else None
    if dtype is None or dtype.kind not in "biufcmMSUO":
        raise UnsafePickleError(f"the pickle asks for dtype {name!r}, which is not plain data")
    return dtype


def _frombuffer(buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Make the array of a pickle of protocol 5 (numpy's own function has attributes to tamper with)."""
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)  # type: ignore[call-overload]


def _encode(text: str, encoding: str) -> bytes:
    """Make the bytes that protocols 0 to 2 write as text; other codecs may import and expand things."""
    if encoding != "latin1":
        raise UnsafePickleError(f"the pickle asks for the codec {encoding!r}, which is not plain data")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Make the empty bytes of protocols 0 to 2 (the built-in would also take a size to allocate)."""
    return b""


_STAND_INS = {"dtype": _dtype, "_frombuffer": _frombuffer, "encode": _encode, "bytes": _no_bytes}


class _Restricted(pickle._Unpickler):
    """Python's own unpickler in Python: unlike the one in C it lets BUILD be guarded."""

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream: io.BytesIO, allowed: frozenset[tuple[str, str]], encoding: str) -> None:
        super().__init__(stream, encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise UnsafePickleError(f"the pickle asks for {module}.{name}, which is not plain data")
        if (module, name) in NUMPY_GLOBALS and name in _STAND_INS:
            return _STAND_INS[name]
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickleError("the pickle refers to objects outside itself")

    def load_build(self: Any) -> None:
        """Set an object's state, if it is an array or says of a dtype nothing but its byte order.

        A dtype that lies about its flags would make numpy take bytes of the file for pointers.
        """
        target, state = self.stack[-2:]
        if isinstance(target, np.dtype):
            honest = (None, None, None, (-1, target.itemsize), (-1, target.alignment), target.flags)
            told = state[2:8] if isinstance(state, tuple) and len(state) >= 8 else ()
            same = [a in b if isinstance(b, tuple) else a == b for a, b in zip(told, honest, strict=False)]
            if len(same) != len(honest) or not all(same):
                raise UnsafePickleError("the pickle gives a dtype a state that is not its own")
        elif type(target) is not np.ndarray:
            raise UnsafePickleError(f"the pickle sets the state of {type(target).__name__}, not an array")
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)

    dispatch[pickle.BUILD[0]] = load_build


def load(
    path: str | PathLike[str],
    allowed: frozenset[tuple[str, str]] = NUMPY_GLOBALS,
    encoding: str = "ASCII",
) -> Any:
    """Return what a pickle holds, if it holds nothing but plain containers and numpy arrays.

    path: the file, plain or gzipped
    allowed: the (module, name) pairs that may be looked up; anything else stops the reading before
        it is called
    encoding: how 8-bit strings of Python 2 are read ("latin1" for numpy arrays of that age)
    raises: MissingFileError, TruncatedFileError, FormatError (damaged gzip), UnsafePickleError (also for
        dtypes with a forged state and for bytes that are no pickle)
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="check the path")
    data = _content(path)
    stream = io.BytesIO(data)
    try:
        return _Restricted(stream, allowed, encoding).load()
    except UnsafePickleError as error:
        remedy = "get the file from its publisher again and compare its checksum"
        raise error.at(file=path, remedy=remedy) from None
    except Exception as error:  # a damaged pickle can make the machine raise nearly anything
        at_the_end = stream.tell() == len(data) and not data.endswith(pickle.STOP)
        if at_the_end or isinstance(error, EOFError):
            raise _truncated("pickle", path) from None
        raise UnsafePickleError(
            f"not a readable pickle ({type(error).__name__}: {error})",
            file=path,
            remedy="check what kind of file it is",
        ) from None


def _content(path: Path) -> bytes:
    """The bytes of a file, unpacked where they are gzipped."""
    data = path.read_bytes()
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except EOFError:
        raise _truncated("gzip stream", path) from None
    except (OSError, zlib.error) as error:
        raise FormatError(f"not a gzip file ({error})", file=path, remedy="copy the file again") from None


def _truncated(what: str, path: Path) -> TruncatedFileError:
    return TruncatedFileError(
        f"the {what} ends too early", file=path, remedy="download or copy the file again"
    )
