"""CVAT for video, version 1.1: an XML file of tracks, as CVAT exports it (unpacked from its zip file).

``annotations/meta`` tells the labels, the number of frames and ``original_size``; each ``track`` holds
``box`` elements with ``frame`` (from 0), ``outside``, ``keyframe``, ``xtl``, ``ytl``, ``xbr`` and ``ybr``.
As in CVAT, keyframes alone count: between them boxes are linear, one with ``outside="1"`` ends the tube, and
the last one is held to the end of the task. A document type declaration, which could swell or read files, is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from stad_lite import packed
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.tracks import Key, number, of_track, tubes_of, whole
from stad_lite.records.files import atomic_write, safe_name, without_ending, write_folder
from stad_lite.records.types import Annotations, VideoAnnotation
from stad_lite.tubes import Tube

VERSION = "1.1"
EDGES = ("xtl", "ytl", "xbr", "ybr")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def read_ground_truth(
    path: str | PathLike[str], label: str = "", dataset: str = "cvat"
) -> Reading[Annotations]:
    """Return the tracks of a file, or of all .xml files of a folder, one video each.

    label: the attribute whose value is the class; without it the track's own label is. A tube ends where the
        attribute changes at a keyframe
    raises: MissingFileError, FormatError and what ``Tube`` and the record raise, with file, track and frame
    """
    path, tally = Path(path), Tally()
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise MissingFileError("the folder holds no .xml file", file=path, remedy="unpack CVAT's zip file")
    videos: dict[str, VideoAnnotation] = {}
    classes: dict[str, None] = {}
    for file in files:
        try:
            name, video, labels = _read(file, label, tally)
            if name in videos:
                problem = f"a second file is of the video {name}"
                raise FormatError(problem, remedy="join their tasks in CVAT, or rename one")
        except StadError as error:
            raise error.at(file=file) from None
        videos[name] = video
        classes |= dict.fromkeys(labels)
    try:
        return Reading(Annotations(dataset, tuple(classes), videos), tally.sentences())
    except StadError as error:
        raise error.at(file=path) from None


class _Plain(ElementTree.TreeBuilder):
    """A tree that knows no document type, so that no entity can be declared."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """Refuse it where it begins. raises: FormatError"""
        remedy = "CVAT writes none; check where the file comes from"
        raise FormatError("the XML declares a document type", remedy=remedy)


def _tree(file: Path) -> ElementTree.Element:
    data = packed.read(file)
    parser = ElementTree.XMLParser(target=_Plain())
    try:
        parser.feed(data)
        root = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, StadError):
            raise
        remedy = "unpack the zip file first" if data.startswith(b"PK") else "export the file again"
        raise FormatError(f"not XML ({error})", remedy=remedy) from None
    if root.tag != "annotations":
        raise FormatError(
            f"the XML is of {root.tag!r}, not of annotations", remedy="export CVAT for video 1.1"
        )
    return root


def _read(file: Path, attribute: str, tally: Tally) -> tuple[str, VideoAnnotation, list[str]]:
    """The video's id, its tubes, and the classes that the file knows."""
    root = _tree(file)
    if (version := root.findtext("version")) != VERSION:
        raise FormatError(f"the version is {version!r}", remedy="export CVAT for video 1.1")
    task = next((found for kind in ("task", "job") if (found := root.find(f"meta/{kind}")) is not None), None)
    if task is None or root.find("image") is not None:
        remedy = "export each task of the project by itself, as CVAT for video 1.1"
        raise FormatError("this is no task of one video", remedy=remedy)
    name = without_ending(root.findtext("meta/source") or task.findtext("source") or file.stem)
    first, last, count = (
        None if (text := task.findtext(key)) is None else whole(text, key)
        for key in ("start_frame", "stop_frame", "size")
    )
    all_frames = task.tag == "task" and not first and not task.findtext("frame_filter")
    end = None if last is None else last + 1
    if end is None and all_frames:
        end = count
    size: dict[str, Any] = {
        key: whole(text, key, 1)
        for key in ("width", "height")
        if (text := root.findtext(f"meta//original_size/{key}")) is not None
    }
    tubes: list[Tube] = []
    for track in root.iter("track"):
        with of_track(track.get("id", "?")):
            tubes += tubes_of(_keys(track, attribute, tally, name), end)
    try:
        video = VideoAnnotation((count or None) if all_frames else None, **size, tubes=tuple(tubes))
    except StadError as error:
        raise error.at(video=name) from None
    known = [label.findtext("name") or "" for label in task.iter("label")]
    met = sorted({tube.label for tube in tubes})
    return name, video, met if attribute else [*known, *(label for label in met if label not in known)]


def _keys(track: ElementTree.Element, attribute: str, tally: Tally, video: str) -> list[Key]:
    """A track's keyframes; none where its shapes are no boxes."""
    boxes = track.findall("box")
    if not boxes:
        tally.note("tracks without boxes, left out", video)
        return []
    keys = [_key(box, track.get("label", ""), attribute) for box in boxes if box.get("keyframe") == "1"]
    if not keys:
        raise FormatError("no box is a keyframe", remedy='mark those that were drawn with keyframe="1"')
    return keys


def _key(box: ElementTree.Element, label: str, attribute: str) -> Key:
    frame = whole(box.get("frame"), "frame")
    if number(box.get("rotation", 0), "rotation", frame):
        raise FormatError("the box is turned", frame=frame, remedy="draw it upright")
    outside = box.get("outside") == "1"
    if attribute:
        values = {one.get("name"): one.text or "" for one in box.iter("attribute")}
        if attribute not in values:
            problem = f"the box has no attribute {attribute!r}"
            named = ", ".join(sorted(str(name) for name in values)) or "none"
            raise FormatError(problem, frame=frame, remedy=f"it has {named}")
        label = values[attribute]
    x1, y1, x2, y2 = (number(box.get(edge), edge, frame) for edge in EDGES)
    return Key(frame, (x1, y1, x2, y2), label, outside)


def write_ground_truth(annotations: Annotations, path: str | PathLike[str]) -> list[Path]:
    """Write tubes: one video to a .xml file, otherwise a new folder of one file a video.

    Every box is a keyframe; boxes on single frames, segments, rates and times have no place here.
    raises: FormatError for a video without size or number of frames, or a name that XML cannot hold
    """
    if Path(path).suffix.lower() != ".xml":
        return write_folder(path, _files(annotations))
    if len(annotations.videos) != 1:
        problem = f"one file holds one video, not {len(annotations.videos)}"
        raise FormatError(problem, file=path, remedy="name a folder")
    ((_, content),) = _files(annotations)
    return [atomic_write(path, lambda stream: stream.write(content))]


def _files(annotations: Annotations) -> Iterator[tuple[str, bytes]]:
    for name, video in annotations.videos.items():
        if video.num_frames is None or video.width is None or video.height is None:
            remedy = "give num_frames, width and height"
            raise FormatError("its size or number of frames is not known", video=name, remedy=remedy)
        root = ElementTree.Element("annotations")
        _child(root, "version", VERSION)
        meta = ElementTree.SubElement(root, "meta")
        task = ElementTree.SubElement(meta, "task")
        told = {"name": name, "size": video.num_frames, "mode": "interpolation", "start_frame": 0}
        for key, value in {**told, "stop_frame": video.num_frames - 1, "source": f"{name}.mp4"}.items():
            _child(task, key, str(value))
        labels = ElementTree.SubElement(task, "labels")
        for label in annotations.classes:
            _child(ElementTree.SubElement(labels, "label"), "name", label)
        size = ElementTree.SubElement(task, "original_size")
        _child(size, "width", str(video.width))
        _child(size, "height", str(video.height))
        for index, tube in enumerate(video.tubes or ()):
            root.append(_track(index, tube, video.num_frames))
        yield f"{safe_name(name)}.xml", ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _track(index: int, tube: Tube, num_frames: int) -> ElementTree.Element:
    track = ElementTree.Element("track", id=str(index), label=_sound(tube.label), source="manual")
    rows = [(int(frame), box, "0") for frame, box in zip(tube.frames, tube.boxes.tolist(), strict=True)]
    if tube.end < num_frames:
        rows.append((tube.end, rows[-1][1], "1"))
    for frame, box, outside in rows:
        edges = {edge: repr(value) for edge, value in zip(EDGES, box, strict=True)}
        about = {"frame": str(frame), "outside": outside, "occluded": "0", "keyframe": "1"}
        ElementTree.SubElement(track, "box", {**about, **edges, "z_order": "0"})
    return track


def _child(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = _sound(text)


def _sound(text: str) -> str:
    if _NOT_XML.search(text) or "\r" in text:  # XML reads a carriage return as a line feed
        raise FormatError(f"XML cannot hold the name {text!r}", remedy="rename the video or class")
    return text
