"""Finding the published data, and saying what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from stad_lite.data.location import DATASETS, data_root, find_data, have_data, missing_message
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
    assert f"data_scripts/{DATASETS[dataset][0]}.py download" in told


def test_an_unknown_name_is_refused():
    with pytest.raises(StadError, match="no data set 'ucf'; use one of"):
        have_data("ucf")
