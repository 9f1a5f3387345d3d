"""AVA's time is seconds, with decimals: read, written, scored and drawn where it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, FrameBoxes, Predictions, Segment, VideoAnnotation, VideoPredictions
from stad_lite.records.exchange import ava
from stad_lite.tubes import Tube

ACTIONS = {1: "stand", 12: "talk to"}
BOX = "0.25,0.25,0.5,0.75"


def csv_of(path: Path, seconds: list[str], tail: str = "", video: str = "a") -> Path:
    path.write_text("".join(f"{video},{second},{BOX},12{tail}\n" for second in seconds), "utf-8")
    return path


def seconds_of(video: VideoAnnotation | VideoPredictions) -> list[float]:
    assert video.frames is not None and video.fps is not None
    return (video.frames.frame / video.fps).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_no_second_is_rounded_into_another(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    digits = int(rng.integers(0, 7))
    stamps = np.unique(np.round(rng.uniform(0, 1800, 20), digits))
    texts = [f"{stamp:.{digits}f}" for stamp in stamps]
    truth = ava.read_ground_truth(csv_of(tmp_path / "t.csv", texts), ACTIONS).record
    np.testing.assert_allclose(seconds_of(truth.videos["a"]), stamps, atol=1e-9)
    assert truth.videos["a"].fps == (1.0 if digits == 0 else 1e6)
    found = ava.read_results(csv_of(tmp_path / "p.csv", texts, ",0.5"), ACTIONS).record
    assert evaluate(truth, found, "frame-map", convention="ava").iou == {0.5: 100.0}
    for record in (truth, found):
        writer = ava.write_ground_truth if record is truth else ava.write_results
        reader = ava.read_ground_truth if record is truth else ava.read_results
        assert reader(writer(record, tmp_path / "back.csv", ACTIONS), ACTIONS).record == record
        assert records.read(records.write(record, tmp_path / "a.npz")) == record
        assert records.read(records.write(record, tmp_path / "a.json")) == record


def test_whole_and_broken_seconds_meet_in_the_evaluation(tmp_path: Path) -> None:
    truth = ava.read_ground_truth(csv_of(tmp_path / "t.csv", ["0902", "0903", "0904"]), ACTIONS).record
    assert truth.videos["a"].frames.frame.tolist() == [902, 903, 904]
    texts = ["902.000000", "902.4", "904"]
    found = ava.read_results(csv_of(tmp_path / "p.csv", texts, ",0.5"), ACTIONS, fps=1.0).record
    result = evaluate(truth, found, "frame-map", convention="ava")
    assert result.num_predictions == 2 and result.ignored["predictions on frames not evaluated"] == 1
    broken = ava.read_ground_truth(csv_of(tmp_path / "t.csv", ["902.4", "903.5"]), ACTIONS).record
    whole = ava.read_results(csv_of(tmp_path / "p.csv", ["902", "903"], ",0.5"), ACTIONS).record
    assert evaluate(broken, whole, "frame-map", convention="ava").iou[0.5] == 0.0


def test_a_rate_is_kept_where_it_says_the_same(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "t.csv", ["0002", "0004"])
    assert ava.read_ground_truth(path, ACTIONS, fps=25.0).record.videos["a"].frames.frame.tolist() == [
        50,
        100,
    ]
    near = csv_of(tmp_path / "t.csv", ["2.033", "2.067"])  # frames 61 and 62 at 30 a second, in thousandths
    assert ava.read_ground_truth(near, ACTIONS, fps=30.0).record.videos["a"].frames.frame.tolist() == [61, 62]
    close = csv_of(tmp_path / "t.csv", ["2.033", "2.034"])
    assert len(set(ava.read_ground_truth(close, ACTIONS, fps=30.0).record.videos["a"].frames.frame)) == 2


def test_key_frames_are_left_out_by_their_second(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,902.4\n", "utf-8")
    excluded = ava.read_timestamps(tmp_path / "x.csv")
    path = csv_of(tmp_path / "t.csv", ["902.4", "902.0"])
    kept = ava.read_ground_truth(path, ACTIONS, excluded=excluded).record.videos["a"]
    assert kept.evaluated_frames.tolist() == [902_000_000]


def test_tubes_are_written_at_the_seconds_of_their_frames(tmp_path: Path) -> None:
    tube = Tube(3, np.tile([16.0, 12, 32, 36], (2, 1)), "talk to")
    timed = VideoAnnotation(5, 64, 48, times=np.array([0, 0.5, 1, 2, 3.25, 4]), tubes=(tube,))
    at_rate = VideoAnnotation(5, 64, 48, 10.0, tubes=(tube,))
    for entry, told in ((timed, [2, 3.25]), (at_rate, [0.3, 0.4])):
        record = Annotations("own", ("stand", "talk to"), {"a": entry})
        path = ava.write_ground_truth(record, tmp_path / "o.csv", ACTIONS)
        back = ava.read_ground_truth(path, ACTIONS).record.videos["a"]
        assert seconds_of(back) == told
        np.testing.assert_allclose(back.frames.box, np.tile([0.25, 0.25, 0.5, 0.75], (2, 1)))
    found = Predictions(("talk to",), {"a": VideoPredictions(tubes=(Tube(3, tube.boxes, "talk to", 0.5),))})
    path = ava.write_results(found, tmp_path / "o.csv", ACTIONS, {"a": (64, 48)}, fps=10.0)
    assert seconds_of(ava.read_results(path, ACTIONS).record.videos["a"]) == [0.3, 0.4]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (VideoAnnotation(segments=(Segment("stand", 0, 1),)), "segments and no boxes"),
        (VideoAnnotation(5, 8, 8, tubes=(Tube(0, np.array([[0.0, 0, 1, 1]]), "stand"),)), "no rate"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, entry: VideoAnnotation, told: str) -> None:
    with pytest.raises(records.types.StadError, match=f"video a: .*{told}"):
        ava.write_ground_truth(Annotations("own", ("stand",), {"a": entry}), tmp_path / "o.csv", ACTIONS)


def test_convert_writes_what_it_reads(tmp_path: Path, capsys) -> None:
    text = "".join(f'label {{\n  name: "{name}"\n  label_id: {i}\n}}\n' for i, name in ACTIONS.items())
    listed = tmp_path / "list.pbtxt"
    listed.write_text(text, "utf-8")
    source = csv_of(tmp_path / "in.csv", ["902.5", "903"], ",7")
    more = ["--actions", str(listed)]
    convert = ["convert", "--from", "ava", "--kind", "annotations", *more]
    assert main([*convert, str(source), str(tmp_path / "t.json")]) == 0
    back = ["convert", str(tmp_path / "t.json"), str(tmp_path / "o.csv"), "--from", "records", "--to", "ava"]
    assert main([*back, *more]) == 0
    assert (tmp_path / "o.csv").read_text("utf-8").splitlines() == [
        f"a,902.5,{BOX},12,7",
        f"a,0903,{BOX},12,7",
    ]
    assert main(back) == 2 and "--actions" in capsys.readouterr().err


def test_predictions_say_their_rate_or_none() -> None:
    boxes = FrameBoxes(np.array([1]), np.array([0]), np.array([[0.0, 0, 1, 1]]), np.array([1.0]))
    assert VideoPredictions(frames=boxes).fps is None
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(records.types.StadError, match="video a: fps"):
            Predictions(("x",), {"a": VideoPredictions(frames=boxes, fps=bad)})
