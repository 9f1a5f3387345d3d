"""The classifier of clips that the experiments train a backbone with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stad_lite.errors import FormatError
from stad_lite.reproduce.experiments.sp_tad import ClipClassifier, transfer
from stad_lite.sp_tad.system import build, collate, training_set
from tests.sp_tad.small import SMOKE, clips, frames_config


def batch(system):
    data = training_set(system, clips())
    return collate([data[0], data[1]])


def test_a_classifier_trains_a_backbone_that_a_detector_takes():
    torch.manual_seed(0)
    config = frames_config()
    classifier, system = ClipClassifier(config, ("run", "jump")), build(config, ("run", "jump"))
    some = batch(system)
    loss = classifier.loss(some)["clip"]
    loss.backward()
    assert all(p.grad is not None for p in classifier.network.parameters())
    wanted = torch.tensor([[1.0, 0.0]] * 2)
    logits = classifier.logits(some.inputs)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.stack(classifier.predict(some)), logits.sigmoid())
    transfer(classifier, system)
    ours = system.network.backbone.state_dict()
    assert all(torch.equal(ours[k], v) for k, v in classifier.network["backbone"].state_dict().items())


def test_backbones_that_differ_are_not_exchanged():
    other = replace(frames_config(), backbone=replace(frames_config().backbone, stem=(4, 8)))
    with pytest.raises(FormatError, match="not the detector's"):
        transfer(ClipClassifier(frames_config(), ("run",)), build(other, ("run",)))
    with pytest.raises(FormatError, match="no backbone to train"):
        ClipClassifier(SMOKE, ("run",))
