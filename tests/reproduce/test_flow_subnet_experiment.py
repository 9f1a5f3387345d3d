"""The experiment on the flow subnet: its variants, its figures, the flow that stands for the network's."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.data import flow as flow_tools
from stad_lite.errors import StadError
from stad_lite.flow_subnet import system as pipeline
from stad_lite.reproduce.experiments import flow_subnet as experiment

TABLE_2 = {"base", "sum", "average", "pyramid", "one_scale", "none"}
TABLE_1 = {"frozen", "flownets", "brox"}
OURS = {"spynet", "dis", "farneback", "exact"}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))


def test_every_variant_is_a_configuration_of_its_own():
    assert set(experiment.VARIANTS) >= TABLE_1 | TABLE_2 | OURS
    made = {name: experiment.config_of(name, "lesson") for name in experiment.VARIANTS}
    flows = {name: settings.get("flow") for name, settings in experiment.VARIANTS.items()}
    assert len({(config, flows[name]) for name, config in made.items()}) == len(made)
    for name, config in made.items():
        assert (config.estimator == "given") == bool(flows[name])
    with pytest.raises(StadError, match="no variant"):
        experiment.config_of("without_everything", "lesson")


@pytest.mark.parametrize("variant", ["base", "farneback"])
def test_figures_of_a_variant(variant):
    figures = experiment.run(variant, 0, "smoke")
    shares = {"frame_map", "video_map_20", "video_map_50"}
    assert set(figures) == shares | {"flow_error", "detect_ms", "cpu_seconds"}
    assert all(0 <= figures[name] <= 100 for name in shares)
    assert 0 < figures["flow_error"] < 20 and figures["cpu_seconds"] > 0


def test_estimated_flow_is_the_estimators():
    source = experiment.clips("dis", "smoke", "val")
    video = source.videos[0]
    frames = source.frames(video, range(source.num_frames(video)))
    wanted = flow_tools.dis()(frames[2], frames[3])
    np.testing.assert_allclose(source.flow(video, [2])[0], wanted, atol=0.02)
    assert source.flow_name == "dis"


def test_the_flow_error_is_that_of_the_flow_that_is_seen():
    exact, other = (experiment.clips(name, "smoke", "val") for name in ("exact", "dis"))
    config = experiment.config_of("exact", "smoke")
    system = pipeline.build(config, exact.classes)
    assert experiment.flow_error(system, exact, exact) == 0
    assert 0.05 < experiment.flow_error(system, other, exact) < 5
