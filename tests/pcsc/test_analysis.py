"""What single heads are asked about: true boxes in batches, parts of classes, a network on shapes alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.pcsc import analysis
from stad_lite.pcsc import system as pipeline
from stad_lite.pcsc.clips import clips
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.model import PCSC
from stad_lite.plots.architecture import layers
from stad_lite.systems.maps import frame_maps
from stad_lite.systems.truth import boxes_on


@pytest.mark.parametrize("batch", [5, 64])
def test_true_frames_hold_every_true_box_once_with_the_maps_of_its_frame(batch):
    source = synthetic_source(Settings.smoke(), 2, "test")
    system = pipeline.build(PCSCConfig.smoke(), source.classes, 0)
    found = analysis.true_frames(system, source, batch=batch)
    boxes, labels = torch.cat([one.boxes for one in found]), np.concatenate([one.labels for one in found])
    numbers = [(v, n) for v in source.videos for n in range(source.num_frames(v))]
    true = [boxes_on(source.annotations.videos[v], n, source.classes) for v, n in numbers]
    np.testing.assert_allclose(boxes, np.concatenate([some for some, _ in true]), rtol=1e-6)
    assert labels.tolist() == np.concatenate([of for _, of in true]).tolist() and len(labels)
    first = found[0]
    assert first.item.tolist() == sorted(first.item.tolist()) and len(first.item) == len(first.labels)
    video = source.videos[0]
    held = [n for n in range(len(first.maps["rgb"][0])) if len(boxes_on(
        source.annotations.videos[video], n, source.classes)[1])]  # fmt: skip
    assert sorted(set(first.item.tolist())) == held
    _, seen = next(clips(source, system.config, video, frame_maps(system, source), batch))
    with torch.no_grad():
        wanted = system.network.trunks["flow"](seen["flow"])
    torch.testing.assert_close(first.maps["flow"], list(wanted))


def test_a_class_is_right_where_look_and_motion_are():
    classes = ("warm-wave", "warm-chop", "cool-wave", "cool-chop")
    told = analysis.parts_right([0, 1, 2, 3], [0, 0, 0, 0], classes)
    assert told.tolist() == [[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert analysis.parts_right([], [], classes).shape == (0, 3)


def test_every_part_of_the_papers_network_is_called_on_shapes():
    with torch.device("meta"):
        network = PCSC(PCSCConfig.paper(), classes=24)
    called = {layer.name: layer for layer in layers(network, lambda: analysis.on_shapes(network, 7))}
    named = {
        name for name, part in network.named_modules() if name.count(".") == 1 and list(part.parameters())
    }
    assert named <= set(called)
    assert called["heads.stage4"].shape == (7, 25)


def test_every_frame_is_asked_once_with_its_own_row_of_the_outputs():
    source = synthetic_source(Settings.smoke(), 2, "test")
    system = pipeline.build(PCSCConfig.smoke(), source.classes, 0)
    system.network.eval()
    frames = analysis.outputs_of_frames(system, source, batch=5)
    assert [(one.video, one.number) for one in frames] == [
        (video, number) for video in source.videos for number in range(source.num_frames(video))
    ]
    whole = analysis.outputs_of_frames(system, source, batch=64)
    for one, other in zip(frames, whole, strict=True):
        wanted = boxes_on(source.annotations.videos[one.video], one.number, source.classes)
        np.testing.assert_array_equal(one.boxes, wanted[0])
        np.testing.assert_array_equal(one.labels, wanted[1])
        scores, same = (f.outputs.rpn["rgb"][0][f.row] for f in (one, other))
        torch.testing.assert_close(scores, same, atol=1e-4, rtol=1e-4)
