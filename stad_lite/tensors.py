"""Reading torch's files: nothing in them runs, and memory and time follow their bytes.

torch's own ``weights_only`` keeps code out, but hashes keys of tuples within tuples without end, and gives
back tensors of any size over storages of a few bytes.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor
from torch.serialization import MAGIC_NUMBER

from stad_lite import packed
from stad_lite.errors import FormatError, StadError, TruncatedFileError
from stad_lite.unpickle import SPARE, Reader

_HEADS = 5
"""Pickles at the head of a file of torch before 1.6: mark, version, system, content, names of storages."""


def load(path: str | PathLike[str]) -> Any:
    """Return what a torch file holds, its tensors on the CPU and all of them backed by their bytes.

    Together they take at most ``packed.limit`` of the file's bytes (50 times as many, or 16 MiB), each
    counted for itself.
    raises: FormatError for what takes more or is of another kind, UnsafePickleError for keys that may never
        end to be hashed, TruncatedFileError for damage that stops the outline, and what ``torch.load`` raises
    """
    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                packed.check_archive(archive, path)
                for name in archive.namelist():
                    if name.endswith("/data.pkl") or name == "data.pkl":
                        _Outline(io.BytesIO(archive.read(name)), path.stat().st_size).load()
        else:
            with path.open("rb") as stream:
                for number in range(_HEADS):
                    told = _Outline(stream, path.stat().st_size).load()
                    if number == 0 and told != MAGIC_NUMBER:
                        break  # torch reads no further either, and says what is wrong
    except StadError as error:
        raise error.at(file=path) from None
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can make the machine raise nearly anything
        raise TruncatedFileError(
            f"not a file of torch, or a damaged one ({error})", file=path, remedy="fetch it again"
        ) from error
    content = torch.load(path, map_location="cpu", weights_only=True)
    check(content, path)
    return content


def check(content: Any, path: Path) -> None:
    """Refuse tensors of more elements than bytes, or that together outgrow their file. raises: FormatError"""
    room, left, seen = packed.limit(path.stat().st_size), [content], set()
    while left:
        one = left.pop()
        if isinstance(one, Mapping | list | tuple):
            if id(one) not in seen:
                seen.add(id(one))
                left.extend(one.values() if isinstance(one, Mapping) else one)
        elif isinstance(one, Tensor):
            if one.layout != torch.strided or one.device.type != "cpu" or one.is_quantized:
                raise FormatError("a tensor that is no plain array", file=path, remedy="save dense tensors")
            size = one.numel() * one.element_size()
            room -= size
            if size > one.untyped_storage().nbytes() or room < 0:
                raise FormatError(
                    f"a tensor of {tuple(one.shape)} is more than the file holds",
                    file=path,
                    remedy="save contiguous tensors",
                )


class _Told:
    """Stands for what torch makes of a call; it is nobody's key."""


class _Outline(Reader):
    """Goes through a pickle of torch as ``torch.load`` will, making nothing but containers."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        super().__init__(stream, "latin1", SPARE + 2 * size)

    def find_class(self, module: str, name: str) -> Any:
        """Return a mark; whether the name may stand there is for ``torch.load`` to say."""
        return dict if name in ("OrderedDict", "Counter") else _Told

    def _call(self: Any) -> None:
        self.stack.pop()
        self.stack[-1] = {} if self.stack[-1] is dict else _Told()

    def _state(self: Any) -> None:
        self.stack.pop()

    def _outside(self: Any) -> None:
        self.stack[-1] = _Told()

    def _named_outside(self: Any) -> None:
        self.readline()
        self.append(_Told())

    dispatch: ClassVar[dict[int, Any]] = {
        **Reader.dispatch,
        pickle.REDUCE[0]: _call,
        pickle.NEWOBJ[0]: _call,
        pickle.BUILD[0]: _state,
        pickle.BINPERSID[0]: _outside,
        pickle.PERSID[0]: _named_outside,
    }
