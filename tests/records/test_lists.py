"""Lists of videos: one a line, whatever stands behind the name."""

from pathlib import Path

import pytest

from stad_lite.errors import FormatError, MissingFileError
from stad_lite.records import read_list


def test_endings_and_further_words_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("run/a.avi 1\n\n  b.mp4\nc.x  3 4", "utf-8")
    assert read_list(path) == ("run/a", "b", "c.x")


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
