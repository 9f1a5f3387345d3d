"""Checkpoints: all that a run needs to go on as if it had never stopped, written whole or not at all.

``last.pt`` and ``previous.pt`` lie in RUN/checkpoints; both hold tensors and plain numbers only.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from stad_lite import packed, tensors
from stad_lite.errors import FormatError, StadError, TruncatedFileError
from stad_lite.records import atomic_write

VERSION = 1
NAMES = ("last.pt", "previous.pt")
"""Of the checkpoints, the newest first."""


def random_states() -> dict[str, Any]:
    """Return the states of all generators (Python, numpy, torch, and CUDA where it is)."""
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    states = {
        "python": random.getstate(),
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Set all generators to what ``random_states`` returned."""
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def seed_all(seed: int) -> None:
    """Seed all generators; call it before the network is built, and two runs are the same."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def write(folder: Path, state: dict[str, Any]) -> Path:
    """Write a checkpoint as ``last.pt``; what was the last becomes ``previous.pt``.

    raises: StadError where the disk is full; then both earlier files are as they were
    """
    last, fresh = folder / "last.pt", folder / "fresh.pt"

    def put(content: memoryview) -> None:
        atomic_write(fresh, lambda stream: stream.write(content))
        if last.exists():
            os.replace(last, folder / "previous.pt")
        os.replace(fresh, last)

    return _put(last, state, f"step {state['step']}", put)


def write_weights(path: Path, network: nn.Module) -> Path:
    """Write the weights alone, under ``network``. raises: StadError where the disk is full"""
    return write_state(path, {"network": network.state_dict()})


def write_state(path: Path, state: dict[str, Any]) -> Path:
    """Write tensors and plain values under their names. raises: StadError where the disk is full"""
    return _put(path, state, path.stem, lambda content: atomic_write(path, lambda f: f.write(content)))


def _put(path: Path, state: dict[str, Any], what: str, put: Callable[[memoryview], object]) -> Path:
    content, folder = io.BytesIO(), path.parent
    torch.save({"version": VERSION, **state}, content)
    try:
        put(content.getbuffer())
    except OSError as error:
        free = shutil.disk_usage(folder).free if folder.exists() else 0
        raise StadError(
            f"{what} could not be saved ({error.strerror or error}): "
            f"{content.getbuffer().nbytes:,} bytes are needed and {free:,} free; the earlier ones are kept",
            file=path,
            remedy="make room and give the same command again",
        ) from error
    return path


def read(path: Path) -> dict[str, Any]:
    """Return a checkpoint, its tensors on the CPU.

    raises: TruncatedFileError where the file is cut off or damaged, FormatError where it is something else
    """
    try:
        with zipfile.ZipFile(path) as archive:
            packed.check_archive(archive, path)
            damaged = archive.testzip()  # torch itself does not look at the checksums
        if damaged:
            raise zipfile.BadZipFile(damaged)
        state = tensors.load(path)
    except (StadError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # torch.load names no common kind
        raise TruncatedFileError("the checkpoint is cut off or damaged", file=path) from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise FormatError(f"not a checkpoint of version {VERSION}", file=path)
    if not isinstance(state.get("network"), dict) or type(state.get("step", 0)) is not int:
        raise FormatError("a checkpoint without a network or step", file=path)
    return state


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """Return the tensors and plain numbers of a file in a cache, made now where it is missing or damaged."""
    try:
        return tensors.load(path)
    except Exception:  # torch.load names no common kind
        pass
    found = make()
    atomic_write(path, lambda stream: torch.save(found, stream))
    return found


def kept_of_cpu(path: Path, device: torch.device | str, make: Callable[[], Any]) -> Any:
    """Return ``kept``, of the CPU alone: what a device makes is made every time.

    There what it rests on, such as a pretrained backbone, may be another one next time.
    """
    return kept(path, make) if torch.device(device).type == "cpu" else make()


def place_of(path: Path, device: torch.device | str | None) -> Path:
    """Return where what a device makes is kept: what the CPU has made serves all, others are kept apart."""
    kind = torch.device(device or "cpu").type
    if kind == "cpu" or path.is_file():
        return path
    return path.with_name(f"{path.stem}-{kind}{path.suffix}")


def read_newest(folder: Path, say: Callable[[str], object] = print) -> dict[str, Any] | None:
    """Return the newest whole checkpoint of a run, None where it has none yet.

    folder: RUN/checkpoints
    say: is told of each damaged file that is passed over
    raises: TruncatedFileError where there are files and none is whole
    """
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)  # of a process that was killed while it wrote
    error: TruncatedFileError | None = None
    for name in NAMES:
        if not (folder / name).exists():
            continue
        try:
            state = read(folder / name)
        except TruncatedFileError as found:
            error = found
            say(f"{found}; taking the one before")
            continue
        return state
    if error is not None:
        error.remedy = "no whole checkpoint is left: delete the folder to start afresh"
        raise error
    return None
