"""Downloads against a local server that drops connections, serves a wrong file, stops half-way."""

import hashlib
import importlib
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from stad_lite.errors import FormatError, MissingFileError, TruncatedFileError
from tests.data_scripts.local_server import Shelf, serving

pytest.importorskip("pooch")
download = importlib.import_module("download")
common = importlib.import_module("common")
BODY = random.Random(0).randbytes(200_000)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving() as shelf:
        shelf.content["/f"] = BODY
        yield shelf


def entry(shelf: Shelf, body: bytes = BODY, path: str = "/f") -> object:
    return download.Entry(
        "f.bin", shelf.url + path, len(body), hashlib.sha256(body).hexdigest(), "free", "never"
    )


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fetched_once(shelf: Shelf, tmp_path: Path) -> None:
    target = tmp_path / "f.bin"
    assert download.fetch(entry(shelf), target, pause=0) == "fetched"
    assert target.read_bytes() == BODY and only(tmp_path) == ["f.bin"]
    assert download.fetch(entry(shelf), target, pause=0) == "here" and len(shelf.asked) == 1


def test_dropped_connections_are_carried_on(shelf: Shelf, tmp_path: Path) -> None:
    shelf.breaks_after["/f"] = 70_000
    assert download.fetch(entry(shelf), tmp_path / "f.bin", pause=0) == "resumed"
    assert (tmp_path / "f.bin").read_bytes() == BODY
    starts = [int(wanted[6:-1]) for _, wanted in shelf.asked[1:]]
    assert shelf.asked[0][1] is None and starts == sorted(starts) and 0 < starts[0] <= 70_000
    assert only(tmp_path) == ["f.bin"]


@pytest.mark.parametrize("attribute", ["no_ranges", "wrong_range"])
def test_servers_that_cannot_resume(shelf: Shelf, tmp_path: Path, attribute: str) -> None:
    shelf.breaks_after["/f"] = 70_000
    with pytest.raises(TruncatedFileError, match="run the same command again"):
        download.fetch(entry(shelf), tmp_path / "f.bin", attempts=1, pause=0)
    assert only(tmp_path) == [".f.bin.part"]
    shelf.breaks_after.clear()
    getattr(shelf, attribute).add("/f")
    assert download.fetch(entry(shelf), tmp_path / "f.bin", attempts=3, pause=0) in ("resumed", "fetched")
    assert (tmp_path / "f.bin").read_bytes() == BODY


def test_a_wrong_file_is_not_kept(shelf: Shelf, tmp_path: Path) -> None:
    shelf.content["/f"] = BODY[::-1]
    with pytest.raises(FormatError, match="another checksum"):
        download.fetch(entry(shelf), tmp_path / "f.bin", attempts=2, pause=0)
    assert only(tmp_path) == []


def test_a_longer_file_is_not_kept(shelf: Shelf, tmp_path: Path) -> None:
    shelf.content["/f"] = BODY * 50
    with pytest.raises(FormatError, match="another checksum"):
        download.fetch(entry(shelf), tmp_path / "f.bin", attempts=2, pause=0)
    assert only(tmp_path) == []


def test_stopping_half_way_and_coming_back(shelf: Shelf, tmp_path: Path) -> None:
    """The server says that half of the file is the whole of it."""
    shelf.content["/f"] = BODY[:100_000]
    with pytest.raises(TruncatedFileError, match="100000 of 200000 bytes came"):
        download.fetch(entry(shelf), tmp_path / "f.bin", attempts=2, pause=0)
    assert only(tmp_path) == [".f.bin.part"]
    shelf.content["/f"] = BODY
    assert download.fetch(entry(shelf), tmp_path / "f.bin", pause=0) == "resumed"
    assert shelf.asked[-1][1] == "bytes=100000-" or shelf.asked[-1][1] is None
    assert (tmp_path / "f.bin").read_bytes() == BODY and only(tmp_path) == ["f.bin"]


def test_a_strange_part_and_a_damaged_target_are_replaced(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / ".f.bin.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.bin").write_bytes(BODY[:-1])
    assert download.fetch(entry(shelf), tmp_path / "f.bin", pause=0) in ("resumed", "fetched")
    assert (tmp_path / "f.bin").read_bytes() == BODY
    (tmp_path / ".f.bin.part").write_bytes(b"x" * 300_000)
    (tmp_path / "f.bin").unlink()
    assert download.fetch(entry(shelf), tmp_path / "f.bin", pause=0) == "resumed"
    assert (tmp_path / "f.bin").read_bytes() == BODY and only(tmp_path) == ["f.bin"]


def test_nothing_there(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nothing came .*404"):
        download.fetch(entry(shelf, path="/none"), tmp_path / "f.bin", attempts=1)
    with serving() as other:
        gone = other.url
    dead = download.Entry("f.bin", gone + "/f", 1, "0" * 64, "free", "never")
    with pytest.raises(MissingFileError, match="nothing came"):
        download.fetch(dead, tmp_path / "f.bin", attempts=1)
    assert only(tmp_path) == []


def registry(shelf: Shelf, folder: Path) -> Path:
    digest = hashlib.sha256(BODY).hexdigest()
    path = folder / "registry.toml"
    path.write_text(
        f"""
[tiny]
title = "Tiny"
folder = "tiny"
licence = "free"
[[tiny.by_hand]]
what = "the films"
name = "films.zip"
page = "a page with a form"
put = "unpack it below"
verified = "never"
[[tiny.group]]
base = "{shelf.url}/"
licence = "CC0"
files = [
  {{ path = "a.bin", from = "f", size = {len(BODY)}, sha256 = "{digest}" }},
  {{ path = "deep/b.bin", from = "g", size = {len(BODY)}, sha256 = "{digest}" }},
]
[[tiny.group]]
made = "made from a.bin"
licence = "as source"
files = [{{ path = "made.npz", size = 1, sha256 = "{"0" * 64}" }}]
""",
        "utf-8",
    )
    return path


def test_the_verb(shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = common.Dataset("tiny", lambda *_: None, lambda _: [])
    where = ["--registry", str(registry(shelf, tmp_path)), "download", "--to", str(tmp_path / "t")]
    assert common.main(tiny, [*where, "--attempts", "1"]) == 1
    told = capsys.readouterr().out
    assert "Tiny: free" in told and f"a.bin  {len(BODY)} bytes  CC0  fetched" in told
    assert "deep/b.bin" in told and "failed" in told and "1 files failed" in told
    assert "By hand: the films (films.zip)" in told and "a page with a form" in told
    shelf.content["/g"] = BODY
    assert common.main(tiny, [*where, "--attempts", "1"]) == 0
    told = capsys.readouterr().out
    assert "CC0  here" in told and "CC0  fetched" in told and "failed" not in told
    assert sorted(p.name for p in (tmp_path / "t").rglob("*") if p.is_file()) == ["a.bin", "b.bin"]


def test_the_registry_is_complete() -> None:
    table = tomllib.loads(download.REGISTRY.read_text("utf-8"))
    assert set(table) == {"ucf101_24", "jhmdb21", "ucf_sports", "thumos14", "activitynet13", "ava", "weights"}
    for name, part in table.items():
        head, entries = download.read_registry(name)
        assert {"title", "folder", "licence"} <= set(head) and entries
        assert len({item.path for item in entries}) == len(entries)
        for item in entries:
            assert len(item.sha256) == 64 and item.size > 0 and item.licence and not item.path.startswith("/")
        for group in part["group"]:
            assert ("base" in group) != ("made" in group) and group["measured"]
            assert "made" in group or group["verified"]
        for item in part.get("by_hand", []):
            assert {"what", "name", "page", "put", "verified"} <= set(item)


def test_damaged_registries(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        download.read_registry("x", tmp_path / "none.toml")
    (tmp_path / "r.toml").write_text("[x\n", "utf-8")
    with pytest.raises(FormatError, match="registry is damaged"):
        download.read_registry("x", tmp_path / "r.toml")
