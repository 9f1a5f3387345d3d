"""Every writer, stopped midway, leaves what was there before; a new writer needs a row here."""

from __future__ import annotations

import ast
import hashlib
import importlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stad_lite import records, runs
from stad_lite.cli.output import write_json
from stad_lite.data import features, frame_cache, video
from stad_lite.data.synthetic import Settings
from stad_lite.data.synthetic.dataset import Clip, save
from stad_lite.records import Annotations, FrameBoxes, Predictions, Segment, VideoAnnotation, VideoPredictions
from stad_lite.records.exchange import (
    act,
    activitynet,
    ava,
    coco_tracks,
    cvat,
    mot,
    road,
    text,
    thumos14,
    yowo,
)
from stad_lite.records.files import write_folder
from stad_lite.reproduce.on_a_gpu import Reached
from stad_lite.reproduce.results import Results
from stad_lite.reproduce.rows import Row, Sweep, write_sweep
from stad_lite.reproduce.scorecard import Scorecard, write_scorecard
from stad_lite.training import checkpoint, run_folder
from stad_lite.training.loop import fit
from stad_lite.tubes import Tube
from tests.training.tiny import CONFIG, Points, Tiny

ROOT = Path(__file__).parents[1]
NAMES = {"atomic_write", "write_folder", "write_text", "write_bytes"}
MOVES = {"os.replace", "os.rename", "shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.move"}


def annotated(number: int) -> Annotations:
    """A tube, boxes and a segment that lie elsewhere for each number."""
    box = np.array([[10.0, 10.0, 40.0, 30.0 + number]])
    seen = VideoAnnotation(
        num_frames=9, width=64, height=48, fps=10.0, tubes=(Tube(0, box.repeat(9, 0), "Run"),),
        segments=(Segment("Run", 0.5 * number, 9.0),), frames=FrameBoxes(np.array([1]), np.array([0]), box),
    )  # fmt: skip
    return Annotations("own", ("Run",), {"Run/a": seen, "Run/b": seen})


def predictions(number: int) -> Predictions:
    """The same as found, with a score."""
    found = {}
    for name, seen in annotated(number).videos.items():
        tubes = tuple(replace(tube, score=0.5) for tube in seen.tubes or ())
        segments = tuple(replace(segment, score=0.5) for segment in seen.segments or ())
        assert seen.frames is not None
        boxes = replace(seen.frames, score=np.array([0.5]))
        found[name] = VideoPredictions(tubes=tubes, frames=boxes, segments=segments)
    return Predictions(("Run",), found)


def clip(number: int) -> np.ndarray:
    return np.full((6, 32, 32, 3), 40 * number, np.uint8)


@cache
def weights(number: int) -> dict[str, torch.Tensor]:
    from tests.nets import layouts

    state = layouts.i3d(inputs=2, classes=5)[1]
    return {name: value + number if value.is_floating_point() else value for name, value in state.items()}


def script(name: str) -> Any:
    """A module of data_scripts, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "data_scripts")
        return importlib.import_module(name)


def convert_weights(out: Path, number: int) -> None:
    source = out.parent.parent / f"published-{number}.pth"
    if not source.is_file():
        source.write_bytes(saved(weights(number)))
    module = script("convert_weights")
    if module.main(["i3d-flow", str(source), "--out", str(out)]) == 130:
        raise KeyboardInterrupt


def saved(value: Any) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def metrics(run: Path, number: int) -> None:
    terms = {"square": 1.0 / number}
    for step in range(1, 4):
        run_folder.add_metrics(run, {"step": step, "loss": 1.0 / number, "lr": 0.1, "terms": terms})


def plotted(run: Path, number: int) -> None:
    (run / "metrics.jsonl").unlink(missing_ok=True)
    metrics(run, number)
    try:
        run_folder.plot_run(run)
    finally:
        (run / "metrics.jsonl").unlink()


def reached(out: Path, number: int) -> None:
    told = ("cfad", "lesson", "own", "a GPU", "today", "line", "abc", "2", number, 1.0, 1.0, "steps", None)
    Reached(*told, {"frame-map@0.5": 1.0}, ()).write(out)


def results(out: Path, number: int) -> None:
    kept = Results("cfad/polynomial_tubes", "smoke", {"numpy": "2"})
    kept.add("mean", float(number))
    kept.write(out)


def sweep(folder: Path, number: int) -> None:
    write_sweep(Sweep("own", "smoke", (Row("a", number, {}, {"value": float(number)}),)), folder)


def scorecard(path: Path, number: int) -> None:
    write_scorecard(Scorecard("smoke", str(number), ()), path)


def spec(run: Path, number: int) -> None:
    runs._write(run, runs.make_spec("baseline", "smoke", {"train.steps": str(number)}))


def rendered(folder: Path, number: int) -> None:
    save(Clip(Settings(), 0, clip(number), None, (), ()), folder)


def cached(folder: Path, number: int, form: str) -> None:
    """A cache of one clip, made anew from another one each time."""
    source = folder.parent / f"clip-{number}.mp4"
    if not source.is_file():
        video.write(source, clip(number))
    frame_cache._decode_one("a", source, folder, None, form, 3)


def manifest(folder: Path, number: int) -> None:
    frame_cache._write_manifest(folder, {"format": "x"}, {"a": {"num_frames": number}})


def features_of(folder: Path, number: int) -> None:
    features.write_features(folder, "a", [np.full((2, 8), number, np.float32)], [4], 32, 10.0)


ACTIONS = {1: "Run"}
ROWS: dict[str, Callable[[Path, int], object]] = {
    "stad_lite.records.files:atomic_write": lambda f, n: records.atomic_write(
        f / "x", lambda stream: stream.write(b"%d" % n * 99)
    ),
    "stad_lite.records.files:write": lambda f, n: records.write(annotated(n), f / "x.json"),
    "stad_lite.records.columns:write_arrays": lambda f, n: records.write(annotated(n), f / "x.npz"),
    "stad_lite.records.exchange.text:write_text": lambda f, n: text.write_text(f / "x.gz", "so" * 50 * n),
    "stad_lite.records.exchange.road:write_tubes": lambda f, n: road.write_tubes(predictions(n), f / "x.mat"),
    "stad_lite.records.exchange.act:_write": lambda f, n: act.write_ground_truth(annotated(n), f / "x.pkl"),
    "stad_lite.records.exchange.cvat:write_ground_truth": lambda f, n: cvat.write_ground_truth(
        annotated(n).subset(["Run/a"]), f / "x.xml"
    ),
    "stad_lite.records.exchange.coco_tracks:write_ground_truth": lambda f, n: coco_tracks.write_ground_truth(
        annotated(n), f / "x.json"
    ),
    "stad_lite.records.exchange.activitynet:write_ground_truth": lambda f, n: activitynet.write_ground_truth(
        annotated(n), f / "x.json"
    ),
    "stad_lite.records.exchange.activitynet:write_results": lambda f, n: activitynet.write_results(
        predictions(n), f / "x.json"
    ),
    "stad_lite.records.exchange.ava:write_ground_truth": lambda f, n: ava.write_ground_truth(
        annotated(n), f / "x.csv", ACTIONS
    ),
    "stad_lite.records.exchange.ava:write_results": lambda f, n: ava.write_results(
        predictions(n), f / "x.csv", ACTIONS, fps=10.0
    ),
    "stad_lite.records.exchange.thumos14:write_detections": lambda f, n: thumos14.write_detections(
        predictions(n), f / "x.txt", ACTIONS
    ),
    "stad_lite.cli.output:write_json": lambda f, n: write_json({"value": [n] * 20}, str(f / "x.json")),
    "stad_lite.training.run_folder:_write_json": lambda f, n: run_folder._write_json(
        f / "x.json", {"value": [n] * 20}
    ),
    "stad_lite.training.run_folder:plot_run": plotted,
    "stad_lite.training.checkpoint:write": lambda f, n: checkpoint.write(
        f, {"step": n, "network": nn.Linear(9, n).state_dict()}
    ),
    "stad_lite.training.checkpoint:write_state": lambda f, n: checkpoint.write_weights(
        f / "x.pt", nn.Linear(9, n)
    ),
    "stad_lite.reproduce.results:write": lambda f, n: results(f / "x.json", n),
    "stad_lite.reproduce.on_a_gpu:write": lambda f, n: reached(f / "x.json", n),
    "stad_lite.reproduce.rows:write_sweep": sweep,
    "stad_lite.reproduce.scorecard:write_scorecard": lambda f, n: scorecard(f / "x.json", n),
    "stad_lite.runs:_write": spec,
    "stad_lite.data.synthetic.dataset:save": rendered,
    "stad_lite.data.video:write": lambda f, n: video.write(f / "x.mp4", clip(n)),
    "stad_lite.data.features:write_features": features_of,
    "stad_lite.data.frame_cache:_write_manifest": manifest,
    "stad_lite.data.frame_cache:_decode_one": lambda f, n: cached(f, n, "npz"),
    "data_scripts.convert_weights:main": lambda f, n: convert_weights(f / "x.pt", n),
}
"""Writers that replace: what writes version ``n`` into a folder."""

FRESH: dict[str, Callable[[Path, int], object]] = {
    "stad_lite.records.files:write_folder": lambda f, n: write_folder(
        f / "new", [("a", b"one" * 20), ("b/c", b"two" * 20)]
    ),
    "stad_lite.records.exchange.act:write_tubes": lambda f, n: act.write_tubes(predictions(n), f / "new"),
    "stad_lite.records.exchange.thumos14:write_ground_truth": lambda f, n: thumos14.write_ground_truth(
        annotated(n), f / "new"
    ),
    "stad_lite.records.exchange.mot:write_ground_truth": lambda f, n: mot.write_ground_truth(
        annotated(n), f / "new"
    ),
    "stad_lite.records.exchange.yowo:write_ground_truth": lambda f, n: yowo.write_ground_truth(
        annotated(n), f / "new"
    ),
    "stad_lite.records.exchange.yowo:write_detections": lambda f, n: yowo.write_detections(
        predictions(n), f / "new"
    ),
    "stad_lite.training.checkpoint:kept": lambda f, n: checkpoint.kept(f / "x.pt", lambda: torch.ones(99)),
    "a cache of pictures": lambda f, n: cached(f, n, "jpg"),
}
"""Writers that make what is not there: nothing is there after a stop."""

BY_ATOMIC_WRITE_ALONE = {
    "stad_lite.systems.maps:_kept": "a cache of maps",
    "stad_lite.data.decoded:flow": "a cache of flow",
    "stad_lite.training.run_folder:cut_metrics": "the metrics of a run that goes on",
    "stad_lite.sp_tad.extraction:extract_features": "an empty mark that the features are not all there",
    "data_scripts.conversion:convert": "the index of clips; a set without its annotations is none",
}
"""Writers that need much around them; the row of ``atomic_write`` speaks for them."""

ELSEWHERE = {
    "stad_lite.training.run_folder:add_metrics": "a line left unfinished is passed over: test_damaged_runs",
    "stad_lite.locks:held": "a lock has no content",
    "stad_lite.training.profile:peak_memory": "no file: the kernel's counter of memory",
    "stad_lite.reproduce.on_a_gpu:_reached": "pictures of a run, drawn again when it is given again",
    "data_scripts.conversion:_place": "clips: tests/data_scripts/test_kept_files.py",
    "data_scripts.download:fetch": "below: what came stays apart and is carried on",
}


def found_writers() -> dict[str, set[str]]:
    """Functions that write, as module:name -> by what they do so."""
    found: dict[str, set[str]] = {}
    for path in sorted([*(ROOT / "stad_lite").rglob("*.py"), *(ROOT / "data_scripts").glob("*.py")]):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                ways = {way for node in ast.walk(function) if (way := writes(node))}
                if ways:
                    found.setdefault(f"{module}:{function.name}", set()).update(ways)
    # a function within one that is listed is part of that one
    return {name: ways for name, ways in found.items() if not name.endswith((":put", ":fill"))}


def writes(node: ast.AST) -> str:
    """By what a call writes, "" where it does not."""
    if not isinstance(node, ast.Call):
        return ""
    called = ast.unparse(node.func)
    last = called.rpartition(".")[2]
    if last in NAMES or called in MOVES:
        return last
    if last in ("open", "fdopen", "ZipFile"):
        words = [*node.args, *(keyword.value for keyword in node.keywords)]
        modes = [one.value for one in words if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return last if any(set(mode) <= set("rwaxbt+") and set(mode) & set("wax") for mode in modes) else ""
    return ""


def test_every_writer_has_a_row() -> None:
    found = found_writers()
    listed = {*ROWS, *FRESH, *BY_ATOMIC_WRITE_ALONE, *ELSEWHERE} - {"a cache of pictures"}
    assert set(found) - listed == set(), "a new writer: give it a row"
    assert listed - set(found) == set(), "no such writer any more"
    for name in BY_ATOMIC_WRITE_ALONE:
        assert found[name] == {"atomic_write"}, name


class Stopping(io.FileIO):
    """A file on which the process is stopped after a few bytes."""

    left = 16

    def write(self, data: Any) -> int:
        """Write what is left and stop."""
        data = memoryview(data).cast("B")
        if len(data) >= self.left:
            super().write(data[: self.left])
            raise KeyboardInterrupt
        self.left -= len(data)
        return super().write(data)


@contextmanager
def stopped(when: str) -> Iterator[None]:
    """Stop whoever writes: in the middle of a file, or before it takes its place."""
    with pytest.MonkeyPatch.context() as patch:
        if when == "renaming":
            patch.setattr(os, "replace", interrupted)
        else:
            patch.setattr(os, "fdopen", lambda handle, mode: Stopping(handle, mode))
            patch.setattr(Path, "write_bytes", half)
        with pytest.raises(KeyboardInterrupt):
            yield


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def half(path: Path, data: bytes) -> int:
    with path.open("wb") as stream:
        stream.write(data[: len(data) // 2])
    raise KeyboardInterrupt


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("when", ["writing", "renaming"])
@pytest.mark.parametrize("name", ROWS)
def test_a_stop_midway_leaves_the_old_output(name: str, when: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    ROWS[name](tmp_path / "elsewhere", 2)  # makes what the second version is made of
    ROWS[name](folder, 1)
    before = tree(folder)
    with stopped(when):
        ROWS[name](folder, 2)
    assert tree(folder) == before
    ROWS[name](folder, 2)
    assert tree(folder) != before


@pytest.mark.parametrize("when", ["writing", "renaming"])
@pytest.mark.parametrize("name", FRESH)
def test_a_stop_midway_leaves_nothing_new(name: str, when: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    FRESH[name](tmp_path / "elsewhere", 1)
    with stopped(when):
        FRESH[name](folder, 1)
    assert tree(folder) == {}
    FRESH[name](folder, 1)
    assert tree(folder)


def test_a_download_that_is_stopped_is_carried_on(tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    from tests.data_scripts.local_server import serving

    download, body = script("download"), bytes(range(256)) * 400
    target = tmp_path / "f.bin"
    target.write_bytes(b"an older edition")
    with serving() as shelf:
        shelf.content["/f"] = body
        entry = download.Entry("f.bin", shelf.url + "/f", len(body), hashlib.sha256(body).hexdigest(), "", "")
        with stopped("renaming"):
            download.fetch(entry, target, pause=0)
        assert target.read_bytes() == b"an older edition"
        download.fetch(entry, target, pause=0)
    assert target.read_bytes() == body and [path.name for path in tmp_path.iterdir()] == ["f.bin"]


def test_a_run_killed_after_its_last_checkpoint_gets_its_curves(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "plot_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(Tiny(), Points(), config, tmp_path, device="cpu", say=lambda text: None)
    assert (tmp_path / "checkpoints" / "last.pt").is_file() and not (tmp_path / "curves.png").exists()
    assert fit(Tiny(), Points(), config, tmp_path, device="cpu", say=lambda text: None).resumed_at == 4
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
