"""A run's folder with a file of any other kind in it: an error that names the file, or a run that goes on."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stad_lite import runs
from stad_lite.errors import FormatError, StadError
from stad_lite.training import checkpoint, run_folder
from stad_lite.training.loop import fit
from tests.training.tiny import CONFIG, Points, Tiny

SHORT = replace(CONFIG, steps=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "run"
    fit(Tiny(), Points(), SHORT, folder, device="cpu", say=str)
    return folder


def archive(*members: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return content.getvalue()


def saved(value: Any) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


class Evil:
    def __reduce__(self) -> tuple:
        return print, ("ran",)


TEXTS = [
    b"", b"{", b"[]", b"null", b"3", b'"a"', b"{}", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"data": 3}',
    b'{"format": "stad-lite/run/1"}', b'{"train": [], "system": 3, "data": null}', b"\x00" * 100,
]  # fmt: skip
LINES = [
    b"{\n",
    b"[]\n",
    b"3\n",
    b'{"step": "a"}\n',
    b"\xff\n",
    b'{"step": 1, "loss": null, "lr": 1, "terms": {}}\n',
]


def states(state: dict[str, Any]) -> dict[str, bytes]:
    """Files that are no checkpoint of this run, by what they are."""
    other = {**state, "network": nn.Linear(2, 2).state_dict()}
    return {
        "another network": saved(other),
        "another optimiser": saved({**state, "optimiser": {"state": {}, "param_groups": []}}),
        "a list": saved([1, 2]),
        "weights alone": saved({"version": 1, "network": state["network"]}),
        "no network": saved({**state, "network": None}),
        "a network of words": saved({**state, "network": {"a": "b"}}),
        "no random states": saved({**state, "random": []}),
        "other random states": saved({**state, "random": [{"python": 3}]}),
        "a step of words": saved({**state, "step": "three"}),
        "a step of nothing": saved({name: value for name, value in state.items() if name != "step"}),
        "a pickle": pickle.dumps(state["step"]),
        "a pickle that calls": pickle.dumps(Evil()),
        "an archive of nothing": archive(),
        "an archive of a pickle that calls": archive(
            ("a/data.pkl", pickle.dumps(Evil())), ("a/version", b"3")
        ),
        "an archive that grows": archive(("a/data.pkl", bytes(1 << 25))),
        "text": b"hello",
    }


@pytest.mark.parametrize("kind", states({"network": {}, "step": 1}))
def test_a_checkpoint_of_another_kind(run: Path, tmp_path: Path, kind: str, capfd: Any) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    state = checkpoint.read(folder / "checkpoints" / "last.pt")
    for name in checkpoint.NAMES:
        (folder / "checkpoints" / name).write_bytes(states(state)[kind])
    with pytest.raises(StadError) as caught:
        fit(Tiny(), Points(), replace(SHORT), folder, device="cpu", say=str)
    assert str(folder / "checkpoints") in str(caught.value) and "ran" not in capfd.readouterr().out


@pytest.mark.parametrize("text", TEXTS)
def test_descriptions_of_another_kind(run: Path, tmp_path: Path, text: bytes) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    (folder / "config.json").write_bytes(text)
    with pytest.raises(StadError) as caught:
        fit(Tiny(), Points(), SHORT, folder, device="cpu", say=str)
    assert caught.value.file == str(folder / "config.json")
    (folder / "system.json").write_bytes(text)
    with pytest.raises(StadError) as caught:
        runs.load(folder, say=str)
    assert caught.value.file == str(folder / "system.json")


@pytest.mark.parametrize("line", LINES)
def test_metrics_of_another_kind(run: Path, tmp_path: Path, line: bytes) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    path = folder / "metrics.jsonl"
    path.write_bytes(line + path.read_bytes())
    with pytest.raises(FormatError, match="line 1 is damaged") as caught:
        run_folder.read_metrics(folder)
    assert caught.value.file == str(path)


def test_what_was_refused_leaves_no_run(tmp_path: Path) -> None:
    """After a refusal the corrected command is taken: nothing was trained, so nothing is another run."""
    run = tmp_path / "run"
    with pytest.raises(FormatError, match="workers is -1; give a whole number from 0"):
        fit(Tiny(), Points(), SHORT, run, device="cpu", workers=-1, say=str)
    assert not run.exists()
    run.mkdir()
    (run / "config.json").write_text('{"train": {"lr": 7}}', "utf-8")
    fit(Tiny(), Points(), SHORT, run, device="cpu", say=str)
    with pytest.raises(FormatError, match=r"had another train\.lr"):
        fit(Tiny(), Points(), replace(SHORT, lr=0.5), run, device="cpu", say=str)
