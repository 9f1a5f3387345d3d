"""The commands that the README gives beside ``make`` are run, as far as that needs no network."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest

from notebooks import chapters
from stad_lite.catalogue import ENTRIES

REPOSITORY = Path(__file__).resolve().parents[1]
TOKEN = "of-this-test"


def commands() -> dict[str, list[str]]:
    """Return the words of each line of Python in the README's block without make, by what it calls."""
    (block,) = re.findall(
        r"Without `make`.*?```\n(.*?)```", (REPOSITORY / "README.md").read_text("utf-8"), re.S
    )
    lines = [shlex.split(line, comments=True) for line in block.splitlines() if line.startswith("python -m ")]
    return {words[2]: words[1:] for words in lines}


def test_every_chapter_and_system_is_listed() -> None:
    text = (REPOSITORY / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| \[.*?\]\(book/(\S+)\.ipynb\)", text, re.MULTILINE)
    assert rows == [chapter.name for chapter in chapters()]
    (told,) = re.findall(r"^`train` takes a system \((.*?)\)", text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", told)) == set(ENTRIES)


def run(*words: str, **changes: str) -> str:
    """Run a line of Python in the repository; what it printed. It must succeed."""
    command, environment = [sys.executable, *words], os.environ | {"PYTHONUTF8": "1"} | changes
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_environment_a_notebook_server_and_the_tests_are_told() -> None:
    assert list(commands()) == ["venv", "pip", "jupyter", "pytest"]
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    for name in ("pip", "pytest"):
        line, *_ = re.findall(  # of pytest, that of make unit comes first
            rf"python -m {name} (?:install -q )?((?:-c|tests -m).*?)(?: \$\(.*)?\n", makefile
        )
        assert shlex.split(line) == [word for word in commands()[name][2:] if word != "install"]


def test_the_environments_line_resolves() -> None:
    words = [*commands()["pip"], "--dry-run", "--no-deps", "--no-build-isolation"]
    assert "Would install stad" in run(*words, PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    asked = commands()["pip"][-1].removeprefix(".[").removesuffix("]").split(",")
    # pip only warns of an unknown one; bench is others' evaluators, beside which ours are timed
    assert {*asked, "bench"} == set(project["optional-dependencies"])


def test_the_tests_line_finds_them() -> None:
    words = ["tests/linking" if word == "tests" else word for word in commands()["pytest"]]
    assert "tests/linking/test_viterbi.py" in run(*words, "--collect-only", "-q", "-p", "no:cacheprovider")


def test_the_notebooks_line_serves_the_book(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    options += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.port_retries=0"]
    places = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    places["JUPYTERLAB_WORKSPACES_DIR"] = str(tmp_path / "workspaces")
    with (tmp_path / "lab.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, *commands()["jupyter"], *options],
            cwd=REPOSITORY, env=os.environ | places, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            assert "ground" in names(port, server, tmp_path / "lab.log")
            ask(port, "shutdown", b"")
            assert server.wait(30) == 0
        finally:
            server.kill()
            server.wait()


def ask(port: int, what: str, data: bytes | None = None) -> bytes:
    """Return what the server answers; with data it is posted."""
    headers = {"Authorization": f"token {TOKEN}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/{what}", data, headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read()


def names(port: int, server: subprocess.Popen, log: Path) -> set[str]:
    """Return what lies in the folder that the server shows, as soon as it answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text("utf-8")[-2000:]
        try:
            return {entry["name"] for entry in json.loads(ask(port, "contents"))["content"]}
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start: {log.read_text('utf-8')[-2000:]}")
