"""Cached features are what the backbone would have said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite.errors import FormatError
from stad_lite.sp_tad.extraction import extract_features, on_features
from stad_lite.sp_tad.system import build, collate, detect, test_windows, training_set
from tests.sp_tad.small import SMOKE, clips, frames_config

test_windows.__test__ = False


def test_a_detector_on_cached_features_reads_what_its_backbone_gave(tmp_path):
    torch.manual_seed(0)
    source = clips(frames=450, fps=30.0)  # 150 places at 10 a second: two windows and a part
    system = build(frames_config(), ("run", "jump"))
    cached = extract_features(system, source, tmp_path)
    assert cached.videos == source.videos and cached.num_frames("a") == 150 and cached.fps("a") == 10
    assert [stage.shape[1] for stage in cached.features("a")] == [75, 38, 19]
    config = on_features(system.config, cached)
    second = build(config, ("run", "jump"))
    rest = {k: v for k, v in system.network.state_dict().items() if not k.startswith("backbone")}
    second.network.load_state_dict(rest)
    direct, kept = test_windows(system, source), test_windows(second, cached)
    direct.places = kept.places = [direct.places[0]._replace(start=64)]
    system.network.eval(), second.network.eval()
    with torch.no_grad():
        ours = system.network(collate([direct[0]]).inputs)
        theirs = second.network(collate([kept[0]]).inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert len(training_set(second, cached)) > 0 and detect(second, cached).videos["a"].segments


def test_features_are_made_once(tmp_path):
    source = clips(frames=64)
    system = build(frames_config(), ("run", "jump"))
    first = extract_features(system, source, tmp_path).features("a")
    with torch.no_grad():
        for parameter in system.network.parameters():
            parameter.zero_()
    again = extract_features(system, source, tmp_path).features("a")
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(FormatError, match="gives frames"):
        extract_features(build(SMOKE, ("run",)), source, tmp_path)
