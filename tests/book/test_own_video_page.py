"""The page on the formats of one's own video: its example, its fields and its lines."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.records import Annotations, exchange
from tests.records import tool_files

PAGE = (Path(__file__).parents[2] / "book" / "your_own_video.md").read_text("utf-8")
EXAMPLE = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]
CONVERTS = re.findall(r"^stad-lite (convert .*)$", PAGE, re.MULTILINE)


def test_the_example_is_a_record(tmp_path):
    path = tmp_path / "annotations.json"
    path.write_text(EXAMPLE, "utf-8")
    record = records.read_annotations(path)
    assert record.videos["clip1"].tubes[0].boxes.tolist() == tool_files.RUN.tolist()


def test_every_field_has_a_row(tmp_path):
    rows = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    said = set(json.loads(EXAMPLE)) | set(json.loads(EXAMPLE)["videos"]["clip1"])
    fields = set(records.VideoAnnotation.__dataclass_fields__) | {"format", *Annotations.__dataclass_fields__}
    assert said <= fields <= rows


def test_every_format_has_a_row():
    assert all(f"| `{name}` |" in PAGE for name in ("cvat", "via", "mot", "coco-tracks"))


def test_lines_are_found():
    assert len(CONVERTS) == 6


@pytest.mark.parametrize("line", CONVERTS)
def test_a_line_converts(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cvat").mkdir()
    text = tool_files.CVAT.replace(
        "/>\n    <box", '><attribute name="action">run</attribute></box>\n    <box'
    )
    text = re.sub(r'(z_order="0")/>', r'\1><attribute name="action">run</attribute></box>', text)
    text = text.replace('<attribute name="who">Ann', '<attribute name="action">wave')
    (tmp_path / "cvat" / "clip1.xml").write_text(text, "utf-8")
    (tmp_path / "frames.csv").write_text(tool_files.table(tool_files.pictures()), "utf-8")
    via3 = json.loads(json.dumps(tool_files.VIA3))
    via3["attribute"]["2"]["aname"] = "who"
    (tmp_path / "via3.json").write_text(json.dumps(via3), "utf-8")
    (tmp_path / "street" / "gt").mkdir(parents=True)
    (tmp_path / "street" / "gt" / "gt.txt").write_text("3,1,5,6,10,20,1,1,1\n", "utf-8")
    exchange.write(tool_files.TRUTH, tmp_path / "tracks.json", "coco-tracks")
    words = shlex.split(line)
    assert main(words) == 0, capsys.readouterr().err
    assert any(video.tubes for video in records.read_annotations(words[2]).videos.values())


BAD = {"--size 4": "write --size 640,480", "--fps no": "write --fps 25", "--first x": "write --first 0"}


@pytest.mark.parametrize(("option", "told"), BAD.items())
def test_an_option_that_is_none_is_refused(option, told, tmp_path, capsys):
    (tmp_path / "a.csv").write_text(tool_files.table(tool_files.pictures()), "utf-8")
    words = ["convert", str(tmp_path / "a.csv"), str(tmp_path / "o.json"), "--from", "via", *option.split()]
    assert main(words) == 2
    assert told in capsys.readouterr().err
    words = ["convert", str(tmp_path / "a.csv"), str(tmp_path / "o.json"), "--from", "cvat", "--fps", "25"]
    assert main(words) == 2
    assert "the format cvat was given too little or too much" in capsys.readouterr().err
