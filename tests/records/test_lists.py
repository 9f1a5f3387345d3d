"""Lists of videos: one a line, whatever stands behind the name."""

from pathlib import Path

import numpy as np
import pytest

from stad_lite.errors import FormatError, MissingFileError
from stad_lite.records import read_list


def test_endings_and_what_follows_them_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("run/a.avi 1\n\n  b.mp4\nc.x  3 4\nd e.MKV\nf.webm\ng.mp4.x", "utf-8")
    assert read_list(path) == ("run/a", "b", "c.x  3 4", "d e", "f", "g.mp4.x")


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_a_line_is_an_id(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "list.txt"
    lines = "my clip 1\nmy clip 2.avi\nmy\nkept.mp4\nrun/a.avi 3\nb 7\nunknown 5\n"
    path.write_bytes(before + lines.encode())
    known = ["my clip 1", "my clip 2", "my", "kept.mp4", "run/a", "b", "clip"]
    assert read_list(path, known) == ("my clip 1", "my clip 2", "my", "kept.mp4", "run/a", "b", "unknown 5")


@pytest.mark.parametrize("seed", range(20))
def test_any_ids_come_back_from_their_lines(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    letters = list("ab 1.-_/") + ["é", "视", ".mp4", ".avi "]
    names = {"".join(rng.choice(letters, 6)).strip() for _ in range(30)} - {""}
    ids = sorted(names)
    path = tmp_path / "list.txt"
    path.write_text("\n".join(ids), "utf-8")
    assert read_list(path, ids) == tuple(ids)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"a\nb\na.avi\n", "3 lines, 2 of them distinct"), (b"\n", "0 lines"), (b"\xff\xfe\x00", "UTF-8")],
)
def test_what_is_no_list(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=told):
        read_list(path)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.txt"):
        read_list(tmp_path / "none.txt")
