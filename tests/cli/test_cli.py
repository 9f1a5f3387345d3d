"""The command line as a user meets it: exit codes, one sentence on standard error, whole files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import VERBS, main
from stad_lite.cli.check import oddities
from stad_lite.records import Annotations, Segment, VideoAnnotation
from stad_lite.tubes import Tube
from tests.data.test_ucf101_24 import NAME, mat_twin, published, save


def small() -> Annotations:
    tube = Tube(1, np.array([[0.0, 0, 4, 4], [-1.0, 0, 4, 30]]), "A")
    segment = Segment("A", 1.0, 9.0)
    video = VideoAnnotation(9, 20, 20, 10.0, 0.9, tubes=(tube,), segments=(segment,))
    return Annotations("own", ("A",), {"v": video})


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "Traceback" not in captured.err
    return captured.err


def test_check_tells_what_a_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = records.write(small(), tmp_path / "own.json")
    assert main(["check", str(path)]) == 0
    told = capsys.readouterr().out
    assert "annotations of own: 1 videos, 1 classes, 1 tubes, 2 boxes in tubes, 1 segments" in told
    assert "note: 1 boxes that leave the frame" in told
    assert dict(oddities(small())) == {
        "segments past the end of their video": 1,
        "boxes that leave the frame": 1,
    }


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("a.json", "{", "ends too early"),
        ("a.json", '{"format": "stad-lite/annotations/9"}', "stad-lite/annotations/9"),
        ("a.txt", "", "ending"),
        ("a.pkl", "no pickle", "pickle"),
        ("a.npz", "PK", "archive cannot be read"),
    ],
)
def test_check_refuses_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    sentence = refusal(capsys, "check", str(tmp_path / name))
    assert told in sentence and name in sentence


def test_check_names_tube_and_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = records.write(small(), tmp_path / "own.json")
    document = json.loads(path.read_text("utf-8"))
    document["videos"]["v"]["tubes"][0]["boxes"][1] = [5, 5, 4, 9]
    path.write_text(json.dumps(document), "utf-8")
    sentence = refusal(capsys, "check", str(path))
    assert "own.json, video v, tube 0, frame 2" in sentence and "inverted" in sentence


def test_missing_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refusal(capsys, "check", str(tmp_path / "none.json"))
    assert "none of annotations.json" in refusal(capsys, "check", str(tmp_path))
    assert "pyannot.pkl" in refusal(capsys, "oracles", "ucf101-24", "--data", str(tmp_path))


@pytest.mark.parametrize("target", ["out.json", "out.json.gz", "out.npz"])
def test_convert_from_the_published_pickle(tmp_path: Path, target: str) -> None:
    save(tmp_path, published())
    assert main(["convert", str(tmp_path), str(tmp_path / target), "--from", "ucf101-24"]) == 0
    video = records.read_annotations(tmp_path / target).videos[NAME]
    np.testing.assert_array_equal(video.tubes[0].boxes[0], [199, 10, 289, 70])
    mat = mat_twin(tmp_path / "finalAnnots.mat")
    assert main(["convert", str(mat), str(tmp_path / target), "--from", "ucf101-24"]) == 0
    assert records.read_annotations(tmp_path / target).videos[NAME] == video


def test_convert_leaves_nothing_behind_on_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, published(label=99))
    before = sorted(tmp_path.iterdir())
    refusal(capsys, "convert", str(tmp_path), str(tmp_path / "out.json"), "--from", "ucf101-24")
    assert sorted(tmp_path.iterdir()) == before
    assert ".npz" in refusal(
        capsys, "convert", str(save(tmp_path, published())), str(tmp_path / "out.csv"), "--from", "ucf101-24"
    )


def test_every_verb_has_help() -> None:
    for verb in VERBS:
        with pytest.raises(SystemExit) as leaving:
            main([verb, "--help"])
        assert leaving.value.code == 0


def test_the_console_script_ends_with_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stad_lite.cli", "check", str(tmp_path / "none.json")],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("stad-lite check: ")


def test_convert_formats_that_need_to_be_told_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "found.csv").write_text("film,0902,0.1,0.2,0.5,0.9,12,0.75\n", "utf-8")
    label = 'label { name: "stand" label_id: 12 label_type: PERSON_MOVEMENT }\n'
    (tmp_path / "list.pbtxt").write_text(label, "utf-8")
    words = ["convert", str(tmp_path / "found.csv"), str(tmp_path / "found.json"), "--from", "ava"]
    assert "--kind" in refusal(capsys, *words)
    assert "--actions" in refusal(capsys, *words, "--kind", "predictions")
    assert main([*words, "--kind", "predictions", "--actions", str(tmp_path / "list.pbtxt")]) == 0
    assert records.read_predictions(tmp_path / "found.json").videos["film"].frames.score.tolist() == [0.75]
    database = {"a": {"subset": "training", "duration": 9, "annotations": []}}
    database["b"] = {
        "subset": "validation",
        "duration": 9,
        "annotations": [{"segment": [1, 2], "label": "x"}],
    }
    document = {"database": database, "version": "", "taxonomy": []}
    (tmp_path / "gt.json").write_text(json.dumps(document), "utf-8")
    words = ["convert", str(tmp_path / "gt.json"), str(tmp_path / "out.json"), "--from", "activitynet"]
    assert main([*words, "--kind", "annotations", "--subset", "validation"]) == 0
    assert list(records.read_annotations(tmp_path / "out.json").videos) == ["b"]
