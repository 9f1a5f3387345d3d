"""Files of torch: sound ones are read, those that ask for more than they hold are refused, at once."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from stad_lite import tensors
from stad_lite.errors import FormatError, StadError
from stad_lite.nets import weights
from stad_lite.training import checkpoint
from tests.limits import LIMITED


def stored(content: object, path: Path, old: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    return path


def with_pickle(path: Path, data: bytes) -> Path:
    """A file of torch whose description is another one."""
    sound = io.BytesIO()
    torch.save({"a": torch.ones(2)}, sound)
    with zipfile.ZipFile(sound) as archive, zipfile.ZipFile(path, "w") as spoilt:
        for name in archive.namelist():
            spoilt.writestr(name, data if name.endswith("data.pkl") else archive.read(name))
    return path


def nested_keys(depth: int) -> bytes:
    """{((((), ()), ((), ())), ...): 1}, each tuple twice in the next: 2 ** depth to hash."""
    tuples = b"".join(b"q%ch%c\x86" % (i, i) for i in range(depth))
    return b"\x80\x02})" + tuples + b"K\x01s."


@pytest.mark.parametrize("old", [False, True])
def test_what_torch_saves_is_read(tmp_path: Path, old: bool) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    net(torch.ones(2, 3)).sum().backward()
    optimiser = torch.optim.AdamW(net.parameters())
    optimiser.step()
    content = {
        "network": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "part": torch.arange(12.0).reshape(3, 4)[1:, :2].t(),
        "plain": [1, 2.5, (3, None), "word", True],
    }
    found = tensors.load(stored(content, tmp_path / "a.pt", old))
    assert found["plain"] == content["plain"] and torch.equal(found["part"], content["part"])
    assert found["optimiser"].keys() == content["optimiser"].keys()
    for name, value in net.state_dict().items():
        assert torch.equal(found["network"][name], value)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        {"a": torch.zeros(1).expand(1 << 36)},
        {"a": [torch.zeros(1 << 20).view(1, -1)] * 3, "b": torch.zeros(2).expand(1 << 20, 2)},
        {f"a{i}": torch.zeros(1 << 18)[None] for i in range(2)} | {"s": torch.eye(3).to_sparse()},
    ],
)
def test_tensors_beyond_their_bytes(tmp_path: Path, content: object, old: bool) -> None:
    path = stored(content, tmp_path / "a.pt", old)
    with pytest.raises(FormatError, match="tensor") as caught:
        tensors.load(path)
    assert caught.value.file == str(path) and caught.value.remedy


def test_views_of_one_storage_count_each(tmp_path: Path) -> None:
    whole = torch.zeros(1 << 20)
    sound = stored({str(i): whole.view(-1) for i in range(4)}, tmp_path / "few.pt")
    assert len(tensors.load(sound)) == 4
    many = stored({str(i): whole.view(-1) for i in range(400)}, tmp_path / "many.pt")
    with pytest.raises(FormatError, match="more than the file holds"):
        tensors.load(many)


HOSTILE = {
    "keys": nested_keys(60),
    "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "number": b"\x80\x02\x8b" + (1 << 20).to_bytes(4, "little") + b"\x01" * (1 << 20) + b".",
    "keys of lists": pickle.dumps({1: 2}, 2)[:-1] + b"\x81.",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_descriptions_end_in_bounded_time_and_memory(tmp_path: Path, kind: str) -> None:
    path = with_pickle(tmp_path / "a.pt", HOSTILE[kind])
    lines = f"""{LIMITED}
from pathlib import Path
from stad_lite.errors import StadError
from stad_lite.nets import weights
from stad_lite.training import checkpoint
path = Path({str(path)!r})
for read in (weights.read_state, checkpoint.read):
    try:
        read(path)
    except StadError as error:
        print("refused", type(error).__name__)
checkpoint.kept(path, lambda: 7)
"""
    done = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0 and done.stdout.count("refused") == 2, done.stdout + done.stderr[-2000:]


def test_old_files_are_looked_through_too(tmp_path: Path) -> None:
    data = stored({"a": torch.ones(2)}, tmp_path / "a.pth", old=True).read_bytes()
    first = io.BytesIO(data)
    for _ in range(3):
        pickle.load(first)
    (tmp_path / "b.pth").write_bytes(data[: first.tell()] + nested_keys(60))
    for read in (weights.read_state, checkpoint.read):
        with pytest.raises(StadError):
            read(tmp_path / "b.pth")
