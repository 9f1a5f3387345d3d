"""The ``.npz`` twin: the JSON document with its long lists moved into plain arrays.

``header`` is the JSON document in which each list of boxes or numbers is replaced by the range
[start, stop) of its rows in one of the arrays ``boxes``, ``floats`` and ``integers``; labels of
single-frame boxes are indices in ``integers``. No array holds Python objects.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stad_lite import packed
from stad_lite.errors import FormatError, StadError, UnsignedBoxError
from stad_lite.records.document import from_document, parse, to_document
from stad_lite.records.typed import from_header
from stad_lite.records.types import Annotations, Predictions

_LISTS = {
    "boxes": "boxes",
    "box": "boxes",
    "box_scores": "floats",
    "score": "floats",
    "frame": "integers",
    "person": "integers",
    "label": "integers",
    "evaluated_frames": "integers",
    "times": "floats",
}
"""Which array holds the list that stands under a key (``score`` and ``label`` of a tube are no lists)."""

_DTYPES = {"boxes": np.float64, "floats": np.float64, "integers": np.int64}


def write_arrays(record: Annotations | Predictions, stream: BinaryIO) -> None:
    """Write a record as .npz to an open binary file; equal records give equal bytes."""
    document = to_document(record, plain=False)
    pools: dict[str, list[np.ndarray]] = {name: [] for name in _DTYPES}
    filled = dict.fromkeys(_DTYPES, 0)
    for video in document["videos"].values():
        for part in _parts(video):
            for key, pool in _LISTS.items():
                if isinstance(part.get(key), np.ndarray):
                    rows = part[key]
                    part[key] = [filled[pool], filled[pool] + len(rows)]
                    filled[pool] += len(rows)
                    pools[pool].append(rows)
    arrays = {
        name: np.concatenate([np.zeros((0, 4) if name == "boxes" else 0, _DTYPES[name]), *rows])
        for name, rows in pools.items()
    }
    header = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    arrays["header"] = np.frombuffer(header.encode("utf-8"), dtype=np.uint8)
    # np.savez stamps the time of writing into the archive; a fixed stamp keeps equal records equal.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True
            ) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_arrays(path: Path) -> Annotations | Predictions:
    """Return the record that an .npz twin holds.

    raises: TruncatedFileError, FormatError and what ``document.from_document`` raises
    """
    arrays = packed.arrays(path)
    if set(arrays) != {"header", *_DTYPES}:
        raise FormatError(
            f"the archive holds {sorted(arrays)}", remedy=f"expected header, {', '.join(_DTYPES)}"
        )
    for name, dtype in {**_DTYPES, "header": np.uint8}.items():
        array, columns = arrays[name], 2 if name == "boxes" else 1
        if name == "boxes" and array.dtype.kind == "u":
            raise UnsignedBoxError(
                f"array boxes is {array.dtype}, in which a sum of corners wraps around",
                remedy="write the boxes as float64",
            )
        if array.dtype != dtype or array.ndim != columns or (columns == 2 and array.shape[1] != 4):
            raise FormatError(
                f"array {name} is {array.dtype} of shape {array.shape}",
                remedy=f"write {np.dtype(dtype)} of {columns} dimension{'s' * (columns - 1)}",
            )
    header = arrays["header"].tobytes()
    record = from_header(header, {name: arrays[name] for name in _DTYPES})
    if record is not None:
        return record
    document = parse(header)
    try:
        _fill(document, arrays)
    except StadError:
        raise
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise FormatError(
            f"the header is damaged ({type(error).__name__}: {error})", remedy="write the file again"
        ) from None
    return from_document(document)


def _fill(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Put the rows back in the places that the header keeps for them."""
    left = {pool: len(rows) for pool, rows in arrays.items()}
    for name, video in document["videos"].items():
        for part in _parts(video):
            for key, pool in _LISTS.items():
                if isinstance(part.get(key), list):
                    start, stop = part[key]
                    if (
                        type(start) is not int
                        or type(stop) is not int
                        or not 0 <= start <= stop <= len(arrays[pool])
                    ):
                        raise FormatError(
                            f"the header points to rows {start!r} to {stop!r} of array {pool}, which has "
                            f"{len(arrays[pool])}",
                            video=name,
                            remedy="write the file again",
                        )
                    left[pool] -= stop - start
                    if left[pool] < 0:
                        raise FormatError(
                            f"the header points to rows of array {pool} more than once",
                            video=name,
                            remedy="write the file again",
                        )
                    part[key] = arrays[pool][start:stop]


def _parts(video: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of one video that may hold long lists."""
    return [video, *(video.get("tubes") or []), *([video["frames"]] if video.get("frames") else [])]
