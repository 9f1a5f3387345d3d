"""Building the site: what is missing is said before anything is built."""

from __future__ import annotations

import subprocess

import pytest

import build_site
from notebooks import ToolError


def test_without_npm_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build_site.main(["--book", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "npm is missing" in told and "mathjax@3.2.2" in told and "apt-get install npm" in told


def test_a_failed_download_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(build_site.shutil, "which", lambda name: "npm")
    failed = subprocess.CompletedProcess([], 1, "", "no network")
    monkeypatch.setattr(build_site.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(ToolError, match=r"npm pack mathjax@3.2.2 failed: no network"):
        build_site.vendor("mathjax", tmp_path / "_vendor")
    assert list((tmp_path / "_vendor").iterdir()) == []


def test_what_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    (tmp_path / "mathjax").mkdir()
    monkeypatch.setenv("PATH", "")
    build_site.vendor("mathjax", tmp_path)
