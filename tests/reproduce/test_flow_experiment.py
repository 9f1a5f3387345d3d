"""The flow experiment: its kinds of variants at smoke, its figures, and the network that is kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from stad_lite.errors import FormatError, MissingFileError, TruncatedFileError
from stad_lite.reproduce import trained_flow
from stad_lite.reproduce.experiments import flow as experiment
from stad_lite.reproduce.rows import read_sweep
from stad_lite.reproduce.statistics import judge
from stad_lite.training import checkpoint


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("trained")
        yield trained_flow.make(profile="smoke", folder=folder)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))


@pytest.mark.parametrize("variant", ["base", "not_still", "flownet_s", "farneback"])
def test_a_run_judges_on_the_same_pairs(variant):
    figures = experiment.run(variant, 0, "smoke")
    judging = experiment.pairs("smoke", "test", range(2), 4)
    lengths = np.linalg.norm(judging.flow.astype(np.float64), axis=-1)
    assert len(judging) == 2 * 4 and figures["zero"] == pytest.approx(lengths.mean(), rel=1e-6)
    assert figures["ratio"] == pytest.approx(figures["zero"] / figures["epe"])
    assert figures["cpu_seconds"] > 0


def test_settings_reach_the_network():
    net, size = experiment.trained("base", 0, "smoke")
    assert net.normalise and size == (96, 96)
    assert experiment.trained("own_size", 0, "smoke")[1] == (48, 48)
    assert not experiment.trained("not_normalised", 0, "smoke")[0].normalise


def test_seeds_share_no_clip_and_no_weight():
    nets = [experiment.trained("base", seed, "smoke")[0] for seed in (0, 1)]
    assert not torch.equal(nets[0].conv1a[0].weight, nets[1].conv1a[0].weight)
    assert experiment.shared("base") == () and experiment.shared("dis") == ("everything",)


def test_spynet_without_its_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match="STAD_DATA"):
        experiment.run("spynet", 0, "smoke")


def test_the_kept_runs_beat_no_flow_twice_within_the_time():
    """Three seeds, each with clips of its own; DIS stands beside them on the same pairs."""
    sweep = read_sweep("flow", "lesson")
    errors, zero = (sweep.values("base", figure) for figure in ("epe", "zero"))
    assert set(errors) == {0, 1, 2} and len(set(errors.values())) == 3
    assert all(2 * errors[seed] < zero[seed] for seed in errors)
    assert judge(zero, {seed: 2 * value for seed, value in errors.items()}).low > 0
    assert max(sweep.values("base", "cpu_seconds").values()) < 180
    for name in ("dis", "dis_fast", "farneback", "spynet"):
        assert sweep.values(name, "zero")[0] == zero[0], name


def test_what_is_kept_comes_back(made):
    found = trained_flow.load(made.parent)
    assert found.command == trained_flow.command(profile="smoke") and found.size == (96, 96)
    assert {p.dtype for p in found.net.parameters()} == {torch.float32} and not found.net.training
    again = experiment.figures_of(found.estimator, "smoke")
    assert found.figures == {name: round(value, 3) for name, value in again.items()}


def test_the_kept_network_reaches_its_figures():
    """On every eighth of the pairs that its figures are of."""
    found = trained_flow.load()
    judging = experiment.pairs("lesson", "test", range(0, 40, 8), experiment.EVERY)
    error = judging.error(found.estimator)
    zero = judging.error(lambda first, _: np.zeros((*first.shape[:2], 2)))
    assert zero / error == pytest.approx(found.figures["ratio"], rel=0.35) and zero > 2 * error


def test_a_damaged_file_is_named(made, tmp_path):
    with pytest.raises(MissingFileError, match=r"python -m stad_lite\.reproduce\.trained_flow"):
        trained_flow.load(tmp_path)
    path, whole = tmp_path / "pwc_net.pt", made.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TruncatedFileError, match=r"pwc_net\.pt"):
        trained_flow.load(tmp_path)
    state = checkpoint.read(made)
    about = json.loads(state["about"])
    for other in ({**about, "format": "other"}, {"format": about["format"]}):
        checkpoint.write_state(path, {"network": state["network"], "about": json.dumps(other)})
        with pytest.raises(FormatError, match=r"pwc_net\.pt"):
            trained_flow.load(tmp_path)
    del state["network"]["conv1a.0.weight"]
    checkpoint.write_state(path, {"network": state["network"], "about": json.dumps(about)})
    with pytest.raises(FormatError, match="make it anew"):
        trained_flow.load(tmp_path)
