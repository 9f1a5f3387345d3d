"""The published sizes: one training step and one inference step on random input."""

import time

import pytest
import torch

from stad_lite.step import system as pipeline
from stad_lite.step.config import StepConfig, schedule
from stad_lite.step.model import StepNetwork
from stad_lite.training import optimisers
from tests.step.cases import batch


@pytest.mark.parametrize(("profile", "classes", "cells"), [("paper", 24, 25), ("paper_ava", 60, 25)])
def test_shapes_without_memory(profile, classes, cells):
    """Stride 16 of 400 pixels is 25 cells; proposals grow to the frames that the paper says."""
    config = getattr(StepConfig, profile)()
    with torch.device("meta"):
        network = StepNetwork(config, classes)
        frames = torch.empty(1, config.clips[-1] * config.clip, config.channels, *config.size)
        maps = network.features(frames)
    assert maps.shape[1] == config.clips[-1] * config.boxes and maps.shape[3:] == (cells, cells)
    assert network.stride == 16 and len(network.initial) == {"paper": 11, "paper_ava": 34}[profile]
    anticipated = [head.after is not None for head in network.heads]
    assert anticipated == {"paper": [True, True, False], "paper_ava": [False, True, False]}[profile]


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "classes"), [("paper_ava", 60), ("paper", 24)])
def test_one_training_step_and_one_inference_step(profile, classes):
    torch.manual_seed(0)
    config = getattr(StepConfig, profile)()
    began = time.process_time()
    system = pipeline.StepSystem(config, tuple(f"class {i}" for i in range(classes)))
    shown = batch(config, items=1, truths=2, classes=classes)
    optimiser = optimisers.make(system.network, schedule(profile))
    optimisers.set_rate(optimiser, 5e-5)
    terms = system.loss(shown)
    sum(terms.values()).backward()
    optimiser.step()
    trained = time.process_time()
    assert all(torch.isfinite(value) for value in terms.values())
    assert all(torch.isfinite(p).all() for p in system.network.parameters())
    found = system.predict(shown)
    seen = time.process_time()
    assert len(found) == 1 and found[0].boxes.shape[1:] == (config.boxes, 4)
    print(f"{profile}: training step {trained - began:.0f} CPU-s, inference step {seen - trained:.0f} CPU-s")
