"""Others' evaluators for ``bench_metrics``: what they need of a record, and how they are run.

hotcoco and faster-coco-eval are the extra ``bench``; mmaction2 is read from a copy of its repository.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.metrics import Rules
from stad_lite.records import Annotations, Predictions

COCO_RULES = Rules(ap="hundred_one_points")
"""What COCO's evaluators compute at one threshold, without limits of area and number."""


def write_coco(truth: Annotations, predictions: Predictions, folder: Path) -> tuple[Path, Path]:
    """Write tubes and single boxes as COCO's two files; every frame is an image."""
    first, images, boxes, found = 1, [], [], []
    for name, video in truth.videos.items():
        assert video.num_frames is not None
        images += [{"id": first + frame, "file_name": f"{name}/{frame}"} for frame in range(video.num_frames)]
        for tube in video.tubes or ():
            label = 1 + truth.classes.index(tube.label)
            for frame, box in zip(tube.frames.tolist(), _xywh(tube.boxes), strict=True):
                row = {"image_id": first + frame, "category_id": label, "bbox": box, "area": box[2] * box[3]}
                boxes.append({"id": len(boxes) + 1, "iscrowd": 0, **row})
        ours = predictions.videos[name].frames if name in predictions.videos else None
        if ours is not None:
            assert ours.score is not None
            columns = ours.frame + first, ours.label + 1, ours.score
            for image, category, score, box in zip(
                *(c.tolist() for c in columns), _xywh(ours.box), strict=True
            ):
                found.append({"image_id": image, "category_id": category, "bbox": box, "score": score})
        first += video.num_frames
    categories = [{"id": number, "name": name} for number, name in enumerate(truth.classes, 1)]
    sizes = [image | {"width": 320, "height": 240} for image in images]
    files = folder / "coco_truth.json", folder / "coco_found.json"
    content = ({"images": sizes, "annotations": boxes, "categories": categories}, found)
    for file, document in zip(files, content, strict=True):
        file.write_text(json.dumps(document), "utf-8", newline="\n")
    return files


def _xywh(boxes: np.ndarray) -> list[list[float]]:
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()


def coco_evaluators() -> dict[str, tuple[Callable[[Path, Path], Any], Callable[[Any], float]]]:
    """Return those that are installed: name -> (loads two files, gives the mean AP at .5 of that, 0..100)."""
    found = {}
    for name, evaluator in (("hotcoco", "COCOeval"), ("faster_coco_eval", "COCOeval_faster")):
        if importlib.util.find_spec(name) is not None:
            module = importlib.import_module(name)
            found[name] = (_loader(module), _runner(getattr(module, evaluator)))
    return found


def _loader(module: Any) -> Callable[[Path, Path], Any]:
    def load(truth: Path, ours: Path) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            known = module.COCO(str(truth))
            return known, known.loadRes(str(ours))

    return load


def _runner(evaluator: Any) -> Callable[[Any], float]:
    def run(loaded: Any) -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            one = evaluator(*loaded, "bbox")
            one.params.iouThrs = np.array([0.5])
            one.params.maxDets = [100]
            one.params.areaRng, one.params.areaRngLbl = [[0, 1e10]], ["all"]
            one.evaluate()
            one.accumulate()
        precision = np.asarray(one.eval["precision"])
        return 100 * float(precision[precision > -1].mean())

    return run


def mmaction2(repository: Path, thresholds: Sequence[float]) -> Callable[[Path, Path], float]:
    """Return mmaction2's ActivityNet evaluation: two files -> mean mAP over the thresholds, 0..100."""
    if (
        "mmengine" not in sys.modules and importlib.util.find_spec("mmengine") is None
    ):  # it asks for a logger alone
        logging: Any = types.ModuleType("mmengine.logging")
        logging.MMLogger = types.SimpleNamespace(get_current_instance=lambda: None)
        logging.print_log = print
        sys.modules |= {"mmengine": types.ModuleType("mmengine"), "mmengine.logging": logging}
    package: Any = types.ModuleType("mmaction_functional")
    package.__path__ = [str(repository / "mmaction" / "evaluation" / "functional")]
    sys.modules["mmaction_functional"] = package
    evaluator = importlib.import_module("mmaction_functional.eval_detection").ActivityNetLocalization

    def run(truth: Path, ours: Path) -> float:
        return 100 * float(evaluator(str(truth), str(ours), np.array(thresholds)).evaluate()[1])

    return run


def write_mmaction2(database: Path, path: Path) -> Path:
    """Write a ground truth as mmaction2 reads it: without a head, every id with two letters before it."""
    videos = json.loads(database.read_text("utf-8"))["database"]
    path.write_text(json.dumps({f"v_{name}": entry for name, entry in videos.items()}), "utf-8", newline="\n")
    return path
