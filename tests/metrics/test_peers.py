"""Agreement to 1e-4 points with the figures that the field's own evaluators gave on the same files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stad_lite.metrics import CONVENTIONS, evaluate
from stad_lite.records import Annotations, Predictions
from tests.metrics import peers, real

FOLDER = Path(__file__).parent / "goldens"
GOLDENS = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.iterdir()}
CASES = [
    (name, file, metric)
    for name, golden in sorted(GOLDENS.items())
    for file, metrics in golden["figures"].items()
    for metric in metrics
]
SYNTHETIC: dict[str, Callable[[], tuple[Annotations, Predictions]]] = {
    "tubes": peers.tubes,
    "frames": peers.frames,
    "key_frames": peers.key_frames,
    "segments": peers.segments,
    "written_key_frames": peers.written_key_frames,
    "repeated_segments": peers.repeated_segments,
}
REAL: dict[str, Callable[[Path], tuple[Any, ...]]] = {
    "annotator_tubes": lambda root: (real.ucf_test(root), real.annotator(root)),
    "annotator_frames": real.annotator_frames,
    "anet_fixture": real.activitynet_fixture,
    "ava": real.ava,
    **{
        f"turn_{t}": lambda root, t=t: (real.thumos(root)[0], real.turn(root, t, True))
        for t in (0.3, 0.5, 0.7)
    },
}


def check(name: str, file: str, metric: str, truth: Annotations, ours: Predictions, *classes: Any) -> None:
    figures = {float(iou): value for iou, value in GOLDENS[name]["figures"][file][metric].items()}
    result = evaluate(truth, ours, metric, tuple(figures), name, classes=classes[0] if classes else None)
    assert dict(result.iou) == pytest.approx(figures, abs=1e-4)


@pytest.mark.parametrize(("name", "file", "metric"), [case for case in CASES if case[1] in SYNTHETIC])
def test_synthetic_files(name: str, file: str, metric: str) -> None:
    check(name, file, metric, *SYNTHETIC[file]())


@pytest.mark.parametrize(("name", "file", "metric"), [case for case in CASES if case[1] in REAL])
def test_real_files(stad_data: Path, name: str, file: str, metric: str) -> None:
    check(name, file, metric, *REAL[file](stad_data))


def test_every_convention_was_run_beside_its_original() -> None:
    assert set(GOLDENS) == set(CONVENTIONS) - {"sound"}
    for name, golden in GOLDENS.items():
        assert golden["repository"] and golden["commit"] and golden["command"], name
        covered = {metric for metrics in golden["figures"].values() for metric in metrics}
        having = {"frames": "frame-map", "tubes": "video-map", "segments": "temporal-map"}
        wanted = {metric for kind, metric in having.items() if getattr(CONVENTIONS[name], kind) is not None}
        assert covered == wanted, name


def test_a_golden_can_tell_two_conventions_apart() -> None:
    figures = GOLDENS["act"]["figures"]["tubes"]["video-map"]
    other = evaluate(*peers.tubes(), "video-map", (0.2, 0.5, 0.75), "yowo").iou
    assert all(abs(other[float(iou)] - value) > 0.1 for iou, value in figures.items())
