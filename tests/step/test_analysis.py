"""The overlaps that go into each step."""

import numpy as np
import torch

from stad_lite import boxes as box_ops
from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import CLASSES, Settings
from stad_lite.step import analysis
from stad_lite.step import system as pipeline
from stad_lite.step.analysis import overlaps_beside, overlaps_by_step
from tests.step.cases import tiny


def test_the_first_step_sees_the_cuboids(tmp_path):
    source = synthetic_source(Settings.smoke(), 2, "train", tmp_path)
    torch.manual_seed(0)
    system = pipeline.StepSystem(tiny(), CLASSES)
    found = overlaps_by_step(system, source, stride=5)
    assert len(found) == 3
    first = system.network.initial.numpy().astype(np.float64)
    of_truths, of_proposals = [], []
    for video in source.videos:
        for start in (0, 5, 10):
            tubes = source.annotations.videos[video].tubes
            each = []
            for tube in tubes:
                frames = [f for f in range(start, start + 6) if tube.start <= f < tube.end]
                if len(frames) >= 3:
                    truth = np.stack([tube.boxes[f - tube.start] for f in frames])
                    each.append([box_ops.iou(cuboid[0], truth).mean() for cuboid in first])
            if each:
                of_truths += [max(row) for row in each]
                of_proposals += np.max(each, axis=0).tolist()
    np.testing.assert_allclose(sorted(found[0].truths), sorted(of_truths), atol=1e-5)
    np.testing.assert_allclose(sorted(found[0].proposals), sorted(of_proposals), atol=1e-5)
    assert all(len(step.proposals) == len(of_proposals) for step in found)


def test_the_boxes_beside_are_held_against_the_truth_of_their_own_frames(monkeypatch, tmp_path):
    """A truth extended by itself is perfect; a frame late it is not."""
    source = synthetic_source(Settings.smoke(), 3, "train", tmp_path)
    torch.manual_seed(0)
    system = pipeline.StepSystem(
        tiny(clips=(1, 3), thresholds=(0.2, 0.35), extension="anticipation"), CLASSES
    )
    told = overlaps_beside(system, source)
    assert set(told) == {"copy_2", "extrapolation_2", "anticipation_2"}
    assert all(0 < value < 1 for value in told.values())

    def of_truth(answer, config):
        return truth_of["batch"].to(answer.proposals)

    truth_of = {}
    batches = analysis.batched

    def watched(*arguments):
        for batch in batches(*arguments):
            truth_of["batch"] = torch.where(batch["present"][..., None], batch["truth"], 0.0)
            yield batch

    monkeypatch.setattr(analysis, "batched", watched)
    monkeypatch.setattr(analysis, "extend", of_truth)
    assert set(overlaps_beside(system, source).values()) == {1.0}
    monkeypatch.setattr(analysis, "extend", lambda answer, config: of_truth(answer, config).roll(1, 2))
    assert max(overlaps_beside(system, source).values()) < 1
