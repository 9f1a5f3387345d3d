"""The API reference: every part of the library is on one page, and docstrings come out as they are meant."""

from __future__ import annotations

import ast
import re

import pytest

import api_pages
from notebooks import BOOK
from tests.test_architecture import FLOORS

PAGES = sorted((BOOK / "api").glob("*.rst"))
NOT_SHOWN = {"exercises": "holds their answers", "__main__": "is the command line"}


def documented(path) -> list[str]:
    found = re.search(r"^\.\. api:: (.*(?:\n +.*)*)", path.read_text("utf-8"), re.MULTILINE)
    return found[1].split() if found else []


def test_every_part_of_the_library_is_on_one_page_and_in_the_table() -> None:
    names = [name for path in PAGES for name in documented(path)]
    assert sorted(names) == sorted(set(FLOORS) - set(NOT_SHOWN))
    index = (BOOK / "api" / "index.rst").read_text("utf-8")
    rows = re.findall(r"\* - :doc:`[^<]*<(\w+)>`\n     - .*\n     - (.*)", index)
    assert {page: re.findall(r"``(\w+)``", cell) for page, cell in rows} == {
        path.stem: documented(path) for path in PAGES if path.stem != "index"
    }


def test_entries_examples_and_code_are_told_from_prose() -> None:
    first, entries, blocks, example = api_pages.laid_out(
        "Return `x` of words, not of\nfields: this goes on.\n\nboxes, more: (n, 4)\n    *pixels*\n"
        "raises: StadError\n\n::\n\n    raw: text\n\n>>> 1\n1"
    )[:3] + [api_pages.laid_out("A.\n\n>>> 1\n1\n\nB.")[1]]
    assert first.astext() == "Return x of words, not of fields: this goes on."
    assert [item.astext() for item in entries] == ["boxes, more: (n, 4) *pixels*", "raises: StadError"]
    assert blocks.astext() == ":" and example.astext() == ">>> 1\n1"


@pytest.mark.parametrize("name", ["linking.viterbi", "linking"])
def test_a_package_is_its_public_modules(name: str) -> None:
    found = [module for module, _ in api_pages.public_modules(name)]
    assert found[0] == name and "linking.viterbi" in found
    assert not any(part.startswith("_") for module in found for part in module.split("."))


def test_what_has_no_docstring_or_a_line_before_its_name_is_left_out() -> None:
    code = 'A = 1\n"""One."""\nB = 2\ndef f(x: int): "Says."\ndef g(): pass\ndef _h(): "No."\n'
    code += "class C(Base):\n    'Is.'\n    size: int = 3\n    def m(self): 'Does.'\n"
    found = list(api_pages._documented(ast.parse(code).body, "m"))
    assert [one["ids"] for one in found] == [["m.A"], ["m.f"], ["m.C"]]
    assert found[2].children[0].astext() == "class C(Base)\n    size: int = 3"
    assert "m(self)" in found[2].astext() and "Says." in found[1].astext()


def test_a_long_signature_has_a_line_an_argument() -> None:
    arguments = (
        "first: np.ndarray, second: dict[str, int] | None = None, *, third_one: tuple[int, int] = (1, 2)"
    )
    (node,) = ast.parse(f"def name({arguments}) -> list[tuple[str, int]]: pass").body
    lines = api_pages.signature(node).splitlines()
    assert lines[0] == "name(" and lines[-1] == ") -> list[tuple[str, int]]"
    assert [line.strip()[:6] for line in lines[1:-1]] == ["first:", "second", "third_"]
