"""Reading other people's pickles without running what is in them."""

from __future__ import annotations

import io
import pickle
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite.errors import MissingFileError, TruncatedFileError, UnsafePickleError

NUMPY_GLOBALS = frozenset(
    {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    }
)
"""What a pickle of plain containers, numbers, strings and numeric arrays asks for (old and new numpy)."""


class _Restricted(pickle.Unpickler):
    def __init__(
        self, stream: io.BytesIO, allowed: frozenset[tuple[str, str]], file: Path, encoding: str
    ) -> None:
        super().__init__(stream, encoding=encoding)
        self._allowed, self._file = allowed, file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise UnsafePickleError(
                f"the pickle asks for {module}.{name}, which is not plain data",
                file=self._file,
                remedy="get the file from its publisher again and compare its checksum",
            )
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickleError("the pickle refers to objects outside itself", file=self._file)


def load(
    path: str | PathLike[str],
    allowed: frozenset[tuple[str, str]] = NUMPY_GLOBALS,
    encoding: str = "ASCII",
) -> Any:
    """Return what a pickle holds, if it holds nothing but plain containers and numpy arrays.

    path: the file
    allowed: the (module, name) pairs that may be looked up; anything else stops the reading before
        it is called
    encoding: how 8-bit strings of Python 2 are read ("latin1" for numpy arrays of that age)
    raises: MissingFileError, TruncatedFileError, UnsafePickleError (also for object arrays' methods
        and for bytes that are no pickle)
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="check the path")
    data = path.read_bytes()
    try:
        return _Restricted(io.BytesIO(data), allowed, path, encoding).load()
    except UnsafePickleError:
        raise
    except EOFError:
        raise _truncated(path) from None
    except pickle.UnpicklingError as error:
        if "truncated" in str(error):
            raise _truncated(path) from None
        raise UnsafePickleError(
            f"not a readable pickle ({error})", file=path, remedy="check what kind of file it is"
        ) from None
    except Exception as error:  # a damaged pickle can make the machine raise nearly anything
        raise UnsafePickleError(
            f"not a readable pickle ({type(error).__name__}: {error})",
            file=path,
            remedy="check what kind of file it is",
        ) from None


def _truncated(path: Path) -> TruncatedFileError:
    return TruncatedFileError(
        "the pickle ends too early", file=path, remedy="download or copy the file again"
    )
