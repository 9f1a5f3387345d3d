"""The experiment on the flow subnet: its variants, its figures, the flow that stands for the network's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stad_lite.data import flow as flow_tools
from stad_lite.errors import StadError
from stad_lite.flow_subnet import system as pipeline
from stad_lite.reproduce.experiments import flow_subnet as experiment
from stad_lite.systems.truth import boxes_on

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
    assert set(figures) == shares | {"flow_error", "actor_error", "detect_ms", "cpu_seconds"}
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
    assert experiment.flow_errors(system, exact, exact) == {"flow_error": 0, "actor_error": 0}
    assert all(0.05 < value < 5 for value in experiment.flow_errors(system, other, exact).values())


def test_the_error_inside_of_boxes_is_that_of_their_pixels():
    exact = experiment.clips("exact", "smoke", "val")
    system = pipeline.build(experiment.config_of("exact", "smoke"), exact.classes)

    def wrong_outside(video, numbers):
        flow = exact.flow(video, numbers).copy()
        for one, number in zip(flow, numbers, strict=True):
            outside = np.ones(one.shape[:2], bool)
            for x1, y1, x2, y2 in boxes_on(exact.annotations.videos[video], number, exact.classes)[0]:
                outside[round(y1) : round(y2), round(x1) : round(x2)] = False
            one[outside] += 5
        return flow

    off = experiment.flow_errors(system, replace(exact, read_flow=wrong_outside), exact)
    assert off["actor_error"] == 0 < 1 < off["flow_error"] < 5 * np.sqrt(2)
