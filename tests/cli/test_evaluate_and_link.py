"""``evaluate`` and ``link`` as a user meets them."""

import json
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

WALK = np.array([[t, 0.0, t + 10, 20] for t in range(30)])


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """One run found exactly, one swim missed and a false swim; segments half right."""
    truth = VideoAnnotation(
        40,
        100,
        100,
        10.0,
        4.0,
        (Tube(0, WALK, "run"), Tube(5, WALK + 40, "swim")),
        None,
        (Segment("run", 0, 2),),
    )
    run, swim = Tube(0, WALK, "run", 0.9), Tube(0, WALK + [60, 0, 60, 0], "swim", 0.8)
    frames = FrameBoxes(np.arange(30), np.zeros(30), WALK, np.full(30, 0.7))
    found = VideoPredictions((run, swim), frames, (Segment("run", 0, 1, 0.5),))
    classes = ("run", "swim")
    return (
        str(records.write(Annotations("own", classes, {"v": truth}), tmp_path / "truth.json")),
        str(records.write(Predictions(classes, {"v": found}), tmp_path / "found.json")),
    )


def scored(capsys: pytest.CaptureFixture[str], files: tuple[str, str], *words: str) -> dict:
    truth, found = files
    assert main(["evaluate", "--truth", truth, "--predictions", found, *words, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_one_json_object(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    told = scored(capsys, files, "--metric", "video-map", "--iou", "0.2", "0.5")
    assert told["metric"] == "video-map" and told["convention"] == "sound"
    assert told["iou"] == {"0.2": 50.0, "0.5": 50.0}
    assert told["per_class"] == {"run": {"0.2": 100.0, "0.5": 100.0}, "swim": {"0.2": 0.0, "0.5": 0.0}}
    assert (told["num_videos"], told["num_truth"], told["num_predictions"]) == (1, 2, 2)


def test_where_frame_boxes_come_from(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert scored(capsys, files, "--metric", "frame-map")["num_predictions"] == 30
    assert scored(capsys, files, "--metric", "frame-map", "--from", "tubes")["num_predictions"] == 60


def test_other_metrics(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert scored(capsys, files, "--metric", "temporal-map", "--iou", "0.5")["iou"] == {"0.5": 100.0}
    mabo = scored(capsys, files, "--metric", "v-mabo")
    assert mabo["per_class"]["run"] == 100.0 and mabo["value"] == np.mean(list(mabo["per_class"].values()))
    errors = scored(capsys, files, "--metric", "errors", "--iou", "0.5")
    assert errors["counts"]["true_positive"] == 1 and errors["counts"]["missed"] == 1
    levels = scored(capsys, files, "--metric", "video-map", "--iou", "0.5:0.95")["iou"]
    assert list(levels) == ["0.5", "0.55", "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95"]


def test_a_table_without_json(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    truth, found = files
    words = ["evaluate", "--truth", truth, "--predictions", found, "--metric", "video-map", "--per-class"]
    assert main([*words, "--bootstrap", "20"]) == 0
    told = capsys.readouterr().out
    assert "convention sound: 1 videos, 2 truths, 2 predictions" in told
    assert "95 % interval" in told and "swim" in told


@pytest.mark.parametrize(
    "words, told",
    [
        (["--metric", "errors", "--iou", "0.3", "0.5"], "one threshold"),
        (["--metric", "video-map", "--iou", "1.5"], "1.5"),
        (["--metric", "video-map", "--iou", "half"], "half"),
    ],
)
def test_bad_thresholds(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main(["evaluate", "--truth", files[0], "--predictions", files[1], *words]) == 2
    sentence = capsys.readouterr().err
    assert told in sentence and sentence.count("\n") == 1


def test_unknown_videos_are_refused(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Predictions(("run",), {"w": VideoPredictions(tubes=(Tube(0, WALK, "run", 0.9),))})
    path = records.write(other, tmp_path / "other.json")
    words = ["evaluate", "--truth", files[0], "--predictions", str(path), "--metric", "video-map"]
    assert main(words) == 2
    assert "video w" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["online", "tubelets", "viterbi"])
def test_link_turns_boxes_into_tubes(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    out = tmp_path / "linked.npz"
    assert main(["link", "--predictions", files[1], "--method", method, "--out", str(out)]) == 0
    (tube,) = records.read_predictions(out).videos["v"].tubes
    np.testing.assert_allclose(tube.boxes, WALK)
    assert (tube.label, tube.start, tube.end) == ("run", 0, 30) and tube.score == pytest.approx(0.7)
    assert "30 boxes" in capsys.readouterr().out


def test_link_refuses_what_it_cannot_link(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "linked.npz"
    assert main(["link", "--predictions", files[0], "--method", "online", "--out", str(out)]) == 2
    assert "annotations, not predictions" in capsys.readouterr().err
    words = ["link", "--predictions", files[1], "--method", "online", "--preset", "act", "--out", str(out)]
    assert main(words) == 2
    assert "act" in capsys.readouterr().err and not out.exists()


def test_only_the_listed_videos_count(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, found = (records.read(path) for path in files)
    videos = {"v": truth.videos["v"], "w": truth.videos["v"]}
    both = str(records.write(Annotations("own", truth.classes, videos), tmp_path / "both.json"))
    two = Predictions(found.classes, {"v": found.videos["v"], "w": VideoPredictions(tubes=())})
    path = str(records.write(two, tmp_path / "two.json"))
    (tmp_path / "list.txt").write_text("v.avi\n", "utf-8")
    words = ["--metric", "video-map", "--iou", "0.5"]
    assert scored(capsys, (both, path), *words)["iou"]["0.5"] < 50
    told = scored(capsys, (both, path), *words, "--videos", str(tmp_path / "list.txt"))
    assert told["iou"] == {"0.5": 50.0} and told["num_videos"] == 1
    assert told["ignored"]["videos with predictions, but not on the list"] == 1
    (tmp_path / "list.txt").write_text("x\n", "utf-8")
    command = ["evaluate", "--truth", both, "--predictions", path, *words]
    assert main([*command, "--videos", str(tmp_path / "list.txt")]) == 2
    assert "video x" in capsys.readouterr().err
