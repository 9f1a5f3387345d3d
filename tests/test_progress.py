"""The progress bar shows itself on a terminal only."""

from __future__ import annotations

import io
import sys

import pytest

from stad_lite.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("wanted", "shows"), [("1", True), ("0", False)])
def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, wanted: str, shows: bool) -> None:
    pytest.importorskip("tqdm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("STAD_PROGRESS", wanted)
    assert list(progress((i for i in range(3)), total=3, desc="reading")) == [0, 1, 2]
    assert ("reading" in stream.getvalue()) is shows


@pytest.mark.parametrize("terminal", [True, False])
def test_silence_without_tqdm_or_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delenv("STAD_PROGRESS", raising=False)
    if terminal:
        monkeypatch.setitem(sys.modules, "tqdm", None)  # importing it fails
    assert list(progress([1, 2], desc="reading")) == [1, 2]
    assert stream.getvalue() == ""
