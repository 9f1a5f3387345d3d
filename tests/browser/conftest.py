"""What the browser tests share: chromium, the rule that nothing outside is asked, a shelf for pictures."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SWITCHES = [
    "--no-sandbox", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def needed(tool: str) -> str:
    """Return a tool's path; without it fail in CI and skip elsewhere, saying what to install."""
    path = shutil.which(tool)
    if path is None:
        told = f"{tool} is missing: make system, or apt-get install {tool}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return path


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def shelf() -> Path:
    """The folder where screenshots go."""
    folder = REPOSITORY / "runs" / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def chromium():
    executable = needed("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page that may ask this machine only; ``page.outside`` lists what else it asked for."""
    context = chromium.new_context(viewport={"width": 1200, "height": 1400})
    page = context.new_page()
    page.outside = []

    def guard(route):
        if route.request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            return route.continue_()
        page.outside.append(route.request.url)
        return route.abort()

    context.route("**/*", guard)
    yield page
    context.close()
