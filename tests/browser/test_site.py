"""The built site: formulas are there, slides move, no request leaves it, no link is dead, phones read it."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

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
    page.errors.clear()
    page.goto(address, wait_until="networkidle")
    assert page.outside == []
    assert missing == []
    # the theme writes the same inline script twice; it is for live code, which the site does not offer
    assert [told for told in page.errors if "THEBE_JS_URL" not in told] == []


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


WIDER = """() => [...document.querySelectorAll('.bd-article *')].filter(
  one => one.getBoundingClientRect().right > innerWidth + 1 &&
         !one.closest('pre, table, .cell_output, mjx-container, .math')).slice(0, 5).map(
  one => one.tagName + ' ' + one.textContent.slice(0, 60))"""


def test_every_page_is_read_on_a_phone_and_says_no_error(site, phone) -> None:
    """In one test: a page takes a second, and a browser's page of its own another."""
    wrong = {}
    for path in sorted(HTML.rglob("*.html")):
        name = path.relative_to(HTML).as_posix()
        if name.startswith(("_", "genindex", "search", "py-modindex")):
            continue
        visit(phone, f"{site}/{name}")
        wide, tall = phone.evaluate("() => [document.scrollingElement.scrollWidth, innerWidth]")
        if wide > tall + 1:
            wrong[name] = (wide, phone.evaluate(WIDER))
    assert wrong == {}, "pages that scroll sideways"


class Links(HTMLParser):
    """The targets of a page's links, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        self.targets += [values[name] for name in ("href", "src") if values.get(name)]


def dead(pages: dict[str, Links], files: set[str]) -> list[tuple[str, str]]:
    """Return (page, target) of the links to a file or an anchor of the site that is not there."""
    found = []
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = (HTML / page).parent / unquote(parts.path) if parts.path else HTML / page
            name = place.resolve().relative_to(HTML.resolve()).as_posix()
            anchors = pages[name].anchors if name in pages else None
            lost = parts.fragment and anchors is not None and unquote(parts.fragment) not in anchors
            if name not in files or lost:
                found.append((page, target))
    return found


def test_a_dead_link_and_a_dead_anchor_are_found() -> None:
    pages = {"a.html": Links('<a href="b.html#x"></a><a href="#y">'), "b.html": Links("<p id='z'>")}
    assert dead(pages, {"a.html"} | {"b.html"}) == [("a.html", "b.html#x"), ("a.html", "#y")]
    assert dead({"a.html": Links('<img src="c.png">')}, {"a.html"}) == [("a.html", "c.png")]


def test_no_link_is_dead_and_references_are_dois(site) -> None:
    files = {path.relative_to(HTML).as_posix() for path in HTML.rglob("*") if path.is_file()}
    pages = {name: Links((HTML / name).read_text("utf-8")) for name in files if name.endswith(".html")}
    pages = {name: links for name, links in pages.items() if not name.startswith("_")}
    assert dead(pages, files | {"."}) == []
    outside = [target for target in pages["bibliography.html"].targets if target.startswith("http")]
    papers = [urlsplit(target) for target in outside if "doi.org" in target]
    assert len(papers) == 5
    assert {(one.scheme, one.netloc) for one in papers} == {("https", "doi.org")}
    assert all(re.fullmatch(r"/10\.\d{4,9}/[\w.()/-]+", one.path) for one in papers)
