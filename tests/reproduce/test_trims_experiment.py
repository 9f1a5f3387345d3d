"""PCSC's trims against tuned rivals: the grid, the choice on val, and a whole run at the smallest profile."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.linking import LabelSmoothing, trim_tubes
from stad_lite.pcsc import stages
from stad_lite.pcsc import system as pipeline
from stad_lite.pcsc.actionness import ActionnessDetectors
from stad_lite.reproduce.experiments import pcsc, trims
from stad_lite.reproduce.rows import Row, Sweep, write_sweep
from stad_lite.systems.maps import frame_maps
from stad_lite.tubes import Tube


def test_every_rule_has_a_grid_with_the_published_border_in_it():
    points = trims.grid()
    assert {rule for rule, *_ in points.values()} == set(trims.RULES)
    assert points["labels_0.5_2.5"] == (
        "labels",
        0.0,
        LabelSmoothing(2.5, "two", empty="keep", rescore=False),
    )
    sizes = {sum(rule == one for rule, *_ in points.values()) for one in trims.RULES[1:]}
    assert len(sizes) == 1  # rivals get the same care


def test_a_border_of_its_own_cuts_where_the_fixed_one_cannot():
    scores = np.array([0.02] * 8 + [0.3] * 8 + [0.02] * 8)
    tube = Tube(0, np.tile([0.0, 0.0, 8.0, 8.0], (24, 1)), "wave", 0.3, scores)
    lengths = {}
    for name in ("labels_0.5_0.1", "labels_0.1_0.1"):
        _, shift, trim = trims.grid()[name]
        (found,) = trim_tubes([tube], trim, [scores + shift]).tubes
        lengths[name] = (found.start, len(found), found.score)
    assert lengths == {"labels_0.5_0.1": (0, 24, 0.3), "labels_0.1_0.1": (8, 8, 0.3)}


def test_the_choice_is_made_on_val_and_looks_at_no_test():
    better = {"val_own_5_0.1": 30.0, "test_own_5_0.1": 1.0, "val_own_9_0.1": 20.0, "test_own_9_0.1": 99.0}
    kept = Sweep("trims", "lesson", tuple(Row("base", seed, {}, better) for seed in range(3)))
    assert trims.chosen(kept, "base", "own") == "own_5_0.1"
    assert trims.chosen(kept, "base", "median") == trims.chosen(kept, "baseline", "own") == ""


@pytest.mark.parametrize("variant", trims.VARIANTS)
def test_a_whole_run(variant, monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    figures = trims.run(variant, 0, "smoke")
    wanted = {f"{split}_{name}" for split in ("val", "test") for name in ("whole", *trims.grid())}
    levels = {f"{kind}_{level}" for kind in ("whole", "refined") for level in ("20", "50", "75", "mean")}
    assert set(figures) == wanted | levels | {"cpu_seconds"}
    assert figures["test_whole"] == figures["whole_50"]
    assert all(0 <= value <= 100 for name, value in figures.items() if name != "cpu_seconds")


def test_the_command_prints_what_val_chose(tmp_path):
    better = {"val_own_5_0.1": 30.0, "test_own_5_0.1": 11.0}
    write_sweep(Sweep("trims", "lesson", tuple(Row("base", seed, {}, better) for seed in range(3))), tmp_path)
    lines: list[str] = []
    trims.main(["--out", str(tmp_path)], lines.append)
    assert lines == ["base own: own_5_0.1, on test 11.0 over 3 seeds"]


def test_what_is_known_of_videos_is_not_looked_at_again(monkeypatch):
    source = pcsc.open_clips(pcsc.settings("smoke", {}), 2, "test")
    system = pipeline.build(pcsc.config_of("smoke", {}), source.classes, 0)
    maps, general = frame_maps(system, source), ActionnessDetectors(2 * system.config.hidden, 1, 4)
    known = dict(stages.look(system, source, maps, last=True))
    wanted = trims.evidence(system, source, maps, general)
    monkeypatch.setattr(stages, "look", None)
    found = trims.evidence(system, source, maps, general, known)
    assert {v: [t.start for t in tubes] for v, (tubes, _) in found.items()} == {
        v: [t.start for t in tubes] for v, (tubes, _) in wanted.items()
    }
    points = trims.along_grid(found, source, ("own",))
    assert set(points) == {"whole", *(name for name, (rule, *_) in trims.grid().items() if rule == "own")}
