"""The chapters' cells "On a GPU" on the CPU at smoke: the same code, every system, every cell."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from notebooks import chapters
from stad_lite.catalogue import ENTRIES
from stad_lite.data.location import SETS
from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.errors import FormatError, StadError
from stad_lite.plots import watching
from stad_lite.plots.watching import Screen
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.reproduce import on_a_gpu
from stad_lite.reproduce.on_a_gpu import KEPT, Reached, main, read, train_and_show
from stad_lite.systems.truth import segment_truth

CELLS = [
    pytest.param(cell.source, id=f"{chapter.name} {cell.id[-3:]}")
    for chapter in chapters()
    if chapter.path.is_file()
    for cell in chapter.read().cells
    if cell.cell_type == "code" and "train_and_show(" in cell.source
]
REACHED = Reached(
    "cfad", "large", "synthetic", "Some GPU", "2026-11-28T23:00+00:00", "python -m x", "abc", "2.13", 20, 9.5,
    1234.4, "frames", 2**30,
    {"frame-map@0.5": 31.26, "video-map@0.5": None}, ((10, 2.0, 1.0), (20, 1.0, 2.0)),
)  # fmt: skip
SMALL = {"train.steps": "2", "train.log_every": "1", "data.clips": "2"}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_system_trains_shows_and_keeps(name, tmp_path, capsys):
    run = tmp_path / "run"
    with torch.no_grad():  # as in a chapter that takes no gradients
        train_and_show(name, "synthetic", "smoke", "cpu", tmp_path, run=run, settings=SMALL)
    lines = capsys.readouterr().out.splitlines()
    reached = read(tmp_path / f"{name}.json")
    assert (reached.system, reached.profile, reached.data, reached.steps) == (name, "smoke", "synthetic", 2)
    assert reached.hardware and reached.date.endswith("+00:00") and reached.commit and reached.memory is None
    words = "--profile smoke --device cpu --set train.steps=2 --set train.log_every=1 --set data.clips=2"
    assert reached.command == f"python -m stad_lite.reproduce.on_a_gpu {name} {words}"
    assert reached.seconds > 0 and reached.per_second > 0
    assert reached.figures and all(0 <= (value or 0) <= 100 for value in reached.figures.values())
    assert [step for step, *_ in reached.curve] == [1, 2]
    told = [line for line in lines if line.startswith("step ")]
    assert len(told) == 2 and told[1].startswith("step 2: loss ") and told[1].endswith(" a second")
    assert "\n".join(lines[-4:]) == reached.told()
    for picture in ("training", "found"):
        assert (run / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("source", CELLS)
def test_the_code_of_every_cell(source, monkeypatch, tmp_path, capsys):
    """At smoke on the CPU; on published data on two videos, where it is there."""
    seen: list[str] = []

    def small(name: str, data: str = "synthetic", **how: Any) -> None:
        texts = {**how.pop("settings", {}), **SMALL}
        texts |= {} if data == "synthetic" else {"data.limit": "2"}
        seen.append(name)
        train_and_show(name, data, **how, profile="smoke", device="cpu", out=tmp_path, settings=texts)

    monkeypatch.setattr(on_a_gpu, "train_and_show", small)
    exec(source, {"train_and_show": small})
    told = capsys.readouterr().out
    files = [read(path) for path in tmp_path.glob("*.json")]
    assert len(seen) == 1 and (len(files) == 1 or ("data=" in source and "data_scripts" in told))


def test_every_system_has_its_cells():
    calls = [ast.parse(cell.values[0]).body[-1].value for cell in CELLS]
    asked = {(call.args[0].value, any(word.arg == "data" for word in call.keywords)) for call in calls}
    assert asked == {(name, real) for name in ENTRIES for real in (False, True)}
    data = {word.value.value for call in calls for word in call.keywords if word.arg == "data"}
    assert data <= set(SETS)


def test_without_a_gpu_what_is_kept_is_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(on_a_gpu, "KEPT", tmp_path)
    train_and_show("cfad")
    train_and_show("cfad", data="jhmdb21")
    line = "there is no GPU here, and no results of one are kept yet"
    assert capsys.readouterr().out == f"cfad, synthetic: {line}\ncfad, jhmdb21: {line}\n"
    REACHED.write(tmp_path / "cfad.json")
    train_and_show("cfad")
    told = capsys.readouterr().out
    assert "Some GPU" in told and "2026-11-28" in told and "commit abc" in told and "1,024 MiB" in told
    assert "frame-map@0.5 31.3, video-map@0.5 -" in told and "1,234 frames a second" in told


def test_kept_results_are_of_their_name():
    for path in KEPT.glob("*.json"):
        kept = read(path)
        assert path.name == on_a_gpu.file_name(kept.system, kept.data) and kept.memory, path


def test_a_damaged_file_is_refused_by_name(tmp_path):
    path = tmp_path / "cfad.json"
    REACHED.write(path)
    whole = json.loads(path.read_text("utf-8"))
    assert read(path) == REACHED
    for change in ({"format": "else"}, {"steps": "many"}, {"curve": [[1]]}, {"more": 1}):
        path.write_text(json.dumps({**whole, **change}), "utf-8")
        with pytest.raises(FormatError, match=r"cfad\.json"):
            read(path)
    path.write_text(json.dumps({key: value for key, value in whole.items() if key != "curve"}), "utf-8")
    with pytest.raises(FormatError, match="no curve"):
        read(path)


def test_the_command_line(tmp_path, capsys, monkeypatch):
    asked: list[Any] = []
    monkeypatch.setattr(on_a_gpu, "train_and_show", lambda *words, **more: asked.append((words, more)))
    assert main(["step", "--profile", "smoke", "--device", "cpu", "--set", "a=1", "--out", "o"]) == 0
    assert asked == [(("step", "synthetic", "smoke", "cpu", "o"), {"run": None, "settings": {"a": "1"}})]
    monkeypatch.setattr(on_a_gpu, "train_and_show", train_and_show)
    assert main(["step", "--set", "a"]) == 2
    assert "write KEY=VALUE" in capsys.readouterr().err
    with pytest.raises(StadError, match="no system is called 'yolo'"):
        train_and_show("yolo")


def test_a_notebook_renews_its_picture(monkeypatch):
    shown: list[tuple[str, bytes]] = []

    def display(image: Any, display_id: bool) -> Any:
        shown.append(("new", image.data))
        return SimpleNamespace(update=lambda other: shown.append(("renewed", other.data)))

    monkeypatch.setattr("IPython.display.display", display)
    pictures = [watching.curve([(1, 2.0, 3.0), (n, 1.0, 3.0)], 9, "frames") for n in (2, 3)]
    for picture in pictures:
        Screen(seen=False).show(picture)
    screen = Screen(seen=True)
    for picture in pictures:
        screen.show(picture)
    assert shown == [("new", pictures[0]), ("renewed", pictures[1])] and pictures[0] != pictures[1]
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=1))
    assert Screen().seen
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    assert not Screen().seen


def test_figures_are_of_what_is_found():
    source = synthetic_source(Settings.smoke(), 2)
    shown = {
        name: VideoPredictions(tubes=tuple(replace(tube, score=0.9) for tube in video.tubes))
        for name, video in source.annotations.videos.items()
    }
    told = on_a_gpu.figures_of(source, Predictions(source.classes, shown))
    assert told == {"video-map@0.2": 100.0, "video-map@0.5": 100.0}
    timed = {
        name: VideoPredictions(segments=tuple(replace(one, score=0.9) for one in video.segments))
        for name, video in segment_truth(source).videos.items()
    }
    told = on_a_gpu.figures_of(source, Predictions(source.classes, timed))
    assert told == {f"temporal-map@{level}": 100.0 for level in (0.3, 0.5, 0.7)}


def test_a_long_curve_is_thinned_and_keeps_its_end():
    points = [(step, 1.0 / step, 7.0) for step in range(1, 1001)]
    kept = on_a_gpu._thinned(points)
    assert len(kept) <= on_a_gpu.POINTS and kept[-1] == (1000, 0.001, 7.0)
    assert replace(REACHED, curve=kept) != REACHED
