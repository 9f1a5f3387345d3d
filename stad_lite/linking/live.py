"""The paths that may still grow, for all classes at once: the step that greedy linkers share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.linking.candidates import Candidates, widened


@dataclass(frozen=True)
class Rule:
    """How paths take boxes.

    overlap: a path takes a box whose overlap with its own is at least this
    reach: a path may take boxes up to this many frames after its last one
    pixel: added to widths and heights in the overlap
    best: paths are served by the mean of this many of their best scores; None for all scores
    new_last: a path born on the frame before is served after all others
    velocity: the box is expected one mean step further (over the last ``reach`` + 1 boxes)
    unclipped: boxes apart in both directions overlap by the product of their distances
    """

    overlap: float
    reach: int
    pixel: float = 0.0
    best: int | None = None
    new_last: bool = False
    velocity: bool = False
    unclipped: bool = False


class LivePaths:
    """The live paths of every class, as arrays with the leading axes (classes, most paths).

    Paths are served in turn, and each takes the best candidate that is left among those it overlaps
    enough. Paths that rank alike are served in their order of the frame before; new ones come in the
    order of their boxes.
    """

    def __init__(self, num_classes: int, length: int, rule: Rule) -> None:
        self.rule, self.count = rule, 0
        past = rule.reach + 1 if rule.velocity else 0
        shape = (num_classes, 0)
        self._state = {
            "id": np.full(shape, -1),
            "boxes": np.zeros((*shape, length, 4)),  # the last box or tubelet
            "last": np.zeros(shape, dtype=np.int64),  # its frame
            "born": np.zeros(shape, dtype=np.int64),
            "found": np.zeros(shape, dtype=np.int64),
            "total": np.zeros(shape),
            "best": np.zeros((*shape, rule.best or 0)),  # best scores, falling
            "past": np.zeros((*shape, past, 4)),  # last boxes, newest first
        }

    def advance(self, frame: int, offered: Candidates) -> np.ndarray:
        """Give every candidate of a later frame to a path, old or new.

        returns: (classes, most) number of the path that each candidate joins, -1 where there is none
        """
        self._order(frame)
        present = offered.row >= 0
        owner = serve(self._fits(frame, offered) & present[:, None])
        path = np.full(present.shape, -1)
        line, place = np.nonzero(owner >= 0)
        slot = owner[line, place]
        path[line, place] = self._state["id"][line, slot]
        self._extend(frame, line, slot, offered.boxes[line, place], offered.score[line, place])
        line, place = np.nonzero(present & (owner < 0))
        path[line, place] = self.count + np.arange(len(line))
        self._found(frame, line, offered.boxes[line, place], offered.score[line, place])
        return path

    def _order(self, frame: int) -> None:
        """Drop the paths that ended and put the others in the order in which they are served."""
        state, best = self._state, self.rule.best
        ended = (state["id"] < 0) | (frame - state["last"] > self.rule.reach)
        if best is None:
            rank = state["total"] / np.maximum(state["found"], 1)
        else:
            kept = np.clip(state["found"], 1, best)
            rank = np.where(np.isfinite(state["best"]), state["best"], 0.0).sum(-1) / kept
        new = (state["born"] == frame - 1) & self.rule.new_last
        order = np.lexsort((np.where(new, 0.0, -rank), np.where(ended, 2, new)), axis=1)
        order = order[:, : int((~ended).sum(axis=1).max(initial=0))]
        state["id"][ended] = -1
        if order.shape[1] < new.shape[1] or (order != np.arange(new.shape[1])).any():
            line = np.arange(len(order))[:, None]
            self._state = {name: array[line, order] for name, array in state.items()}

    def _fits(self, frame: int, offered: Candidates) -> np.ndarray:
        """(classes, paths, candidates): may the path take the candidate?"""
        state, pixel = self._state, self.rule.pixel
        length = state["boxes"].shape[2]
        ours, theirs = widened(self._expected(), pixel), widened(offered.boxes, pixel)
        overlap = np.full((*state["id"].shape, offered.row.shape[1]), -1.0)
        skipped = np.where(state["id"] >= 0, np.minimum(frame - state["last"], length - 1), -1)
        for skip in np.unique(skipped[skipped >= 0]):
            line, slot = np.nonzero(skipped == skip)
            overlap_of = _unclipped_iou if self.rule.unclipped else box_ops.iou
            shared = overlap_of(ours[line, slot, None, skip:], theirs[line, :, : length - skip])
            overlap[line, slot] = shared.mean(axis=-1)
        return overlap >= self.rule.overlap

    def _expected(self) -> np.ndarray:
        boxes, past = self._state["boxes"], self._state["past"]
        if not self.rule.velocity:
            return boxes
        known = np.clip(self._state["found"], 1, past.shape[2])
        oldest = np.take_along_axis(past, (known - 1)[..., None, None], axis=2)
        return boxes + (boxes - oldest) / np.maximum(known - 1, 1)[..., None, None]

    def _extend(
        self, frame: int, line: np.ndarray, slot: np.ndarray, boxes: np.ndarray, score: np.ndarray
    ) -> None:
        state = self._state
        state["boxes"][line, slot], state["last"][line, slot] = boxes, frame
        state["found"][line, slot] += 1
        state["total"][line, slot] += score
        if state["best"].shape[2]:
            scores = np.concatenate([state["best"][line, slot], score[:, None]], axis=1)
            state["best"][line, slot] = -np.sort(-scores, axis=1)[:, :-1]
        if state["past"].shape[2]:
            older = state["past"][line, slot, :-1]
            state["past"][line, slot] = np.concatenate([boxes[:, -1:], older], axis=1)

    def _found(self, frame: int, line: np.ndarray, boxes: np.ndarray, score: np.ndarray) -> None:
        """Start paths: one for each of the given boxes, in their order."""
        if not len(line):
            return
        new = np.bincount(line, minlength=len(self._state["id"]))
        place = np.arange(len(line)) - (np.cumsum(new) - new)[line] + self._state["id"].shape[1]
        more = int(new.max())
        for name, array in self._state.items():
            empty = np.full((len(array), more, *array.shape[2:]), -np.inf if name == "best" else 0)
            self._state[name] = np.concatenate([array, empty.astype(array.dtype)], axis=1)
        self._state["id"][:, self._state["id"].shape[1] - more :] = -1
        self._state["id"][line, place] = self.count + np.arange(len(line))
        self._state["born"][line, place] = frame
        self._extend(frame, line, place, boxes, score)
        self.count += len(line)


def _unclipped_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The overlap of gen_agent_paths.py (3D-RetinaNet): two sides below 0 have a product above it."""
    shared = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).prod(axis=-1)
    union = box_ops.area(a) + box_ops.area(b) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=(shared > 0) & (union != 0))


def serve(fits: np.ndarray) -> np.ndarray:
    """Let paths choose in turn, each the best candidate that is left and fits.

    All paths agree which candidate is better, so the same choice comes out when every candidate, best
    first, goes to the first path in turn that it fits and that has none yet.

    fits: (classes, paths, candidates) paths in the order of service, candidates best first
    returns: (classes, candidates) path that takes the candidate, -1 for none

    >>> serve(np.array([[[True, True], [True, False]]]))
    array([[ 0, -1]])
    """
    free, lines = np.ones(fits.shape[:2], dtype=bool), np.arange(len(fits))
    owner = np.full((fits.shape[0], fits.shape[2]), -1)
    if fits.shape[1] == 0:
        return owner
    for candidate in range(fits.shape[2]):
        wants = fits[:, :, candidate] & free
        first = wants.argmax(axis=1)
        taken = wants[lines, first]
        owner[:, candidate] = np.where(taken, first, -1)
        free[lines[taken], first[taken]] = False
    return owner
