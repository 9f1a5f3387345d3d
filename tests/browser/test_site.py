"""The built site: formulas are there, slides move, and no page asks another machine for anything."""

from __future__ import annotations

import functools
import http.server
import threading

import pytest

import build_site
from notebooks import BOOK
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


def test_slides_of_a_chapter_move_and_play(site, page, shelf):
    visit(page, f"{site}/ground/tubes_and_overlap.html")
    slides = page.locator(".stad-slides", has=page.locator("button"))
    slides.scroll_into_view_if_needed()

    def told() -> str:
        return slides.locator("img:visible").get_attribute("alt")

    first, dial = told(), slides.locator("input")
    dial.focus()
    page.keyboard.press("ArrowRight")
    assert told() != first and slides.locator("output").text_content() == "1"
    slides.locator("button").click()
    page.wait_for_function("() => +document.querySelector('.stad-slides button').parentNode"
                           ".querySelector('output').textContent > 4")  # fmt: skip
    page.screenshot(path=shelf / "site_chapter.png")
    assert page.locator("img[alt='']").count() == 0
    assert page.locator("main img:not([alt])").count() == 0
    assert page.outside == []
