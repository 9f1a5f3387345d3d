"""Odd words at every option of every verb: a result or one sentence, no file changed but the output."""

from __future__ import annotations

import argparse
import importlib
import warnings
from pathlib import Path

import numpy as np
import pytest

from stad_lite import cli, records
from stad_lite.data import video
from stad_lite.records import Annotations, FrameBoxes, Predictions, Segment, VideoAnnotation, VideoPredictions
from stad_lite.tubes import Tube
from tests.data.field_files import pictures

LINES = {
    "check": "p.json",
    "evaluate": "--truth t.json --predictions p.json --metric video-map",
    "convert": "t.json out/o.csv --from records --to ava --actions list.pbtxt",
    "link": "--predictions p.json --method online --out out/q.json",
    "render": "a.mp4 --predictions p.json --out out/r.mp4",
    "oracles": "ucf101-24 --data none",
    "predict": "run a.mp4 --out out/p.json",
    "stream": "run a.mp4",
    "profile": "baseline --profile smoke --rounds 1 --seconds 0.01",
    "train": "baseline --profile smoke --data none --out out/run",
    "reproduce": "matching:one_to_one --profile smoke --seeds 1 --out out --tell",
}
"""A line of each verb; ``run`` and ``none`` are not there, so that nothing is trained."""

ODD = [
    "",
    " ",
    "-1",
    "0",
    "nan",
    "inf",
    "1e999",
    "9" * 5000,
    "é:?*",
    "a:b",
    "../../x",
    "\\",
    "$x_{$",
    "t.json",
    "out",
]
"""What people and scripts give by mistake."""

OUTPUTS = {"--out", "--json", "--render"}
"""Options that name a file to write: one that is no input of the line may be replaced, and that is said."""

COSTLY = {("profile", "--rounds"), ("profile", "--seconds"), ("profile", "--batch"), ("profile", "--threads")}
"""Options whose large numbers are asked for in earnest."""


def options(verb: str) -> list[tuple[str, int]]:
    """The options of a verb that take words, and how many."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"stad_lite.cli.{verb}").add_arguments(parser)
    taking = (one for one in parser._actions if one.option_strings and one.nargs != 0)
    return [(one.option_strings[-1], one.nargs if isinstance(one.nargs, int) else 1) for one in taking]


CASES = [(verb, option, count) for verb in LINES for option, count in options(verb)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a video, its truth, predictions and a list of actions."""
    video.write(tmp_path / "a.mp4", pictures(5), 10.0)
    boxes = np.tile([8.0, 4, 24, 12], (5, 1))
    single = FrameBoxes(np.arange(5), np.zeros(5, int), boxes)
    seen = VideoAnnotation(5, 64, 48, 10.0, 0.5, (Tube(0, boxes, "run"),), single, (Segment("run", 0, 0.5),))
    scored = FrameBoxes(np.arange(5), np.zeros(5, int), boxes, np.full(5, 0.5))
    found = VideoPredictions((Tube(0, boxes, "run", 0.5),), scored, (Segment("run", 0, 0.5, 0.5),))
    records.write(Annotations("own", ("run",), {"a": seen}), tmp_path / "t.json")
    records.write(Predictions(("run",), {"a": found}), tmp_path / "p.json")
    (tmp_path / "list.pbtxt").write_text('item {\n  name: "run"\n  id: 1\n}\n', "utf-8")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and standard error of one line."""
    try:
        code = cli.main(words)
    except SystemExit as stop:  # argparse has said what is wrong
        code = 2 if stop.code else 0
    return code, capsys.readouterr().err


def inputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("a.mp4", "t.json", "p.json", "list.pbtxt")}


def test_every_verb_is_tried() -> None:
    assert set(LINES) == set(cli.VERBS)


@pytest.mark.parametrize(("verb", "option", "count"), CASES)
def test_odd_words(
    place: Path, capsys: pytest.CaptureFixture[str], verb: str, option: str, count: int
) -> None:
    before = inputs(place)
    for word in ODD:
        if (verb, option) in COSTLY and word not in ("", "-1", "0", "nan", "a:b", "1e999"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            code, error = told([verb, *LINES[verb].split(), option, *[word] * count], capsys)
        if word == "t.json" and option in OUTPUTS and word not in LINES[verb] and code == 0:
            (place / word).write_bytes(before[word])
        assert code in (0, 2), (word[:50], code)
        sentences = [line for line in error.splitlines() if not line.startswith(("usage:", "note:", " "))]
        assert len(sentences) <= 1 and "Traceback" not in error, (word[:50], error[-500:])
        assert code == 0 or (len(sentences) == 1 and len(sentences[0]) < 7000), word[:50]
        assert inputs(place) == before, word[:50]


@pytest.mark.parametrize("verb", LINES)
@pytest.mark.parametrize("word", ["", "é:?*", "t.json", "out", "9" * 300])
def test_odd_places(place: Path, capsys: pytest.CaptureFixture[str], verb: str, word: str) -> None:
    """The same for the words that stand without an option."""
    before, words = inputs(place), LINES[verb].split()
    for at in range(len(words)):
        if words[at].startswith("--") or (at and words[at - 1].startswith("--")):
            continue
        code, error = told([verb, *words[:at], word, *words[at + 1 :]], capsys)
        assert code in (0, 2) and "Traceback" not in error, (at, error[-500:])
        assert inputs(place) == before
