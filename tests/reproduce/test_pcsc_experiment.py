"""The experiment on PCSC: its variants, its clips, and a whole run at the smallest profile."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.data.synthetic import Settings
from stad_lite.reproduce.experiments import pcsc as experiment


@pytest.mark.parametrize("variant", experiment.VARIANTS)
def test_every_variant_has_a_configuration_and_clips(variant):
    change = experiment.VARIANTS[variant]
    config, clips = experiment.config_of("lesson", change), experiment.settings("lesson", change)
    known = {name for name in change if name in config.__dataclass_fields__ or name.startswith("corrupt_")}
    assert known | {"flow", "length"} >= set(change)
    assert (clips == Settings.lesson()) is not any(name.startswith("corrupt_") for name in change)
    assert config.size == (clips.height, clips.width)


def test_the_columns_of_table_5_differ_in_messages_alone():
    base, other = (experiment.config_of("lesson", experiment.VARIANTS[v]) for v in ("base", "no_messages"))
    assert {n for n in base.__dataclass_fields__ if getattr(base, n) != getattr(other, n)} == {"messages"}
    assert (base.stages, base.messages, other.messages) == (4, "both", "none")


def test_estimated_flow_is_another_flow_of_the_same_frames(monkeypatch, tmp_path):
    pytest.importorskip("cv2")
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    exact, found = (experiment.open_clips(Settings.smoke(), 1, "val", flow) for flow in ("exact", "dis"))
    video = exact.videos[0]
    np.testing.assert_array_equal(exact.frames(video, [3]), found.frames(video, [3]))
    a, b = exact.flow(video, np.arange(4)), found.flow(video, np.arange(4))
    error = np.linalg.norm(a - b, axis=-1).mean()
    assert 0 < error < np.linalg.norm(a, axis=-1).mean()  # better than no flow at all


def test_a_whole_run(monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    figures = experiment.run("base", 0, "smoke")
    assert {"stage0", "stage1", "stage2", "boost0", "boost2", "cpu_seconds"} <= set(figures)
    assert {"recall_union", "only_flow"} <= set(figures)
    assert {"tubes", "tubes_actionness", "tubes_labels", "tubes_20"} <= set(figures)
    assert all(0 <= value <= 100 for name, value in figures.items() if not name.endswith("seconds"))
    again = experiment.run("base", 0, "smoke")
    same = [name for name in figures if not name.endswith("seconds")]
    assert [again[name] for name in same] == [figures[name] for name in same]


def test_no_tubes_where_a_stream_is_corrupted(monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    figures = experiment.run("flow_4", 0, "smoke")
    assert {"stage2", "boost2", "recall_union"} <= set(figures)
    assert not any(name.startswith("tubes") for name in figures)
