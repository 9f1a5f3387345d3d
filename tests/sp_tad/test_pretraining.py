"""Backbones that were trained before the detector."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stad_lite.errors import FormatError
from stad_lite.nets.i3d import I3D
from stad_lite.sp_tad.pretraining import ClipClassifier, load_streams, transfer
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


def test_published_weights_go_to_their_stream(tmp_path):
    """Weights of the same width, with the classifier that the published file has too."""
    config = frames_config("i3d")
    config = replace(config, backbone=replace(config.backbone, norm="batch"))
    system = build(config, ("run",))
    torch.manual_seed(1)
    theirs = I3D(2, width=0.0625, num_classes=5)
    torch.save(theirs.state_dict(), tmp_path / "flow.pt")
    before = system.network.backbone.streams["rgb"].state_dict()["Mixed_5c.b0.conv3d.weight"].clone()
    reports = load_streams(system, {"flow": tmp_path / "flow.pt"})
    assert set(reports) == {"flow"} and not reports["flow"].missing
    streams = system.network.backbone.streams
    for name, value in streams["flow"].state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name])
    assert torch.equal(streams["rgb"].state_dict()["Mixed_5c.b0.conv3d.weight"], before)
    with pytest.raises(FormatError, match="no I3D for depth"):
        load_streams(system, {"depth": tmp_path / "flow.pt"})
    with pytest.raises(FormatError, match="no I3D for rgb"):
        load_streams(build(frames_config(), ("run",)), {"rgb": tmp_path / "flow.pt"})
