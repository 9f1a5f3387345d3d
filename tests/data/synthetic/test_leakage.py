"""One frame must not tell the whole class: the recorded figures, and a smaller run of the same."""

import json
from pathlib import Path

import pytest

from stad_lite.data.synthetic import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def recorded() -> dict:
    return json.loads((ROOT / "benchmarks/results/synthetic_leakage.json").read_text(encoding="utf-8"))


def test_the_recorded_figures_are_of_the_present_design(recorded: dict) -> None:
    assert recorded["settings_key"] == Settings.lesson().key
    assert recorded["command"].startswith("OMP_NUM_THREADS=1 python -m benchmarks.synthetic_leakage")


def test_the_recorded_accuracies_are_near_chance_on_the_hidden_factor(recorded: dict) -> None:
    accuracy = recorded["accuracy"]
    deviation = accuracy["test_crops"] ** -0.5  # at most twice that of a share
    assert abs(accuracy["rgb_motion"] - 1 / 3) < 2 * deviation
    assert abs(accuracy["flow_appearance"] - 1 / 2) < 2 * deviation
    assert accuracy["rgb_appearance"] > 0.9
    assert accuracy["flow_motion"] > 0.5


def test_the_recorded_tubes_move_like_the_real_ones(recorded: dict) -> None:
    for order, value in recorded["polynomial_prototype"].items():
        assert recorded["polynomial_mean_iou"][order] == pytest.approx(value, abs=0.06)


def test_the_polynomial_figures_come_out_again(recorded: dict) -> None:
    pytest.importorskip("torch")
    from benchmarks.synthetic_leakage import polynomial_mean_iou

    fresh = polynomial_mean_iou(Settings.lesson(), 300)
    assert fresh == pytest.approx(recorded["polynomial_mean_iou"], abs=2e-4)


@pytest.mark.slow
def test_a_smaller_run_stays_within_wide_bounds() -> None:
    pytest.importorskip("torch")
    from benchmarks.synthetic_leakage import leakage

    accuracy = leakage(Settings.lesson(), train_clips=250, test_clips=150, epochs=6)
    assert accuracy["rgb_motion"] < 0.45
    assert accuracy["flow_appearance"] < 0.6
    assert accuracy["rgb_appearance"] > 0.85
    assert accuracy["flow_motion"] > 0.42
