"""The experiment on the dense detector: what it is judged against."""

from __future__ import annotations

import numpy as np

from stad_lite.reproduce.experiments import baselines


def test_everyone_holds_every_true_box_and_those_who_do_nothing():
    test = baselines.source("smoke", "test")
    everyone = baselines.everyone("smoke", "test")
    assert everyone.videos.keys() == test.annotations.videos.keys() and everyone.classes == ("action",)
    idle = 0
    for video, known in test.annotations.videos.items():
        actors = everyone.videos[video].tubes
        assert all((actor.start, actor.end) == (0, known.num_frames) for actor in actors)
        for tube in known.tubes:
            same = [np.array_equal(actor.boxes[tube.start : tube.end], tube.boxes) for actor in actors]
            assert sum(same) == 1
        idle += sum(len(actor.boxes) for actor in actors) - sum(len(tube.boxes) for tube in known.tubes)
    assert idle > 0
