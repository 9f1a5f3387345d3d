"""Every reader with a sound file of its own, made here."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite import records
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
    exchange,
)
from stad_lite.records.exchange import via
from stad_lite.tubes import Tube
from tests.records import tool_files

BOXES = np.array([[10.5, 20.0, 200.25, 220.0], [11.0, 20.0, 201.0, 220.0], [12.0, 21.5, 202.0, 221.0]])
CLASSES = ("Diving", "Billiards")
ACTIONS = {1: "Diving", 2: "Billiards"}
VIDEO = "Diving/v_1"


@dataclass(frozen=True)
class Reader:
    """make: writes sound files into an empty folder; read: reads them from there again."""

    make: Callable[[Path], object]
    read: Callable[[Path], object]


def truth() -> Annotations:
    tubes = (Tube(2, BOXES, "Diving"), Tube(0, BOXES[:2], "Billiards"))
    frames = FrameBoxes(np.array([3, 9]), np.array([0, 1]), BOXES[:2], person=np.array([1, 2]))
    segments = (Segment("Diving", 0.5, 2.0), Segment("Billiards", 1.0, 1.5))
    about = VideoAnnotation(
        40, 320, 240, 25.0, 1.6, tubes=tubes, frames=frames, segments=segments,
        ignore=((0.0, 0.25),), evaluated_frames=np.array([3, 9, 11]),
    )  # fmt: skip
    return Annotations("made", CLASSES, {VIDEO: about})


def found() -> Predictions:
    tubes = (Tube(2, BOXES, "Diving", 0.75, np.array([0.5, 0.75, 1.0])),)
    frames = FrameBoxes(np.array([3, 9]), np.array([0, 1]), BOXES[:2], np.array([0.5, 0.25]))
    segments = (Segment("Diving", 0.5, 2.0, 0.5), Segment("Billiards", 1.0, 1.5, 0.25))
    return Predictions(CLASSES, {VIDEO: VideoPredictions(tubes=tubes, frames=frames, segments=segments)})


def record_files() -> dict[str, Reader]:
    made = {"annotations": truth, "predictions": found}
    table = {}
    for kind, make in made.items():
        for ending in (".json", ".json.gz", ".npz"):
            table[f"{kind}{ending}"] = Reader(
                lambda folder, make=make, ending=ending: records.write(make(), folder / f"a{ending}"),
                lambda folder, ending=ending: records.read(folder / f"a{ending}"),
            )
    table["list"] = Reader(
        lambda folder: (folder / "a.txt").write_text("Diving/v_1.avi 3\nb c\n", "utf-8"),
        lambda folder: records.read_list(folder / "a.txt"),
    )
    return table


OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("ava", "annotations"): {"actions": ACTIONS},
    ("ava", "predictions"): {"actions": ACTIONS},
    ("act", "predictions"): {"classes": CLASSES},
    ("act-frames", "predictions"): {"classes": CLASSES, "videos": [VIDEO]},
    ("road", "predictions"): {"classes": CLASSES},
    ("road-frames", "predictions"): {"classes": CLASSES},
    ("yowo", "annotations"): {"classes": CLASSES},
    ("yowo", "predictions"): {"classes": CLASSES},
}
"""What the readers are told beside the path."""


def exchange_files() -> dict[str, Reader]:
    table = {}
    for format, kind in exchange.READERS:
        if format == "via":  # it has no writer: below, in each of its forms
            continue
        table[f"{format} {kind}"] = Reader(
            lambda folder, format=format, kind=kind: _write(folder, format, kind),
            lambda folder, format=format, kind=kind: (
                exchange.read(folder / "a", format, kind, **OPTIONS.get((format, kind), {})).record
            ),
        )
    for name, ending in {"via 2 json": ".json", "via 2 csv": ".csv", "via 3": ".json"}.items():
        table[f"{name} annotations"] = Reader(
            lambda folder, name=name: tool_files.write(folder, name),
            lambda folder, ending=ending: (
                via.read_ground_truth(folder / f"a{ending}", label="action", size=(64, 48), fps=10).record
            ),
        )
    table["cvat of a tool annotations"] = Reader(
        lambda folder: tool_files.write(folder, "cvat"),
        lambda folder: exchange.cvat.read_ground_truth(folder / "a").record,
    )
    table["ava actions"] = Reader(
        lambda folder: (folder / "a").write_text('item {\n  name: "a b"\n  id: 1\n}\n', "utf-8"),
        lambda folder: exchange.ava.read_action_list(folder / "a"),
    )
    table["ava timestamps"] = Reader(
        lambda folder: (folder / "a").write_text("v,0902\nv,0903\n", "utf-8"),
        lambda folder: exchange.ava.read_timestamps(folder / "a"),
    )
    return table


def _write(folder: Path, format: str, kind: str) -> None:
    from scipy.io import savemat

    if format == "road-frames":
        (folder / "a" / "v").mkdir(parents=True)
        boxes = {"scores": np.full((2, 3), 0.4), "loc": np.array([[0.1, 0.1, 0.5, 0.5]] * 2)}
        savemat(folder / "a" / "v" / "00001.mat", boxes)
        return
    if (format, kind) == ("mot", "predictions"):
        lines = "1,-1,1,1,4,4,0.5,1\n1,7,1,1,4,4,0.5,2\n2,7,1,1,4,4,1.0,2\n"
        (folder / "a" / "det").mkdir(parents=True)
        (folder / "a" / "det" / "det.txt").write_text(lines, "utf-8")
        return
    format = format.removesuffix("-json").replace(
        "thumos14", "thumos14" if format == "thumos14" else "activitynet"
    )
    options = {key: value for key, value in OPTIONS.get((format, kind), {}).items() if key != "classes"}
    exchange.write(truth() if kind == "annotations" else found(), folder / "a", format, **options)


def data_files() -> dict[str, Reader]:
    from stad_lite.data import features, flow, jhmdb21, ucf101_24
    from stad_lite.data.flow import _MAGIC as MAGIC  # the only way to write one

    entry = {"numf": 3, "label": 3, "annotations": [_pickled(0)]}
    picture = MAGIC + np.array([4, 3], "<i4").tobytes() + np.arange(24, dtype="<f4").tobytes()
    return {
        "ucf101_24 pickle": Reader(
            lambda folder: (folder / "a.pkl").write_bytes(pickle.dumps({"Diving/v_1": entry})),
            lambda folder: ucf101_24.read_pickle(folder / "a.pkl"),
        ),
        "ucf101_24 old pickle": Reader(
            lambda folder: (folder / "a.pkl").write_bytes(pickle.dumps({"Diving/v_1": entry}, 0)),
            lambda folder: ucf101_24.read_pickle(folder / "a.pkl"),
        ),
        "ucf101_24 mat": Reader(_ucf_mat, lambda folder: ucf101_24.read_mat(folder / "a.mat")),
        "jhmdb21 mask": Reader(_mask, lambda folder: jhmdb21.read_mask(folder / "a.mat")),
        "jhmdb21 pickle": Reader(
            lambda folder: (folder / "a.pkl").write_bytes(
                pickle.dumps({"catch/a": {"numf": 3, "label": 3, "annotations": _pickled(0)}}, 2)
            ),
            lambda folder: jhmdb21.read_pickle(folder / "a.pkl").record,
        ),
        "jhmdb21 arrays": Reader(
            _arrays, lambda folder: jhmdb21.read_arrays(folder / "a.npz", folder / "a.json").record
        ),
        "jhmdb21 splits": Reader(_splits, lambda folder: jhmdb21.read_splits(folder / "splits.tar.gz")),
        "flow": Reader(
            lambda folder: (folder / "a.flo").write_bytes(picture),
            lambda folder: flow.read_flo(folder / "a.flo"),
        ),
        "features": Reader(
            lambda folder: features.write_features(folder, VIDEO, [np.ones((3, 4))], [8], 30, 25.0),
            lambda folder: features.open_features(folder, truth()).features(VIDEO),
        ),
    }


def _pickled(start: int) -> dict[str, Any]:
    return {"sf": start, "ef": start + 3, "label": 3, "boxes": np.array([[11, 21, 100, 50]] * 3, np.uint8)}


def _ucf_mat(folder: Path) -> None:
    from scipy.io import savemat

    tube = {"sf": 1, "ef": 3, "class": 4, "boxes": np.array([[11, 21, 100, 50]] * 3, float)}
    entries = np.zeros(1, dtype=[(name, object) for name in ("name", "num_imgs", "tubes")])
    entries[0] = (VIDEO, 3, tube)
    savemat(folder / "a.mat", {"annot": entries}, do_compression=True)


def _mask(folder: Path) -> None:
    from scipy.io import savemat

    mask = np.zeros((6, 8, 3), np.uint8)
    mask[2:4, 3:5] = 1
    savemat(folder / "a.mat", {"part_mask": mask})


def _arrays(folder: Path) -> None:
    np.savez(folder / "a.npz", boxes_xyxy=BOXES, video_offset=np.array([0, 3]))
    (folder / "a.json").write_text(json.dumps({"videos": ["catch/a"]}), "utf-8")


def _splits(folder: Path) -> None:
    with tarfile.open(folder / "splits.tar.gz", "w:gz") as archive:
        for split in (1, 2, 3):
            member = tarfile.TarInfo(f"splits/catch_test_split{split}.txt")
            text = b"a.avi 1\nb.avi 2\n"
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))


def run_files() -> dict[str, Reader]:
    import torch

    from stad_lite import runs
    from stad_lite.nets import weights
    from stad_lite.reproduce import on_a_gpu
    from stad_lite.reproduce.results import read_results
    from stad_lite.reproduce.rows import Row, Sweep, read_sweep, write_sweep
    from stad_lite.training import checkpoint, run_folder

    state = {"step": 3, "network": {"a.weight": torch.ones(2, 3)}, "optimiser": {}, "random": []}
    line = {"step": 1, "loss": 0.5, "terms": {"a": 0.5}, "lr": 0.1}
    figure = {"name": "a", "value": 0.5, "unit": "IoU", "data": "synthetic", "claim": "", "command": ""}
    results = {"format": "stad-lite/results/1", "chapter": "a/b", "profile": "smoke"}
    results |= {"versions": {"python": "3"}, "figures": [figure]}
    reached = on_a_gpu.Reached(
        *("a", "large", "synthetic", "GPU", "2026-11-28", "python", "b", "2.13"),
        *(2, 1.5, 3.5, "frames", 4, {"map": 1.5, "none": None}, ((1, 0.5, 3.5), (2, 0.25, 3.5))),
    )
    spec = runs.make_spec("baseline", "smoke", {})
    return {
        "checkpoint": Reader(
            lambda folder: checkpoint.write(folder, state), lambda folder: checkpoint.read(folder / "last.pt")
        ),
        "weights": Reader(
            lambda folder: torch.save(state["network"], folder / "a.pt"),
            lambda folder: weights.read_state(folder / "a.pt"),
        ),
        "weights npz": Reader(
            lambda folder: np.savez(folder / "a.npz", a=np.ones((2, 3))),
            lambda folder: weights.read_state(folder / "a.npz"),
        ),
        "metrics": Reader(
            lambda folder: run_folder.add_metrics(folder, line),
            lambda folder: run_folder.read_metrics(folder),
        ),
        "run": Reader(lambda folder: runs._write(folder, spec), lambda folder: runs.read_spec(folder)),
        "sweep": Reader(
            lambda folder: write_sweep(Sweep("a", "smoke", (Row("base", 0, {}, {"map": 1.0}),)), folder),
            lambda folder: read_sweep("a", "smoke", folder),
        ),
        "results": Reader(
            lambda folder: (folder / "a.json").write_text(json.dumps(results), "utf-8"),
            lambda folder: read_results(folder / "a.json"),
        ),
        "results of a GPU": Reader(
            lambda folder: reached.write(folder / "a.json"), lambda folder: on_a_gpu.read(folder / "a.json")
        ),
    }


def video_files() -> dict[str, Reader]:
    from stad_lite.data import frame_cache, video

    noise = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3)).astype(np.uint8)

    def cached(folder: Path) -> None:
        video.write(folder / "a.mp4", noise)
        frame_cache.build_cache({"a": folder / "a.mp4"}, folder / "cache")
        (folder / "a.mp4").unlink()

    def seen(folder: Path) -> list[object]:
        path = folder / "a.mp4"
        return [video.probe(path), video.read(path, [1, 3]), video.read(path)]

    return {
        "video": Reader(lambda folder: video.write(folder / "a.mp4", noise), seen),
        "frame cache": Reader(
            cached, lambda folder: frame_cache.open_cache(folder / "cache").read("a", np.array([0, 2]))
        ),
    }


def readers() -> Mapping[str, Reader]:
    """Return all readers by name."""
    return {**record_files(), **exchange_files(), **data_files(), **run_files(), **video_files()}
