"""Ctrl-C and a lack of memory: one sentence and an exit code, whatever is at work."""

from __future__ import annotations

import argparse
import importlib
import re

import pytest

from stad_lite import cli
from stad_lite.reproduce import sweep

LINES = {
    "check": ["F"],
    "evaluate": ["--truth", "T", "--predictions", "P", "--metric", "frame-map"],
    "convert": ["S", "D", "--from", "records"],
    "link": ["--predictions", "P", "--method", "online", "--out", "Q"],
    "oracles": ["ucf101-24", "--data", "D"],
    "render": ["V", "--predictions", "P", "--out", "O"],
    "predict": ["R", "I", "--out", "P"],
    "profile": ["baseline"],
    "stream": ["R", "V"],
    "reproduce": [],
}


def test_all_verbs_are_tried() -> None:
    assert {*LINES, "train"} == set(cli.VERBS)


@pytest.mark.parametrize("verb", LINES)
@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (MemoryError, 2)])
def test_a_verb_that_is_stopped(
    verb: str,
    error: type[BaseException],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = importlib.import_module(f"stad_lite.cli.{verb}")

    def stop(arguments: argparse.Namespace) -> int:
        raise error

    words = LINES[verb]
    if verb == "oracles":
        words = [sorted(module.ORACLES)[0], *words[1:]]
    monkeypatch.setattr(module, "run", stop)
    assert cli.main([verb, *words]) == code
    told = capsys.readouterr().err
    assert re.fullmatch(rf"stad-lite {verb}: [^\n]+\n", told), told


def test_while_a_verb_is_loaded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", stop)
    assert cli.main(["check", "F"]) == 130
    assert capsys.readouterr().err.startswith("stad-lite check: stopped")


def test_scripts_that_are_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "sweep", stop)
    assert sweep.main(["step"]) == 130
    common, weights = importlib.import_module("common"), importlib.import_module("convert_weights")
    for verb in ("_download", "_convert", "_verify"):
        monkeypatch.setattr(common, verb, stop)
    dataset = importlib.import_module("ucf101_24").DATASET
    for words in (["download"], ["convert", "--out", "O"], ["verify"]):
        assert common.main(dataset, words) == 130
    monkeypatch.setattr(weights.weights, "read_state", stop)
    assert weights.main(["vgg16", "F", "--out", "O"]) == 130
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 5 and all("stopped" in line for line in told)
