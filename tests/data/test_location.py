"""Finding the published data, and saying what is missing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from stad_lite.data.location import DATASETS, SCRIPTS, data_root, find_data, have_data, missing_message
from stad_lite.errors import StadError

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_environment_variable_decides(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    assert find_data("ucf101_24", "pyannot.pkl") is None and not have_data("ucf101-24")
    (tmp_path / "ucf101_24").mkdir()
    (tmp_path / "ucf101_24" / "pyannot.pkl").touch()
    assert find_data("ucf101_24", "pyannot.pkl") == tmp_path / "ucf101_24" / "pyannot.pkl"
    assert have_data("ucf101-24")


@pytest.mark.parametrize("value", [None, ""])
def test_the_default_place_lies_beside_the_repository(monkeypatch, value):
    monkeypatch.delenv("STAD_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("STAD_DATA", value)
    assert data_root() == REPOSITORY.parent / "shared" / "data"


@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_the_message_is_one_line_and_names_no_place_of_this_machine(dataset, monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    told = missing_message(dataset)
    assert "\n" not in told and str(tmp_path) not in told and str(REPOSITORY) not in told
    assert told.startswith(f"{dataset} is not here")
    assert f"data_scripts/{script(dataset)}.py download" in told


def script(dataset):
    return SCRIPTS.get(DATASETS[dataset][0], DATASETS[dataset][0])


@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_the_script_that_the_message_names_is_there_and_fills_that_folder(dataset):
    folder, name = DATASETS[dataset][0], script(dataset)
    assert (REPOSITORY / "data_scripts" / f"{name}.py").is_file()
    registry = tomllib.loads((REPOSITORY / "data_scripts" / "registry.toml").read_text("utf-8"))
    assert registry[name]["folder"] == folder


@pytest.mark.parametrize("dataset", sorted(DATASETS))
@pytest.mark.parametrize("end", ["", ".gz"])
def test_any_of_the_files_shows_that_the_set_is_there(dataset, end, monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    folder, *files = DATASETS[dataset]
    (tmp_path / folder).mkdir()
    assert not have_data(dataset)
    for file in files:
        (tmp_path / folder / (file + end)).touch()
        assert have_data(dataset)
        (tmp_path / folder / (file + end)).unlink()


def test_every_real_set_is_found(stad_data):
    assert [name for name in DATASETS if not have_data(name)] == []


def test_an_unknown_name_is_refused():
    with pytest.raises(StadError, match="no data set 'ucf'; use one of"):
        have_data("ucf")
