"""VGG Image Annotator: frames as pictures (VIA 2 CSV or JSON) and videos (a VIA 3 project, format 3.1).

In VIA 2 each picture is a frame, whose file's name ends in its number: ``clip1/frame_0012.jpg`` and
``clip1_0012.jpg`` are of the video ``clip1``, ``0012.jpg`` of the video that the annotations' file is called
after. In VIA 3 rectangles stand at seconds of a video, and spans of time without a rectangle are segments.

VIA knows classes and tracks as attributes alone. A region's class is its attribute ``label``; regions with
one value of the attribute ``track`` are one tube. Between pictures of a video that follow each other in the
file, or between instants in VIA 3, boxes are linear. Without that attribute boxes stand on single frames.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stad_lite.errors import FormatError, StadError, UnknownVideoError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import read_json, read_text
from stad_lite.records.exchange.tracks import (
    LATEST,
    Box,
    Key,
    corners,
    entries,
    following,
    number,
    table,
    tubes_with_gaps,
)
from stad_lite.records.files import without_ending
from stad_lite.records.types import Annotations, FrameBoxes, Segment, VideoAnnotation

RECTANGLE = 2
"""VIA 3's number of the shape, which stands before x, y, width and height."""
COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
BETWEEN = "_-./\\ "
"""What may stand between a video's name, a word of ``CALLED`` and a picture's number."""
CALLED = ("frame", "image", "img")


class Region(NamedTuple):
    """What was drawn: a box on a frame, or a span of seconds; with its attributes."""

    video: str
    frame: int
    box: Box | None
    span: tuple[float, float] | None
    attributes: dict[str, str]


def read_ground_truth(
    path: str | PathLike[str],
    label: str = "",
    track: str = "track",
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    first: int = 1,
    dataset: str = "via",
) -> Reading[Annotations]:
    """Return what was drawn in a VIA 2 export or project, or in a VIA 3 project.

    label: the attribute that holds the class; without it the only one beside ``track``
    track: the attribute whose value names the actor
    size: (width, height) of the frames, which VIA does not keep
    fps: frames a second; VIA 3 needs it
    first: number of the first picture of a video (VIA 2); FFmpeg counts from 1
    raises: MissingFileError, FormatError and what ``Tube`` and the record raise, with file, track and frame
    """
    path, tally = Path(path), Tally()
    try:
        regions, looked = _regions(path, fps, first, tally)
        label = label or _only_attribute(regions, track)
        classes = tuple(sorted({_class(region, label) for region in regions}))
        videos = {}
        for name, frames in looked.items():
            own = [region for region in regions if region.video == name]
            if size is None and any(region.box for region in own):
                remedy = "give it, as --size WIDTH,HEIGHT"
                raise FormatError("VIA does not keep the size of the frames", video=name, remedy=remedy)
            try:
                videos[name] = _video(own, label, track, frames, classes, size, fps)
            except StadError as error:
                raise error.at(video=name) from None
        return Reading(Annotations(dataset, classes, videos), tally.sentences())
    except StadError as error:
        raise error.at(file=path) from None


def _regions(
    path: Path, fps: float | None, first: int, tally: Tally
) -> tuple[list[Region], dict[str, set[int]]]:
    """All regions, and video -> the frames that were looked at, none in VIA 3."""
    if path.suffix.lower() == ".csv":
        return _pictures(_csv(path), path.stem, first, tally)
    document = table(read_json(path), "the file")
    if "metadata" in document and "view" in document:
        if not fps:
            remedy = "give the videos' rate, as --fps 25"
            raise FormatError("VIA 3 keeps seconds, not frames", remedy=remedy)
        return _moments(document, fps, tally)
    pictures = table(document.get("_via_img_metadata", document), "_via_img_metadata")
    return _pictures(_json(pictures), path.stem, first, tally)


def _csv(path: Path) -> Iterator[tuple[str, Any, Any]]:
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path).lstrip("#"))))
    except csv.Error as error:
        raise FormatError(f"not a table ({error})", remedy="export the file again") from None
    for line, row in enumerate(rows, 2):
        cells = [row.get(name) for name in COLUMNS]
        if None in cells:
            raise FormatError(f"row {line} lacks one of {', '.join(COLUMNS)}", remedy="export VIA's CSV")
        try:
            yield str(cells[0]), json.loads(str(cells[1])), json.loads(str(cells[2]))
        except (ValueError, RecursionError):
            raise FormatError(f"row {line} has attributes that are no JSON") from None


def _json(pictures: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for entry in pictures.values():
        picture = table(entry, "a picture")
        name, regions = str(picture.get("filename", "")), picture.get("regions", [])
        drawn = list(regions.values()) if isinstance(regions, dict) else entries(regions, "regions")  # VIA 1
        if not drawn:
            yield name, {}, {}
        for region in drawn:
            about = table(region, "a region")
            yield name, about.get("shape_attributes"), about.get("region_attributes", {})


def _pictures(
    drawn: Iterator[tuple[str, Any, Any]], stem: str, first: int, tally: Tally
) -> tuple[list[Region], dict[str, set[int]]]:
    regions: list[Region] = []
    looked: dict[str, set[int]] = {}
    for name, shape, attributes in drawn:
        video, frame = _place(name, stem, first)
        looked.setdefault(video, set()).add(frame)
        shape = table(shape, "a region's shape")
        if shape.get("name") == "rect":
            box = corners([shape.get(key) for key in ("x", "y", "width", "height")], frame)
            told = table(attributes, "a region's attributes")
            regions.append(Region(video, frame, box, None, {k: _word(v) for k, v in told.items()}))
        elif shape:
            tally.note("regions that are no rectangles, left out", video)
    return regions, looked


def _place(name: str, stem: str, first: int) -> tuple[str, int]:
    """Video and frame of a picture."""
    whole = name.rpartition(".")[0]
    video = whole.rstrip("0123456789")
    digits = whole[len(video) :]
    if not 0 < len(digits) <= 10:
        raise FormatError(f"the picture {name[:80]!r} has no number", remedy="name pictures VIDEO_NUMBER.jpg")
    if not 0 <= int(digits) - first < LATEST:
        remedy = "say which number the first picture has, as --first 0"
        raise FormatError(f"the picture {name[:80]!r} has number {int(digits)}", remedy=remedy)
    video = video.rstrip(BETWEEN)
    for word in CALLED:
        rest = video[: -len(word)]
        if video.lower().endswith(word) and (not rest or rest[-1] in BETWEEN):
            video = rest.rstrip(BETWEEN)
    return video or stem, int(digits) - first


def _word(value: Any) -> str:
    """An attribute's value; of a checkbox, the boxes that are ticked."""
    if isinstance(value, dict):
        return ",".join(sorted(str(key) for key, ticked in value.items() if ticked))
    return str(value)


def _moments(
    document: Mapping[str, Any], fps: float, tally: Tally
) -> tuple[list[Region], dict[str, set[int]]]:
    files = table(document.get("file", {}), "file")
    names = {}
    for key, view in table(document["view"], "view").items():
        shown = entries(table(view, "a view").get("fid_list", []), "fid_list")
        if len(shown) != 1 or str(shown[0]) not in files:
            raise FormatError(f"view {key!r} does not show one file", remedy="show one video a view")
        names[key] = without_ending(str(table(files[str(shown[0])], "a file").get("fname", "")))
    about = table(document.get("attribute", {}), "attribute")
    attributes = {key: table(entry, "an attribute") for key, entry in about.items()}
    regions = []
    for key, entry in table(document["metadata"], "metadata").items():
        about = table(entry, "an entry of metadata")
        video = names.get(str(about.get("vid")))
        if video is None:
            raise UnknownVideoError(f"entry {key!r} is of view {about.get('vid')!r}, which is not there")
        values = {
            _attribute(attributes, one): _option(attributes, one, str(value))
            for one, value in table(about.get("av", {}), "av").items()
        }
        z = [number(second, "a time") for second in entries(about.get("z", []), "z")]
        xy = entries(about.get("xy", []), "xy")
        if len(z) == 1 and len(xy) == 5 and xy[0] == RECTANGLE:
            frame = int(min(max(z[0] * fps + 0.01, 0), LATEST))  # a player's second may fall short by a bit
            regions.append(Region(video, frame, corners(xy[1:], frame), None, values))
        elif len(z) == 2 and not xy:
            regions.append(Region(video, 0, None, (z[0], z[1]), values))
        else:
            tally.note("entries that are neither a rectangle at a time nor a span, left out", video)
    return regions, {name: set() for name in names.values()}


def _attribute(attributes: Mapping[str, Mapping[str, Any]], key: str) -> str:
    return str(attributes.get(key, {}).get("aname", key))


def _option(attributes: Mapping[str, Mapping[str, Any]], key: str, value: str) -> str:
    options = attributes.get(key, {}).get("options")
    return str(options.get(value, value)) if isinstance(options, dict) else value


def _only_attribute(regions: list[Region], track: str) -> str:
    names = sorted({name for region in regions for name in region.attributes} - {track})
    if len(names) != 1 and regions:
        problem = f"the regions have the attributes {', '.join(names) or 'none'}"
        raise FormatError(problem, remedy="say which is the class, as --label NAME")
    return names[0] if names else ""


def _class(region: Region, label: str) -> str:
    found = region.attributes.get(label, "")
    if not found:
        where = {} if region.span else {"frame": region.frame}
        problem = f"a region has no attribute {label!r}"
        remedy = "give every region its class, or name another attribute with --label"
        raise FormatError(problem, video=region.video, remedy=remedy, **where)  # type: ignore[arg-type]
    return found


def _video(
    own: list[Region], label: str, track: str, looked: set[int], classes: tuple[str, ...],
    size: tuple[int, int] | None, fps: float | None,
) -> VideoAnnotation:  # fmt: skip
    tracks: dict[str, list[Key]] = {}
    single: list[tuple[int, int, Box]] = []
    segments = []
    for region in own:
        named = _class(region, label)
        if region.span:
            segments.append(Segment(named, *region.span))
        elif region.box and region.attributes.get(track):
            key = Key(region.frame, region.box, named)
            tracks.setdefault(region.attributes[track], []).append(key)
        elif region.box:
            single.append((region.frame, classes.index(named), region.box))
    tubes = tubes_with_gaps(tracks, following(looked))
    frames = None
    if single:
        frame, index, box = zip(*single, strict=True)
        frames = FrameBoxes(np.array(frame), np.array(index), np.array(box))
    width, height = size or (None, None)
    return VideoAnnotation(
        width=width, height=height, fps=fps, tubes=tuple(tubes) if tracks else None,
        frames=frames, segments=tuple(segments) if segments else None,
    )  # fmt: skip
