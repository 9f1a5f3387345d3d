"""Flow networks trained on exact flow of textured synthetic clips, beside estimators that learn nothing here.

All are judged on the same pairs of frames of the split ``test``. Figures: ``epe``, the mean end-point error
in pixels, ``zero``, that of no flow at all, and ``ratio``, how many times smaller the first is;
``cpu_seconds``: training and judging together, and rendering where the clips are not in the cache yet.

    python -m stad_lite.reproduce.sweep flow --seeds 3 --profile lesson
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from stad_lite.data.flow import ESTIMATORS, Estimator
from stad_lite.data.location import find_data
from stad_lite.data.synthetic import Settings, dataset
from stad_lite.errors import MissingFileError
from stad_lite.nets.flow.estimator import estimator
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.pwcnet import small_pwcnet
from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.weights import load, read_spynet
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.reproduce.parameters import pick
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.flow import SCHEDULES, Pairs, pairs_of, train
from stad_lite.training.profile import clock

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {"network": "pwc-net", "enlarged": 2},
    "own_size": {"network": "pwc-net", "enlarged": 1},
    "not_normalised": {"network": "pwc-net", "enlarged": 1, "normalise": False},
    "not_still": {"network": "pwc-net", "enlarged": 1, "still": False},
    "flownet_s": {"network": "flownet-s", "enlarged": 1},
    "dis": {"estimator": "dis"},
    "dis_fast": {"estimator": "dis", "preset": "fast"},
    "farneback": {"estimator": "farneback"},
    "brox": {"estimator": "brox"},
    "spynet": {"estimator": "spynet"},
}
"""A network that is trained and how many times larger than they are it sees the frames, or an estimator."""
CLIPS = {"smoke": (2, 2), "lesson": (120, 40), "paper": (1000, 40)}
"""Profile -> clips that are trained on and clips that judge, of which every fourth pair counts."""
EVERY = 4


CHOSEN = (Chosen("the small networks and their schedule", "not recorded", "not recorded"),)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: FormatError for an unknown profile"""
    settings = pick(profile, smoke=Settings.smoke, lesson=Settings.lesson, paper=Settings.large)()
    plan = SCHEDULES["smoke" if profile == "smoke" else "lesson"] if "network" in VARIANTS[variant] else None
    return VARIANTS[variant], plan, settings, CLIPS[profile], EVERY


def run(variant: str, seed: int, profile: str, split: str = "test", device: str = "cpu") -> dict[str, float]:
    """Train one network, or take an estimator, and return its figures.

    device: of networks; classical estimators run on the CPU
    raises: FormatError for an unknown profile, MissingFileError for weights that are not here
    """
    began = clock(device)
    settings = VARIANTS[variant]
    judged: Estimator
    if "network" in settings:
        judged = estimator(*trained(variant, seed, profile, device))
    else:
        judged = untrained(**settings, device=device)
    figures = figures_of(judged, profile, split)
    return {**figures, "cpu_seconds": clock(device) - began}


def figures_of(judged: Estimator, profile: str, split: str = "test") -> dict[str, float]:
    """Return the figures of an estimator but for its time."""
    judging = pairs(profile, split, range(CLIPS[profile][1]), EVERY)
    error, zero = judging.error(judged), judging.error(lambda first, _: np.zeros((*first.shape[:2], 2)))
    return {"epe": error, "zero": zero, "ratio": zero / error}


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common: nothing where something is learnt, else all."""
    return () if "network" in VARIANTS[variant] else ("everything",)


def pairs(profile: str, split: str, clips: range, step: int = 1) -> Pairs:
    """Return pairs of clips of a profile's size; those that are not in the cache are rendered now."""
    settings = configured("base", profile)[2]
    return pairs_of(dataset(settings, clips, split), step)


def trained(variant: str, seed: int, profile: str, device: str = "cpu") -> tuple[nn.Module, tuple[int, int]]:
    """Return the network of a variant, trained, and the size at which it sees frames."""
    build: dict[str, Callable[..., nn.Module]] = {
        "pwc-net": small_pwcnet,
        "flownet-s": partial(FlowNetS, depth=4, width=0.125),
    }
    options = dict(VARIANTS[variant])
    network, enlarged = options.pop("network"), options.pop("enlarged")
    learning = pairs(profile, "train", clips_of_seed(seed, CLIPS[profile][0]))
    height, width = (side * enlarged for side in learning.first.shape[1:3])
    plan = configured(variant, profile)[1]
    seed_all(seed)
    net = build[network](**options)
    train(net, learning, replace(plan, seed=seed), (height, width), torch.device(device))
    return net, (height, width)


def untrained(estimator: str, device: str = "cpu", **options: Any) -> Estimator:
    """Return an estimator that learns nothing here. raises: MissingFileError for weights not here"""
    return spynet(device) if estimator == "spynet" else ESTIMATORS[estimator](**options)


def spynet(device: str = "cpu") -> Estimator:
    """Return SPyNet with its published weights. raises: MissingFileError"""
    folder = find_data("weights", "spynet")
    if folder is None:
        raise MissingFileError("the weights of SPyNet are not here", remedy="set STAD_DATA to their folder")
    net = SPyNet().eval()
    load(net, read_spynet(folder))
    return estimator(net.to(device))
