"""The figures of the real UCF101-24 tubes, and the same functions on a folder that the test writes."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from stad_lite.cfad import keyframes
from stad_lite.cli import main
from stad_lite.reproduce.oracles import ucf101_24_oracles


def test_oracles_of_a_small_folder(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    videos, tubes = {}, []
    for i, length in enumerate((5, 40, 90)):
        corner = 50 + np.cumsum(generator.integers(-3, 4, (length, 2)), 0)
        xywh = np.concatenate([corner, np.full((length, 2), 60)], -1).astype(np.uint8)
        tube = {"label": 0, "sf": 0, "ef": length, "boxes": xywh}
        videos[f"Basketball/v_{i}"] = {"numf": length, "label": 0, "annotations": [tube]}
        x, y = xywh[:, 0] - 1.0, xywh[:, 1] - 1.0
        tubes.append(np.stack([x, y, x + 60, y + 60], -1))
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps(videos, protocol=3))
    (tmp_path / "testlist01.txt").write_text("Basketball/v_1\n", "utf-8")
    figures = ucf101_24_oracles(tmp_path)
    assert (figures["videos"], figures["tubes"], figures["boxes"]) == (3, 3, 135)
    assert figures["split1"] == {"train_videos": 2, "test_videos": 1}
    assert [figures["extension"][part]["windows"] for part in ("all", "test")] == [4 + 13, 4]
    for kind in ("spline", "linear"):
        keys = [keyframes.greedy_keys(tube, 16, 0.8, kind) for tube in tubes]
        reached = [keyframes.overlap(t, np.sort(k), kind) for t, k in zip(tubes, keys, strict=True)]
        stamps = [len(keyframes.stamps(len(tube), 16)) for tube in tubes]
        assert figures["greedy"][kind] == pytest.approx(
            {
                "mean_keys": np.mean([len(k) for k in keys]),
                "share_of_labels": sum(len(k) for k in keys) / sum(stamps),
                "share_never_reaching": np.mean(np.array(reached) <= 0.8),
                "mean_iou": np.mean(reached),
            }
        )


def test_real_figures(stad_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = stad_data / "ucf101_24"
    assert main(["oracles", "ucf101-24", "--data", str(folder), "--json", "-"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {name: figures[name] for name in ("dataset", "videos", "tubes", "boxes", "split1")} == {
        "dataset": "ucf101-24",
        "videos": 3194,
        "tubes": 4458,
        "boxes": 573862,
        "split1": {"train_videos": 2284, "test_videos": 910},
    }
    expected = (0.569, 0.665, 0.719, 0.754, 0.781, 0.800, 0.817, 0.830, 0.841)
    for order, value in enumerate(expected):
        assert figures["polynomial_mean_iou"][str(order)] == pytest.approx(value, abs=0.001)
    greedy = figures["greedy"]
    assert (greedy["epsilon"], greedy["n"]) == (0.8, 16)
    spline = {
        "mean_keys": 7.3109,
        "share_of_labels": 0.46189,
        "share_never_reaching": 0.11889,
        "mean_iou": 0.82170,
    }
    linear = {
        "mean_keys": 6.7261,
        "share_of_labels": 0.42495,
        "share_never_reaching": 0.10520,
        "mean_iou": 0.82291,
    }
    assert greedy["spline"] == pytest.approx(spline, abs=1e-4)
    assert greedy["linear"] == pytest.approx(linear, abs=1e-4)
    ahead = figures["extension"]["all"]
    assert ahead["extrapolation"] == pytest.approx([0.7771, 0.5584], abs=2e-4)
    assert ahead["copy_last_box"] == pytest.approx([0.8121, 0.6526], abs=2e-4)
