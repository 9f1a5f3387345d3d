"""A paper's table by a chapter's parameters: what is run, shown, kept, judged and drawn."""

from __future__ import annotations

import math
from dataclasses import make_dataclass
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest

from stad_lite.errors import FormatError
from stad_lite.reproduce import paper_table
from stad_lite.reproduce.paper_table import PaperTable
from stad_lite.reproduce.results import Results
from stad_lite.reproduce.rows import Row, Sweep
from stad_lite.reproduce.statistics import judge

DIALS = {
    "profile": "lesson", "results": "out.json", "table": "5", "data": "synthetic", "videos": "",
    "variants": "", "seeds": 3, "settings": "", "weights": "i3d.pt", "limit": 0, "runs": "runs/here",
    "kept": True,
}  # fmt: skip
TABLES = {"5": {"plain": (72.7, None), "base": (75.7, 76.1), "rival": (70.0, 71.0)}, "text": {"base": ()}}
COLUMNS = {"5": ("stage0", "stage1")}


def table(tables=TABLES, titles=COLUMNS, **changes) -> PaperTable:
    values = DIALS | {name: changes.pop(name) for name in [*changes] if name in DIALS}
    dials = make_dataclass("Parameters", list(values))(**values)
    return PaperTable(
        "PCSC", dials, Results("reproduce/pcsc", "lesson"), tables, titles, ("base", "plain"), **changes
    )


def run(variant: str, seed: int) -> dict[str, float]:
    best = 60.0 if variant == "base" else 50.0
    return {"stage0": best + seed, "stage1": best + 2 * seed, "more": 1.0}


@pytest.fixture
def measured() -> PaperTable:
    found = table()
    found.measure(run)
    return found


def test_rows_that_nobody_can_run_are_not_chosen():
    assert table().known == table().chosen == ["plain", "base"]
    assert table(profile="smoke").chosen == ["plain"]
    assert table(profile="smoke", first="base").chosen == ["base"]
    assert table(variants="base, plain").chosen == ["base", "plain"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": "7"}, "no table '7'.*5, text"),
        ({"variants": "rival"}, "no variant 'rival'.*plain"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(changes, words):
    with pytest.raises(FormatError, match=words):
        table(**changes)


def test_published_stands_over_measured(measured):
    told, head, *lines = repr(measured).splitlines()
    assert told == "Table 5, synthetic, lesson, 3 seed(s)" and head.split() == ["stage0", "stage1"]
    assert [line.split() for line in lines] == [
        ["plain,", "published", "72.7"],
        ["plain,", "measured", "51.0", "±", "2.5", "52.0", "±", "5.0"],  # 4.303 / sqrt(3)
        ["base,", "published", "75.7", "76.1"],
        ["base,", "measured", "61.0", "±", "2.5", "62.0", "±", "5.0"],
        ["rival,", "published", "70.0", "71.0"],
    ]
    assert "<td>61.0 ± 2.5</td>" in measured._repr_html_()
    assert "published on ava, measured on synthetic" in repr(table(printed_on="ava"))


def test_means_are_kept_with_the_line_that_repeats_them(measured):
    measured.keep("stage0")
    assert [(f.name, f.value, f.unit, f.data, f.claim) for f in measured.results.figures] == [
        ("Table 5: plain, stage1", 52.0, "%", "synthetic", "PCSC Table 5"),
        ("Table 5: base, stage1", 62.0, "%", "synthetic", "PCSC Table 5"),
    ]
    line = "--only reproduce/pcsc --profile lesson -p table 5 -p data synthetic -p seeds 3"
    assert measured.results.figures[0].command == f"make results ARGS='{line}'"


def test_the_line_hides_a_folder_and_quotes_settings():
    found = table(data="some/folder", settings="train.steps=4 model.k=2", limit=7)
    assert found.where == "own"
    assert found.command.endswith(
        """-p data FOLDER -p seeds 3 -p settings "train.steps=4 model.k=2" -p limit 7'"""
    )


def test_all_figures_of_real_runs_are_kept(measured):
    assert measured.keep_all("Sec. 4") is None and not measured.results.figures
    own = table(data="ava", variants="base")
    own.measure(run)
    shown = own.keep_all("Sec. 4")
    assert shown.rows[-1] == ("base", "more", "1.0")
    assert [(f.name, f.value, f.claim) for f in own.results.figures][:2] == [
        ("base, stage0", 61.0, "PCSC Sec. 4"),
        ("base, stage1", 62.0, "PCSC Sec. 4"),
    ]


def test_orderings_are_judged_by_seed(measured):
    found = measured.judge(
        (("base", "stage0"), ("plain", "stage0"), 3.0),
        (("base", "stage1"), ("base", "stage0")),
        (("base", "stage1"), ("plain", "stage0")),
        (("base", "stage1"), ("rival", "stage1")),
    )
    assert [row.text for row in found.rows] == [
        "base above plain, stage0", "base, stage1 above stage0", "base, stage1 above plain, stage0",
    ]  # fmt: skip
    assert found.rows[0].found == judge({0: 60, 1: 61, 2: 62}, {0: 50, 1: 51, 2: 52})
    assert [row.paper for row in found.rows] == [3.0, None, None]
    assert measured.results.figures[0].name == "Table 5: base above plain, stage0"
    assert "no verdict" in repr(table().judge((("base", "stage0"), ("plain", "stage0"))))


def test_cells_may_have_other_names():
    found = table(cell=lambda row, column: ("base", f"{row}_{column}"))
    found.measure(lambda variant, seed: {"plain_stage0": 4.0, "base_stage1": 5.0})
    assert found.known == ["base"]
    assert found.means("plain") == [4.0, None] and found.means("base") == [None, 5.0]


def test_a_figure_that_is_not_finite_is_refused():
    with pytest.raises(FormatError, match="plain, seed 0: stage1 is not finite"):
        table().measure(lambda variant, seed: {"stage0": 1.0, "stage1": math.nan})


def test_another_setting_is_another_folder():
    one, other = table().folder("base", {"a": 1}), table().folder("base", {"a": 2})
    assert one != other and one == table().folder("base", {"a": 1})
    assert one.parent.parts[-2:] == ("runs", "here") and one.name.startswith("synthetic-base-")
    assert table(profile="smoke").folder("base", {"a": 1}) != one


def test_kept_runs_are_taken_where_their_settings_are_the_same(monkeypatch):
    variants = {"base": {"k": (1, 2)}, "plain": {"k": 3}}
    experiment = SimpleNamespace(VARIANTS=variants, run=lambda variant, seed, profile: {"new": 1.0})
    rows = (Row("base", 0, {"k": [1, 2]}, {"old": 2.0}), Row("plain", 0, {"k": 4}, {"old": 3.0}))
    monkeypatch.setattr(paper_table, "experiment_module", lambda name: experiment)
    monkeypatch.setattr(paper_table, "read_sweep", lambda name, profile: Sweep(name, profile, rows))
    one_way = table().from_sweep("any")
    assert one_way("base", 0) == {"old": 2.0}
    assert one_way("base", 1) == one_way("plain", 0) == {"new": 1.0}
    assert table(kept=False).from_sweep("any")("base", 0) == {"new": 1.0}


def test_a_picture_has_a_line_a_row_and_one_for_what_is_published(measured):
    ax = measured.plot()
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines) == [
        "plain, measured", "plain, published", "base, measured", "base, published", "rival, published",
    ]  # fmt: skip
    assert list(lines["base, measured"].get_ydata()) == [61.0, 62.0]
    assert lines["base, measured"].get_color() == lines["base, published"].get_color()
    plt.close("all")
