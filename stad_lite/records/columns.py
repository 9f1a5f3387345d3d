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

from stad_lite.errors import FormatError, StadError, TruncatedFileError
from stad_lite.records.document import from_document, to_document
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
    empty = {"boxes": np.zeros((0, 4)), "floats": np.zeros(0), "integers": np.zeros(0)}
    arrays = {
        name: np.concatenate([empty[name], *rows]).astype(_DTYPES[name]) for name, rows in pools.items()
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
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise TruncatedFileError(
            f"the archive cannot be read ({error})", remedy="copy the file again"
        ) from None
    except ValueError as error:
        raise FormatError(f"not an .npz of plain arrays ({error})") from None
    if set(arrays) != {"header", *_DTYPES}:
        raise FormatError(
            f"the archive holds {sorted(arrays)}", remedy=f"expected header, {', '.join(_DTYPES)}"
        )
    for name, dtype in _DTYPES.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != (2 if name == "boxes" else 1):
            raise FormatError(f"array {name} is {arrays[name].dtype} with {arrays[name].ndim} dimensions")
    try:
        document = json.loads(arrays["header"].tobytes().decode("utf-8"))
        _fill(document, arrays)
    except StadError:
        raise
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise FormatError(f"the header is damaged ({error})") from None
    return from_document(document)


def _fill(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Put the rows back in the places that the header keeps for them."""
    for name, video in document["videos"].items():
        for part in _parts(video):
            for key, pool in _LISTS.items():
                if isinstance(part.get(key), list):
                    start, stop = part[key]
                    if not 0 <= start <= stop <= len(arrays[pool]):
                        raise FormatError(f"the header points past the end of array {pool}", video=name)
                    part[key] = arrays[pool][start:stop]


def _parts(video: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of one video that may hold long lists."""
    return [video, *(video.get("tubes") or []), *([video["frames"]] if video.get("frames") else [])]
