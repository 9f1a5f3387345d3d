"""JHMDB-21: 928 short clips of one actor each, in 21 classes, with three splits.

Three sources give the same boxes: the publisher's puppet masks (tight boxes of the foreground), the
field's pickle ``jhmdb_.pkl`` (928 of its 955 clips belong to the set), and plain arrays of the masks'
boxes. Their x2 and y2 are the last pixel; here boxes are half-open, so one is added.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite import matlab, packed, unpickle
from stad_lite.errors import FormatError, MissingFileError, StadError, TruncatedFileError, UnknownVideoError
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import read_json
from stad_lite.tubes import Tube

CLASSES = (
    "brush_hair",
    "catch",
    "clap",
    "climb_stairs",
    "golf",
    "jump",
    "kick_ball",
    "pick",
    "pour",
    "pullup",
    "push",
    "run",
    "shoot_ball",
    "shoot_bow",
    "shoot_gun",
    "sit",
    "stand",
    "swing_baseball",
    "throw",
    "walk",
    "wave",
)
"""Class names in the order of their indices (alphabetical)."""

WIDTH, HEIGHT, FPS = 320, 240, 30.0
"""Every clip is 320 x 240; the clips play at 30 frames a second."""

VIDEOS, FRAMES = 928, 31838
"""Clips and frames of the whole set."""

SPLITS = {1: (660, 268), 2: (658, 270), 3: (663, 265)}
"""Training and test clips of each split."""

Split = tuple[tuple[str, ...], tuple[str, ...]]
"""Training and test video ids."""


def mask_boxes(mask: np.ndarray) -> np.ndarray:
    """Return the tight box of the foreground on every frame.

    mask: (height, width, frames) nonzero on the person
    returns: (frames, 4) xyxy pixels, half-open; a frame without foreground gives NaN

    >>> mask = np.zeros((4, 6, 1)); mask[1:3, 2:5] = 1
    >>> mask_boxes(mask)
    array([[2., 1., 5., 3.]])
    """
    mask = np.asarray(mask) > 0
    if mask.ndim != 3:
        raise FormatError(f"the mask has shape {mask.shape}, not (height, width, frames)")
    columns, rows = np.asarray(mask.any(0)), np.asarray(mask.any(1))
    first = [side.argmax(0) for side in (columns, rows)]
    last = [side.shape[0] - side[::-1].argmax(0) for side in (columns, rows)]
    boxes = np.stack([*first, *last], 1).astype(np.float64)
    boxes[~columns.any(0)] = np.nan
    return boxes


def read_mask(path: str | PathLike[str]) -> np.ndarray:
    """Return the boxes of one published mask file (MATLAB v5, ``part_mask`` of height, width, frames).

    raises: MissingFileError, FormatError, with the file
    """
    content = matlab.read(path)
    if "part_mask" not in content:
        raise FormatError("there is no variable part_mask", file=path)
    try:
        mask = content["part_mask"]
        return mask_boxes(mask[:, :, None] if mask.ndim == 2 else mask)
    except StadError as error:
        raise error.at(file=path) from None


def read_masks(folder: str | PathLike[str]) -> Reading[Annotations]:
    """Return the annotations of a folder of puppet masks.

    folder: ``<class>/<clip>.mat`` or ``<class>/<clip>/puppet_mask.mat``
    raises: MissingFileError where there is no mask, FormatError with the file
    """
    folder, tally = Path(folder), Tally()
    files = {_mask_id(file, folder): file for file in sorted(folder.rglob("*.mat"))}
    if not files:
        raise MissingFileError("there is no mask", file=folder, remedy="expected <class>/<clip>.mat")
    boxes = {}
    for name, file in files.items():
        rows = read_mask(file)
        seen = ~np.isnan(rows[:, 0])
        tally.note("frames without foreground, taken from the neighbours", name, int((~seen).sum()))
        if not seen.any():
            raise FormatError("the mask has no foreground on any frame", file=file, video=name)
        known = np.flatnonzero(seen)
        boxes[name] = np.stack([np.interp(np.arange(len(rows)), known, rows[seen, i]) for i in range(4)], 1)
    return Reading(_annotations(boxes), tally.sentences())


def read_arrays(path: str | PathLike[str], index: str | PathLike[str]) -> Reading[Annotations]:
    """Return the annotations of plain arrays of the masks' boxes.

    path: .npz of boxes_xyxy (n, 4) with inclusive corners and video_offset (videos + 1,)
    index: JSON with the list ``videos`` in row order
    raises: MissingFileError, TruncatedFileError, FormatError
    """
    names, arrays = read_json(index), load_arrays(path, ("boxes_xyxy", "video_offset"))
    if not isinstance(names, Mapping) or not isinstance(names.get("videos"), list):
        raise FormatError("there is no list of videos", file=index)
    rows, offset = arrays["boxes_xyxy"].astype(np.float64) + [0, 0, 1, 1], arrays["video_offset"]
    if len(offset) != len(names["videos"]) + 1 or offset[-1] != len(rows):
        raise FormatError(
            f"{len(offset) - 1} videos in the arrays, {len(names['videos'])} in the index", file=path
        )
    parts = np.split(rows, offset[1:-1])
    return Reading(_annotations(dict(zip(map(str, names["videos"]), parts, strict=True))), [])


def load_arrays(path: str | PathLike[str], keys: Collection[str]) -> dict[str, np.ndarray]:
    """Return the named arrays of an .npz of plain arrays.

    raises: MissingFileError, TruncatedFileError, FormatError where one is missing
    """
    archive = packed.arrays(path)
    lacking = next((key for key in keys if key not in archive), None)
    if lacking is not None:
        raise FormatError(f"the archive lacks {lacking!r}", file=path)
    return {key: archive[key] for key in keys}


def read_pickle(
    path: str | PathLike[str],
    known: Collection[str] | None = None,
    num_frames: Mapping[str, int] | None = None,
) -> Reading[Annotations]:
    """Return the annotations of ``jhmdb_.pkl``.

    path: pickle of {video: {numf, label, annotations: {sf, ef, label, boxes}}}
    known: the clips that belong to the set (of the splits); others are dropped and counted
    num_frames: frames of the decoded clips; where a clip has more than boxes (two have one more), its
        first frames are the ones without a box, as the masks show
    raises: MissingFileError, TruncatedFileError, UnsafePickleError, FormatError with the video
    """
    table, tally, boxes = unpickle.load(path), Tally(), {}
    missing: dict[str, int] = {}
    if not isinstance(table, Mapping) or not table:
        raise FormatError("the pickle is not a table of videos", file=path)
    for name, entry in table.items():
        if known is not None and name not in known:
            tally.note("clips that are in no split, dropped", str(name))
            continue
        try:
            start, rows = _pickled(entry)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FormatError(f"the entry is garbled ({error!r})", file=path, video=str(name)) from None
        if start:
            raise FormatError(f"the tube starts at frame {start}, not 0", file=path, video=str(name))
        if int(entry["numf"]) != len(rows):
            tally.note("clips whose frame count is not their number of boxes, the boxes taken", str(name))
        missing[str(name)] = (num_frames or {}).get(str(name), len(rows)) - len(rows)
        tally.note(
            "clips with fewer boxes than frames, the first frames left bare", str(name), missing[str(name)]
        )
        boxes[str(name)] = rows.astype(np.float64) + [0, 0, 1, 1]
    for name in sorted(set(known or ()) - set(boxes)):
        tally.note("clips of the splits that the pickle lacks", name)
    try:
        return Reading(_annotations(boxes, missing), tally.sentences())
    except StadError as error:
        raise error.at(file=path) from None


def read_splits(path: str | PathLike[str]) -> dict[int, Split]:
    """Return the three splits: {number: (training ids, test ids)}.

    path: a folder or .tar.gz of ``<class>_test_split<n>.txt`` with lines ``<clip>.avi 1|2``
        (1 training, 2 test; 0, where it stands, neither)
    raises: MissingFileError, FormatError with file and line
    """
    splits: dict[int, tuple[list[str], list[str]]] = {}
    for file, text in _split_files(Path(path)):
        label, found, number = file.removesuffix(".txt").rpartition("_test_split")
        if not found or not number.isdigit():
            continue
        lists = splits.setdefault(int(number), ([], []))
        for line, content in enumerate(text.splitlines(), 1):
            clip, _, group = content.strip().rpartition(" ")
            if not content.strip():
                continue
            if group not in ("0", "1", "2"):
                raise FormatError(f"line {line} is {content!r}, not a clip and 0, 1 or 2", file=file)
            if group != "0":
                lists[int(group) - 1].append(f"{label}/{clip.strip().removesuffix('.avi')}")
    if not splits:
        raise MissingFileError("there is no split file", file=path, remedy="expected <class>_test_split1.txt")
    return {number: (tuple(train), tuple(test)) for number, (train, test) in sorted(splits.items())}


def check_splits(splits: Mapping[int, Split], videos: Collection[str]) -> list[str]:
    """Return a sentence for every count or id in which splits and annotations differ from the set's.

    An empty list says: three splits of 660 + 268, 658 + 270 and 663 + 265 clips, disjoint, and each
    covers all 928.
    """
    problems = []
    if len(videos) != VIDEOS:
        problems.append(f"{len(videos)} clips are annotated, the set has {VIDEOS}")
    for number, sizes in SPLITS.items():
        train, test = splits.get(number, ((), ()))
        if (len(train), len(test)) != sizes:
            problems.append(
                f"split {number} has {len(train)} + {len(test)} clips, not {sizes[0]} + {sizes[1]}"
            )
        if set(train) & set(test):
            problems.append(f"split {number} trains and tests on {sorted(set(train) & set(test))[0]}")
        if {*train, *test} != set(videos):
            first = sorted({*train, *test} ^ set(videos))[0]
            problems.append(f"split {number} and the annotations differ in {first}")
    return problems


def load(folder: str | PathLike[str]) -> Reading[Annotations]:
    """Return the annotations of a data-set folder, from the best source that is in it.

    folder: holds ``puppet_mask`` for all clips of the splits, else ``jhmdb21_mask_boxes.npz`` with
        ``jhmdb21_index.json``, else ``jhmdb_.pkl``; the splits lie in ``splits`` or ``splits.tar.gz``
    raises: MissingFileError where none is there, and what the readers raise
    """
    folder = Path(folder)
    splits = folder / "splits" if (folder / "splits").is_dir() else folder / "splits.tar.gz"
    known = {name for pair in read_splits(splits).values() for names in pair for name in names}
    masks = folder / "puppet_mask"
    if masks.is_dir() and known <= {_mask_id(file, masks) for file in masks.rglob("*.mat")}:
        return read_masks(masks)
    if (folder / "jhmdb21_mask_boxes.npz").is_file():
        return read_arrays(folder / "jhmdb21_mask_boxes.npz", folder / "jhmdb21_index.json")
    if (folder / "jhmdb_.pkl").is_file():
        return read_pickle(folder / "jhmdb_.pkl", known)
    raise MissingFileError(
        "there are no boxes", file=folder, remedy="put puppet_mask/<class>/<clip>.mat or jhmdb_.pkl here"
    )


def split(folder: str | PathLike[str], number: int, subset: str) -> tuple[str, ...]:
    """Return the ids of one split's ``train`` or ``test`` list of a data-set folder.

    raises: UnknownVideoError for another number or subset
    """
    folder = Path(folder)
    place = folder / "splits" if (folder / "splits").is_dir() else folder / "splits.tar.gz"
    splits = read_splits(place)
    if number not in splits or subset not in ("train", "test"):
        raise UnknownVideoError(f"there is no list {subset} of split {number}", file=place)
    return splits[number][subset == "test"]


def _annotations(boxes: Mapping[str, np.ndarray], bare: Mapping[str, int] | None = None) -> Annotations:
    videos = {}
    for name, rows in boxes.items():
        start = (bare or {}).get(name, 0)
        try:
            tubes = (Tube(start, rows, name.split("/")[0]),)
        except StadError as error:
            raise error.at(video=name, tube=0) from None
        frames = start + len(rows)
        videos[name] = VideoAnnotation(frames, WIDTH, HEIGHT, FPS, frames / FPS, tubes=tubes)
    return Annotations("jhmdb21", CLASSES, videos)


def _pickled(entry: Any) -> tuple[int, np.ndarray]:
    tube = entry["annotations"]
    rows = np.asarray(tube["boxes"])
    if rows.ndim != 2 or rows.shape[1] != 4 or rows.dtype.kind not in "iuf":
        raise ValueError(f"boxes of type {rows.dtype} and shape {rows.shape}")
    if int(tube["ef"]) - int(tube["sf"]) != len(rows):
        raise ValueError(f"{len(rows)} boxes for frames {tube['sf']} to {tube['ef']}")
    return int(tube["sf"]), rows


def _mask_id(file: Path, folder: Path) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return "/".join(parts[:-1] if parts[-1] == "puppet_mask" else parts)


def _split_files(path: Path) -> list[tuple[str, str]]:
    if path.is_dir():
        return [(file.name, file.read_text("utf-8-sig")) for file in sorted(path.rglob("*.txt"))]
    return [(name.rsplit("/", 1)[-1], text) for name, text in archive_texts(path)]


def archive_texts(path: str | PathLike[str]) -> list[tuple[str, str]]:
    """Return (name, text) of every .txt file in a tar archive, by name.

    raises: MissingFileError, TruncatedFileError, FormatError
    """
    texts, data = [], packed.read(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".txt"):
                    if member.issparse() or member.offset_data + member.size > len(data):
                        raise TruncatedFileError(
                            "the archive ends too early", file=path, remedy="copy it again"
                        )
                    content = data[member.offset_data : member.offset_data + member.size]
                    texts.append((member.name, content.decode("utf-8-sig")))
    except (tarfile.TarError, OSError, UnicodeDecodeError, OverflowError) as error:
        raise FormatError(f"not a readable archive ({error})", file=path) from None
    return sorted(texts)
