"""What the browser tests share: chromium, the rule that nothing outside is asked, a shelf for pictures."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import contextmanager
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


@contextmanager
def guarded(chromium, width: int, height: int):
    """A page that may ask this machine only; lists what else it asked for and its errors."""
    context = chromium.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.outside, page.errors = [], []

    def guard(route):
        if route.request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            return route.continue_()
        page.outside.append(route.request.url)
        return route.abort()

    context.route("**/*", guard)
    page.on("console", lambda told: page.errors.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    yield page
    context.close()


@pytest.fixture
def page(chromium):
    """A guarded page as wide as a window."""
    with guarded(chromium, 1200, 1400) as page:
        yield page


@pytest.fixture(scope="module")
def phone(chromium):
    """A guarded page as wide as a phone, one for all pages."""
    with guarded(chromium, 390, 844) as page:
        yield page
