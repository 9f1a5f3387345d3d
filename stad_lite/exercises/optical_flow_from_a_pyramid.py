"""Exercises of the chapter on optical flow from a pyramid: reference answers and their checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from stad_lite.exercises.checks import check_function, check_made
from stad_lite.nets.flow.warping import resize_flow, warp

__all__ = [
    "check_farthest",
    "check_doubled",
    "check_compose",
    "check_there_and_back",
    "check_train_flow",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def farthest(depth: int, reach: int) -> int:
    """Return how many pixels along one axis a pyramid can find, each level its cost volume's reach.

    depth: number of the coarsest level; the finest that predicts is level 2, a cell of level l has 2^l pixels
    reach: of the cost volumes, in cells

    >>> farthest(3, 2), farthest(6, 4)
    (24, 496)
    """
    return sum(reach * 2**level for level in range(2, depth + 1))


def doubled(flow: np.ndarray) -> np.ndarray:
    """Return the flow of an image of twice the size, every vector at the four pixels that its own becomes.

    flow: (h, w, 2) pixels
    returns: (2 h, 2 w, 2)

    >>> doubled(np.ones((1, 1, 2)))[0].tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    return 2 * flow.repeat(2, axis=0).repeat(2, axis=1)


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the flow over two steps: where a point is after the first, the second one takes it on.

    first, second: (h, w, 2) pixels, from frame 0 to 1 and from 1 to 2; beyond the edge the last vector counts
    returns: (h, w, 2) from frame 0 to 2
    """
    one, two = (torch.from_numpy(flow).permute(2, 0, 1)[None] for flow in (first, second))
    return (one + warp(two, one, "border"))[0].permute(1, 2, 0).numpy()


def there_and_back(forward: np.ndarray, backward: np.ndarray, tolerance: float) -> np.ndarray:
    """Return where going there and back ends within a distance of the start: what is seen in both frames.

    forward, backward: (h, w, 2) pixels, from frame 0 to 1 and from 1 to 0
    tolerance: pixels
    returns: (h, w) bool
    """
    return np.linalg.norm(compose(forward, backward), axis=-1) <= tolerance


def _smooth(seed: int) -> np.ndarray:
    """Flow of 8 x 10 pixels that varies from place to place."""
    coarse = np.random.default_rng(seed).normal(0.0, 1.5, (1, 2, 3, 3))
    return resize_flow(torch.from_numpy(coarse), 8, 10)[0].permute(1, 2, 0).numpy()


SHIFT = np.tile([2.0, -1.0], (8, 10, 1))
ZERO = np.zeros((8, 10, 2))


def check_farthest(answer: Callable[..., Any]) -> None:
    """Print whether an answer adds up what all levels can find."""
    cases = {"there is one level": [(2, 4)], "there are several levels": [(3, 2), (4, 1), (6, 4)]}
    hint = "level l corrects by up to reach cells of 2^l pixels each; add the levels from 2 to depth"
    check_function("farthest", answer, farthest, cases, hint=hint)


def check_doubled(answer: Callable[..., Any]) -> None:
    """Print whether an answer scales a flow's vectors with its size."""
    cases = {"all vectors are alike": [(SHIFT,)], "vectors differ from place to place": [(_smooth(0),)]}
    hint = "repeat along both axes; a vector of one pixel is two pixels long on the larger image"
    check_function("doubled", answer, doubled, cases, hint=hint)


def check_compose(answer: Callable[..., Any]) -> None:
    """Print whether an answer follows points over two steps."""
    cases = {
        "nothing moves in the first step": [(ZERO, _smooth(1))],
        "everything moves alike": [(SHIFT, SHIFT)],
        "the second flow differs from place to place": [(SHIFT, _smooth(1)), (_smooth(2), _smooth(3))],
    }
    hint = "look the second flow up where the first one leads, then add"
    check_function("compose", answer, compose, cases, hint=hint, in_place="first")


def check_there_and_back(answer: Callable[..., Any]) -> None:
    """Print whether an answer finds what is seen in both frames."""
    cases = {
        "every point comes back": [(SHIFT, -SHIFT, 0.1)],
        "some points come back": [(_smooth(2), -_smooth(2), 1.0)],
        "the way back is not taken": [(_smooth(2), ZERO, 1.0)],
    }
    hint = "compose the two: a point that comes back has a sum near zero"
    check_function("there and back", answer, there_and_back, cases, hint=hint)


def check_train_flow(answer: Callable[..., Any]) -> None:
    """Exercise 5: the flow is learnt from two frames alone."""
    coarse = torch.randn(1, 1, 7, 8, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(coarse, (42, 48), mode="bicubic", align_corners=True)
    right = torch.tensor([1.5, -2.0])
    first = warp(image, right[:, None, None].expand(1, 2, 42, 48), "border")[..., 5:-5, 5:-5]
    holds: dict[str, Callable[[Any], bool]] = {
        "it is a vector of two numbers": lambda flow: np.shape(flow) == (2,),
        "it is right to a fifth of a pixel": lambda flow: (
            (torch.as_tensor(flow) - right).abs().max().item() <= 0.2
        ),
    }
    hint = "a vector with gradients, the second frame warped by it, the mean difference to the first; Adam"
    check_made("train_flow", answer, (first, image[..., 5:-5, 5:-5]), holds, hint)
