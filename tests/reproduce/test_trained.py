"""Trained detectors of the chapters: made, kept whole, and as good as what stands beside them says."""

from __future__ import annotations

import json

import pytest
import torch

from stad_lite.catalogue import ENTRIES
from stad_lite.errors import FormatError, MissingFileError, StadError, TruncatedFileError
from stad_lite.reproduce import trained
from stad_lite.training import checkpoint

SIZE = 12_000_000
"""Bytes of all kept detectors."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("trained")
        yield trained.make("cfad", profile="smoke", folder=folder)


def test_what_is_kept_comes_back(made, monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    found = trained.load("cfad", made.parent)
    assert trained.names(made.parent) == ("cfad",)
    assert found.command == trained.command("cfad", profile="smoke")
    assert all(value.dtype != torch.float16 for value in found.system.network.state_dict().values())
    looked = trained.shown("cfad")[0].looked(found.system, trained.CLIPS, "smoke")
    assert found.figures == {name: round(value, 1) for name, value in looked.items()}


def test_every_system_has_one():
    assert set(trained.names()) == set(trained.SHOWN) == set(ENTRIES)


@pytest.mark.parametrize("name", trained.SHOWN)
def test_a_kept_detector_reaches_its_figures(name):
    found = trained.load(name)
    looked = trained.shown(name)[0].looked(found.system, trained.CLIPS)
    for figure, value in found.figures.items():  # near ties fall otherwise on another processor
        assert looked[figure] == pytest.approx(value, abs=3.0), figure
    assert max(found.figures.values()) > 20


def test_all_kept_detectors_are_small():
    assert sum(path.stat().st_size for path in trained.FOLDER.glob("*")) < SIZE


def test_what_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(MissingFileError, match=r"python -m stad_lite\.reproduce\.trained step"):
        trained.load("step", tmp_path)
    with pytest.raises(StadError, match="no system"):
        trained.load("nothing", tmp_path)


def test_a_damaged_file_is_named(made, tmp_path):
    path, whole = tmp_path / "cfad.pt", made.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TruncatedFileError, match=r"cfad\.pt"):
        trained.load("cfad", tmp_path)
    state = checkpoint.read(made)
    about = json.loads(state["about"])
    for wrong in (
        {**state, "about": "nothing"},
        {**state, "about": json.dumps({**about, "format": "other"})},
        {**state, "about": json.dumps({**about, "config": {**about["config"], "order": 3}})},
        {**state, "network": {}},
        {"network": state["network"]},
    ):
        checkpoint.write_state(path, {name: value for name, value in wrong.items() if name != "version"})
        with pytest.raises(FormatError, match=r"cfad\.pt"):
            trained.load("cfad", tmp_path)


def test_the_command_line(tmp_path, monkeypatch, capsys):
    assert trained.main(["nothing", "--out", str(tmp_path)]) == 2
    assert "choose from" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_chapter_is_given_the_kept_detector_or_one_that_is_trained_now(monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    told: list[str] = []
    system, level = trained.chosen("cfad", "trained", 0, "smoke", told.append)
    assert level == "lesson" and told[0].startswith(trained.command("cfad"))
    assert system.config == trained.load("cfad").system.config
    live, level = trained.chosen("cfad", "live", 0, "smoke", told.append)
    assert level == "smoke" and len(told) == 1 and live.config != system.config
    with pytest.raises(FormatError, match="no network is called 'kept'"):
        trained.chosen("cfad", "kept")
