"""Launch buttons: where they lead, and what Colab's copies begin with."""

from __future__ import annotations

import ast

import pytest

import build_site
import launch
from notebooks import BOOK, chapters

ADDRESS = "https://github.com/OWNER/NAME"


def test_an_address_gives_the_settings_of_all_buttons():
    found = launch.settings(ADDRESS + "/", "main", "https://hub.example.org")
    assert found["repository"] == {"url": ADDRESS, "path_to_book": "book", "branch": "main"}
    assert set(found["launch_buttons"]) == {
        "notebook_interface",
        "binderhub_url",
        "colab_url",
        "jupyterhub_url",
    }
    elsewhere = launch.settings("https://git.example.org/OWNER/NAME", "main", "")
    assert set(elsewhere["launch_buttons"]) == {"notebook_interface", "binderhub_url"}, "Colab knows GitHub"


@pytest.mark.parametrize("given", [("OWNER/NAME", ""), ("https://github.com/OWNER", ""), (ADDRESS, "hub")])
def test_what_is_no_address_is_refused_before_anything_is_built(given, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(build_site, "build", lambda *a: pytest.fail("builds"))
    repository, hub = given
    options = ["--book", str(tmp_path), "--repository", repository, "--hub", hub]
    assert build_site.main(options) == 2
    assert "give addresses, as https://github.com/OWNER/NAME" in capsys.readouterr().err


def test_colabs_button_leads_to_the_copy_that_installs():
    start = f"{launch.COLAB}/github/OWNER/NAME/blob"
    button = {"text": "Colab", "url": f"{start}/main/book/step/extrapolation.ipynb"}
    other = {"text": "Binder", "url": f"{launch.BINDER}/v2/gh/OWNER/NAME/main"}
    context = {"header_buttons": [{"text": "full screen"}, {"buttons": [button, other]}]}
    launch._point(None, "step/extrapolation", "page.html", context, None)
    assert button["url"] == f"{start}/gh-pages/colab/step/extrapolation.ipynb"
    assert other["url"].endswith("/main")


def test_a_copy_for_colab_installs_first_and_is_the_chapter_after_that(tmp_path):
    written = chapters(BOOK)[:2]
    launch.write_for_colab(written, tmp_path, ADDRESS, "main")
    for chapter in written:
        copy = launch.for_colab(chapter.read(), chapter.name, ADDRESS, "main")
        first = copy.cells[0].source
        assert f"--branch main {ADDRESS} stad_lite" in first
        assert (BOOK / chapter.name).parent.name in first
        ast.parse("\n".join(line for line in first.splitlines() if line[0] not in "!%"))
        assert [cell.source for cell in copy.cells[1:]] == [cell.source for cell in chapter.read().cells]
        assert (tmp_path / launch.FOLDER / f"{chapter.name}.ipynb").is_file()
