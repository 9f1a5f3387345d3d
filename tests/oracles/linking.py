"""Linking written out literally: lists, loops, one class and one frame at a time.

Slow on purpose; the fast linkers must give the same tubes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from stad_lite.linking import OnlineConfig, TubeletConfig, ViterbiConfig


@dataclass
class Slow:
    """One linked tube: class index, first frame, boxes and scores on every frame, score, detections used."""

    label: int
    start: int
    boxes: np.ndarray
    scores: np.ndarray
    score: float
    members: list[int]


def iou(a: Sequence[float], b: Sequence[float], pixel: float = 0.0) -> float:
    width = max(min(a[2], b[2]) + pixel - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) + pixel - max(a[1], b[1]), 0.0)
    area_a = max(a[2] - a[0] + pixel, 0.0) * max(a[3] - a[1] + pixel, 0.0)
    area_b = max(b[2] - b[0] + pixel, 0.0) * max(b[3] - b[1] + pixel, 0.0)
    union = area_a + area_b - width * height
    return width * height / union if union > 0 else 0.0


def mean_iou(a: Sequence[Any], b: Sequence[Any], pixel: float = 0.0) -> float:
    return sum(iou(one, other, pixel) for one, other in zip(a, b, strict=True)) / len(a)


def by_frame(frame: np.ndarray) -> dict[int, list[int]]:
    there: dict[int, list[int]] = {}
    for i, now in enumerate(frame.tolist()):
        there.setdefault(now, []).append(i)
    return there


def chosen(
    boxes: np.ndarray, scores: np.ndarray, index: list[int], config: Any, pixel: float = 0.0
) -> list[tuple[int, float]]:
    """(detection, score) of one frame and class after suppression; boxes (n, length, 4), scores (n,)."""
    ranked = sorted(index, key=lambda i: (-scores[i], tuple(boxes[i].reshape(-1)), i))
    if config.min_score is not None:
        ranked = [i for i in ranked if scores[i] > config.min_score]
    ranked = ranked[: getattr(config, "pre_nms", None)]
    if config.nms is None:
        return [(i, float(scores[i])) for i in ranked][: config.keep]
    kept: list[tuple[int, float]] = []
    soft = getattr(config, "soft", "")
    left, place = list(ranked), {i: n for n, i in enumerate(ranked)}
    while left:
        best, *others = left
        kept.append((best, float(scores[best])))
        left = []
        for other in others:
            overlap = mean_iou(boxes[best], boxes[other], pixel)
            if overlap <= config.nms:
                left.append(other)
            elif soft:
                lost = overlap if soft == "mean" else overlap * len(boxes[best])
                kept.append((other, float(scores[other]) * (1 - lost)))
    if soft:
        kept.sort(key=lambda item: (-item[1], place[item[0]]))
    return kept[: config.keep]


def online(frame: np.ndarray, boxes: np.ndarray, scores: np.ndarray, config: OnlineConfig) -> list[Slow]:
    """Online linking; frame (n,), boxes (n, 4), scores (n, classes)."""
    tubes, there = [], by_frame(frame)
    for label in range(scores.shape[1]):
        live: list[dict[str, Any]] = []
        ended: list[dict[str, Any]] = []
        for now in range(int(frame.max(initial=-1)) + 1):
            offered = chosen(boxes[:, None], scores[:, label], there.get(now, []), config)
            for path in live:
                takes = [n for n, (i, _) in enumerate(offered) if _reaches(path, boxes[i], config)]
                if takes:
                    i, score = offered.pop(takes[0])
                    path["frames"].append(now)
                    path["boxes"].append(boxes[i])
                    path["scores"].append(score)
                    path["members"].append(i)
            ended += [path for path in live if now - path["frames"][-1] >= config.gap]
            live = [path for path in live if now - path["frames"][-1] < config.gap]
            live.sort(key=lambda path: -np.mean(sorted(path["scores"], reverse=True)[: config.rank]))
            live += [
                {"frames": [now], "boxes": [boxes[i]], "scores": [s], "members": [i]} for i, s in offered
            ]
        for path in ended + live:
            if len(path["frames"]) >= config.min_boxes:
                tubes.append(_filled(label, path, config.fill))
    return tubes


def _reaches(path: dict[str, Any], box: np.ndarray, config: OnlineConfig) -> bool:
    expected = path["boxes"][-1]
    if config.motion == "velocity":
        known = min(config.gap + 1, len(path["boxes"]))
        expected = expected + (expected - path["boxes"][-known]) / max(known - 1, 1)
    return iou(expected, box, config.pixel) >= config.overlap


def _filled(label: int, path: dict[str, Any], kind: str) -> Slow:
    boxes, scores = [path["boxes"][0]], [path["scores"][0]]
    for n in range(1, len(path["frames"])):
        step = path["frames"][n] - path["frames"][n - 1]
        for k in range(1, step + 1):
            weight = 1.0 if kind == "repeat" else k / step
            boxes.append(path["boxes"][n - 1] * (1 - weight) + path["boxes"][n] * weight)
            scores.append(path["scores"][n - 1] * (1 - weight) + path["scores"][n] * weight)
    start, members = path["frames"][0], path["members"]
    return Slow(label, start, np.array(boxes), np.array(scores), float(np.mean(scores)), members)


def tubelets(start: np.ndarray, boxes: np.ndarray, scores: np.ndarray, config: TubeletConfig) -> list[Slow]:
    """Tubelet linking; start (n,), boxes (n, length, 4), scores (n, classes)."""
    length = boxes.shape[1]
    reach = max(length - 1, 1) if config.reach is None else config.reach
    tubes, there = [], by_frame(start)
    for label in range(scores.shape[1]):
        live: list[list[tuple[int, int, float]]] = []
        ended: list[list[tuple[int, int, float]]] = []
        for now in range(int(start.max(initial=-1)) + 1):
            offered = chosen(boxes, scores[:, label], there.get(now, []), config, config.nms_pixel)
            live.sort(key=lambda path: -np.mean([score for *_, score in path]))
            for path in live:
                then, last, _ = path[-1]
                skip = min(now - then, length - 1)
                for n, (i, score) in enumerate(offered):
                    overlap = mean_iou(boxes[last][skip:], boxes[i][: length - skip], config.link_pixel)
                    if overlap >= config.overlap:
                        path.append((now, i, score))
                        del offered[n]
                        break
            ended += [path for path in live if now - path[-1][0] >= reach]
            live = [path for path in live if now - path[-1][0] < reach]
            live += [[(now, i, score)] for i, score in offered]
        tubes += [_averaged(label, path, boxes) for path in ended + live]
    weakest = -np.inf if config.min_tube_score is None else config.min_tube_score
    return [tube for tube in tubes if tube.score >= weakest and len(tube.boxes) >= config.min_length]


def _averaged(label: int, path: list[tuple[int, int, float]], boxes: np.ndarray) -> Slow:
    begin, length = path[0][0], boxes.shape[1]
    mean_boxes, mean_scores = [], []
    for frame in range(begin, path[-1][0] + length):
        covering = [(boxes[i][frame - then], s) for then, i, s in path if then <= frame < then + length]
        mean_boxes.append(np.mean([box for box, _ in covering], axis=0))
        mean_scores.append(np.mean([score for _, score in covering]))
    score = float(np.mean([score for *_, score in path]))
    return Slow(label, begin, np.array(mean_boxes), np.array(mean_scores), score, [i for _, i, _ in path])


def viterbi(frame: np.ndarray, boxes: np.ndarray, scores: np.ndarray, config: ViterbiConfig) -> list[Slow]:
    """Viterbi linking by trying every path."""
    tubes = []
    offered: dict[int, list[list[int]]] = {}
    for now, index in sorted(by_frame(frame).items()):
        columns = [[i for i, _ in chosen(boxes[:, None], row, index, config)] for row in scores.T]
        if any(columns):
            offered[now] = columns
    for label in range(scores.shape[1]):
        own = {now: columns[label] for now, columns in offered.items() if columns[label]}
        if not own:
            continue
        frames = list(own)
        if config.empty == "copy":
            frames = list(range(min(offered), max(offered) + 1))
        nearest = {now: min(own, key=lambda known: (abs(known - now), known)) for now in frames}
        lattice = [list(own[nearest[now]]) for now in frames]
        found = 0
        while all(lattice) and found != config.max_paths:
            path, weight = every_path(lattice, boxes, scores[:, label], config)
            for column, box in zip(lattice, path, strict=True):
                column.remove(box)
            found += 1
            links = {"frames": frames, "boxes": [boxes[i] for i in path], "members": []}
            links["members"] = [i for i, now in zip(path, frames, strict=True) if nearest[now] == now]
            tube = _filled(label, {**links, "scores": [scores[i, label] for i in path]}, "linear")
            if config.score == "energy":
                tube.score = weight / len(path)
            tubes.append(tube)
    return tubes


def every_path(
    lattice: list[list[int]], boxes: np.ndarray, scores: np.ndarray, config: ViterbiConfig
) -> tuple[tuple[int, ...], float]:
    """The best of all paths through the lattice, by rank from the back where weights are equal."""
    best: tuple[float, tuple[int, ...], tuple[int, ...]] | None = None
    for places in product(*(range(len(column)) for column in lattice)):
        path = tuple(column[place] for column, place in zip(lattice, places, strict=True))
        weight = 0.0
        for one, other in pairwise(path):
            sums = scores[one] + scores[other]
            overlap = config.overlap_weight * iou(boxes[one], boxes[other], config.pixel)
            weight += sums + overlap + config.product_weight * (scores[one] * scores[other])
        key = (-weight, places[::-1], path)
        if best is None or key < best:
            best = key
    assert best is not None
    return best[2], -best[0]


def labelling(scores: np.ndarray, alpha: float) -> tuple[float, set[tuple[int, ...]]]:
    """The largest energy of all labellings, and those that reach it; scores (n, labels)."""
    energies: dict[tuple[int, ...], float] = {}
    for labels in product(range(scores.shape[1]), repeat=len(scores)):
        total = sum(scores[n, label] for n, label in enumerate(labels))
        energies[labels] = total - alpha * sum(a != b for a, b in pairwise(labels))
    top = max(energies.values())
    return top, {labels for labels, energy in energies.items() if energy == top}
