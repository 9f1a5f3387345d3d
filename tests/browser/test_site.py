"""The built site: formulas and widgets are there, and no page asks another machine for anything."""

from __future__ import annotations

import functools
import http.server
import threading

import pytest

import build_site
from notebooks import BOOK, chapters
from tests.browser.conftest import needed

pytestmark = pytest.mark.browser

HTML = BOOK / "_build" / "html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site():
    """The freshly built site on a port of this machine; yields its address."""
    if not (BOOK / "_vendor" / "mathjax").is_dir():
        needed("npm")
    assert build_site.main([]) == 0, "make book says which warnings there are"
    handler = functools.partial(Quiet, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def visit(page, address: str) -> None:
    """Open a page and assert that everything it asked for came from the site and was there."""
    missing = []
    page.on("response", lambda r: missing.append(r.url) if r.status >= 400 else None)
    page.goto(address, wait_until="networkidle")
    assert page.outside == []
    assert missing == []


def test_formulas_are_drawn_without_outside_help(site, page, shelf):
    visit(page, f"{site}/notation.html")
    page.locator("mjx-container svg").first.wait_for(timeout=20_000)
    page.screenshot(path=shelf / "site_notation.png")


def test_a_chapter_shows_its_widgets_without_outside_help(site, page, shelf):
    with_dial = [c for c in chapters() if "widgets" in c.read().metadata]
    if not with_dial:
        pytest.skip("no chapter has a dial yet")
    visit(page, f"{site}/{with_dial[0].name}.html")
    page.locator(".noUi-handle").first.wait_for(timeout=20_000)
    page.locator(".noUi-handle").first.scroll_into_view_if_needed()
    page.screenshot(path=shelf / "site_chapter.png")
    assert page.outside == []
