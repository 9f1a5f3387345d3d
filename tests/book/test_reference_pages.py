"""The book's reference pages say what the code and the chapters hold; nothing is executed."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from importlib import import_module
from pathlib import Path
from statistics import median

import pytest
import yaml

from notebooks import BOOK, chapters, tags
from stad_lite.linking import PRESETS, TRIMS
from stad_lite.metrics.conventions import CONVENTIONS, KINDS, differences
from stad_lite.records import exchange

PAGES = ("course", "conventions", "glossary")
REPOSITORY = BOOK.parent
EXPLAINED_ONCE = {"digits", "ties", "unknown_videos", "unknown_classes"}
"""Fields in which nearly all conventions depart, told above the page's table."""

every = pytest.mark.parametrize("page", PAGES)


def text(page: str) -> str:
    return (BOOK / f"{page}.md").read_text(encoding="utf-8")


def table(page: str, *head: str) -> list[list[str]]:
    """Return the rows of the page's only table that has this head."""
    _, *rest = text(page).split("| " + " | ".join(head) + " |\n")
    assert len(rest) == 1, f"{page}: {len(rest)} tables have the head {head}"
    rows = []
    for line in rest[0].splitlines()[1:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert {len(row) for row in rows} == {len(head)}
    return rows


def typed(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def listed() -> list[str]:
    parts = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    return [one["file"] for part in parts for one in part["chapters"]]


@every
def test_a_page_is_in_the_contents_and_on_the_first_page(page: str) -> None:
    assert page in listed()
    assert f"{{doc}}`{page}`" in text("intro")


@every
def test_every_link_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", text(page))
    documents = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text(page))
    known = {Path(name).as_posix() for name in listed()}
    assert targets or documents
    assert [one for one in documents if one not in known] == []
    pages = [one.removesuffix(".ipynb").removesuffix(".md") for one in targets]
    assert [one for one in pages if one not in known] == []
    assert [one for one in targets if not (BOOK / one).is_file()] == []


@every
def test_every_file_named_is_there(page: str) -> None:
    paths = re.findall(r"`((?:stad_lite|book|tests|data_scripts)/[\w./]*)`", text(page))
    assert [one for one in paths if not (REPOSITORY / one).exists()] == []


def test_every_convention_is_told_and_none_is_invented() -> None:
    rows = table("conventions", "convention", "in words", "use it", "other fields")
    assert [typed(row[0]) for row in rows] == [[name] for name in CONVENTIONS]


def test_what_a_convention_does_otherwise_is_what_the_code_does() -> None:
    for name, _, _, fields in table("conventions", "convention", "in words", "use it", "other fields"):
        convention = CONVENTIONS[typed(name)[0]]
        held = [getattr(convention, kind) for kind in KINDS.values()]
        found = {field for rules in held if rules is not None for field in differences(rules)}
        assert set(typed(fields)) == found - EXPLAINED_ONCE, name


def test_a_convention_named_for_a_data_set_has_its_metrics() -> None:
    rows = table("conventions", "data set", "what you compare with", "metric", "convention")
    for *_, metrics, name in rows:
        convention = CONVENTIONS[typed(name)[0]]
        for metric in typed(metrics):
            convention.rules(KINDS[metric])
    assert {typed(row[3])[0] for row in rows} == set(CONVENTIONS)


def test_every_preset_and_trim_is_told() -> None:
    rows = table("conventions", "method", "preset", "what it does otherwise", "use it")
    told = [(typed(method)[0], typed(preset)[0]) for method, preset, _, _ in rows]
    assert told == [(method, preset) for method, presets in PRESETS.items() for preset in presets]
    trims = table("conventions", "trim", "what it does", "use it")
    assert [typed(row[0])[0] for row in trims] == list(TRIMS)


def test_every_format_is_told_with_what_it_reads_and_writes() -> None:
    def kinds(name: str, formats: Container[tuple[str, str]]) -> str:
        held = [kind for kind in ("annotations", "predictions") if (name, kind) in formats]
        return "both" if len(held) == 2 else "".join(held) or "-"

    rows = table("conventions", "format", "read", "written", "what it is")
    told = {typed(name)[0]: (read, written) for name, read, written, _ in rows}
    # both are read by the verb itself
    assert told.pop("records") == ("both", "both")
    assert told.pop("ucf101-24") == ("annotations", "-")
    names = dict.fromkeys(name for name, _ in (*exchange.READERS, *exchange.WRITERS))
    assert told == {name: (kinds(name, exchange.READERS), kinds(name, exchange.WRITERS)) for name in names}


MAP = ("chapter", "after", "exercises", "published data", "GPU")
WEEKS = ("week", "question of the week", "chapters", "hand in")


def linked(cell: str) -> list[str]:
    """Return the chapters that a cell links to."""
    return re.findall(r"\]\(([^)\s]+)\.ipynb\)", cell)


def test_the_map_of_the_course_holds_every_chapter_in_order_and_by_its_title() -> None:
    rows = [row[0] for row in table("course", *MAP)]
    found = [chapter for chapter in chapters() if chapter.path.is_file()]
    titles = [chapter.read().cells[0].source.splitlines()[0].removeprefix("# ") for chapter in found]
    assert rows == [f"[{title}]({one.name}.ipynb)" for title, one in zip(titles, found, strict=True)]


def test_a_chapter_comes_after_what_it_needs() -> None:
    seen: set[str] = set()
    for chapter, after, *_ in table("course", *MAP):
        needed = [] if after == "-" else re.split(r",\s(?=[A-Z])", after)
        assert [one for one in needed if one not in seen] == [], chapter
        seen.add(chapter[1 : chapter.index("]")])


def test_exercises_data_and_gpu_of_the_course_are_those_of_the_chapters() -> None:
    rows = {linked(row[0])[0]: row[2:] for row in table("course", *MAP)}
    for chapter in chapters():
        cells = chapter.read().cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        checks = list(dict.fromkeys(re.findall(r"exercises\.(check_\w+)", code)))
        published = any("real-data" in tags(cell) for cell in cells)
        exercises, data, gpu = rows[chapter.name]
        assert typed(exercises) == checks, chapter.name
        assert (data == "yes", gpu == "yes") == (published, "train_and_show(" in code), chapter.name
        if checks:
            module = import_module(f"stad_lite.exercises.{chapter.path.stem}")
            assert [name for name in checks if not hasattr(module, name)] == []


def test_the_weeks_give_every_lesson_once_and_its_own_exercises() -> None:
    exercises = {linked(row[0])[0]: typed(row[2]) for row in table("course", *MAP)}
    weeks = table("course", *WEEKS)
    given = [name for *_, names, _ in weeks for name in linked(names)]
    assert [
        name for name in exercises if name not in linked(text("course").split("## What needs what")[0])
    ] == []
    assert sorted(name for name in given if exercises[name]) == sorted(n for n, e in exercises.items() if e)
    for *_, names, checks in weeks:
        offered = {check for name in linked(names) for check in exercises[name]}
        assert set(typed(checks)) <= offered, names


def test_the_minutes_of_the_course_are_those_of_the_kept_runs() -> None:
    """To a factor of 1.5: runs are made again, on other machines."""
    rows = {
        typed(row[0])[0]: float(row[1]) for row in table("course", "experiment", "minutes a run", "chapters")
    }
    kept = {path.stem.removesuffix("-lesson"): path for path in (BOOK / "sweeps").glob("*-lesson.json")}
    assert set(rows) == set(kept)
    for name, path in kept.items():
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
        minutes = median(run["figures"]["cpu_seconds"] for run in runs) / 60
        assert minutes / 1.5 < rows[name] < minutes * 1.5, (name, minutes)


WORDS = ("word", "meaning", "module", "chapter")


def test_the_words_of_the_glossary_are_sorted_and_told_briefly() -> None:
    words = [row[0] for row in table("glossary", *WORDS)]
    assert words == sorted(set(words), key=str.casefold)
    meanings = [row[1] for row in table("glossary", *WORDS)]
    assert [one for one in meanings if not one.endswith(".") or len(one.split()) > 45] == []


def test_a_word_is_met_in_the_chapter_that_it_links_to() -> None:
    found = {chapter.name: chapter for chapter in chapters()}
    for word, _, module, chapter in table("glossary", *WORDS):
        assert module == "-" or (REPOSITORY / typed(module)[0]).is_file(), word
        for name in linked(chapter):
            cells = [cell.source for cell in found[name].read().cells if cell.cell_type == "markdown"]
            prose = " ".join("\n".join(cells).replace("*", "").split())
            assert word.casefold() in prose.casefold(), (word, name)


def test_every_reference_has_its_doi() -> None:
    entries = (BOOK / "references.bib").read_text(encoding="utf-8").split("@")[1:]
    dois = [re.search(r"^  doi = \{(10\.\d{4,9}/[\w.()/-]+)\}$", entry, re.MULTILINE) for entry in entries]
    assert len(entries) == 5 and all(dois)


def test_every_picture_of_the_first_page_is_drawn_by_the_command_and_told_in_words() -> None:
    import picture

    found = re.findall(r"```\{image\} images/(\w+)\.png\n:alt: (.{40,})\n", text("intro"))
    assert {name for name, _ in found} == set(picture.DRAWN) - {"tube"}
    assert text("intro").count("{image}") == len(found)
    sizes = {name: (BOOK / "images" / f"{name}.png").stat().st_size for name in picture.DRAWN}
    assert max(sizes.values()) < 400_000
