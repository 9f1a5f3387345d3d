from dataclasses import replace

import numpy as np
import pytest

from stad_lite.data.synthetic import Settings, build_scene
from stad_lite.data.synthetic.detectors import Noise
from stad_lite.linking import OnlineConfig
from stad_lite.reproduce import linkers

SILENT = Noise(jitter=0, misses=0, score=0, confusion=0, idle=0.5, false_boxes=0)
LESSON = Settings.lesson()


def cheats(scene, noise, seed):
    return {"the truth": [replace(tube, score=1.0) for tube in scene.tubes()], "nothing": ()}


def test_the_truth_scores_all_and_nothing_scores_none():
    found = linkers.scored(cheats, SILENT, range(3), LESSON)
    assert found == {"the truth": (100.0, 100.0), "nothing": (0.0, 0.0)}


def test_without_noise_tubes_fit_in_space_and_are_too_long_in_time():
    space, time = linkers.space_and_time(SILENT, range(4), OnlineConfig(min_score=0.2), LESSON)
    lengths = [
        len(tube) / LESSON.frames for number in range(4) for tube in build_scene(LESSON, number).tubes()
    ]
    assert space == pytest.approx(1, abs=1e-6) and time == pytest.approx(np.mean(lengths), abs=0.1)
    assert linkers.space_and_time(SILENT, range(4), OnlineConfig(min_boxes=200), LESSON) == (0, 0)


def test_a_tube_that_is_on_no_actor_has_no_overlap_rather_than_none():
    config = OnlineConfig(min_score=0.2)
    on, exact = linkers.followed(SILENT, range(3), config, LESSON)
    assert on.min() > 0.5 and exact == pytest.approx(np.ones(LESSON.frames), abs=1e-6)
    on, exact = linkers.followed(SILENT, range(3), OnlineConfig(min_boxes=200), LESSON)
    assert not on.any() and np.isnan(exact).all()
    on, exact = linkers.followed(SILENT, range(3), config, LESSON, least=1.1)
    assert not on.any() and np.isnan(exact).all()
