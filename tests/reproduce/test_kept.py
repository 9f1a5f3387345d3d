"""Kept runs as a chapter shows them: means, verdicts, what is left out, pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from stad_lite.errors import StadError
from stad_lite.reproduce.kept import Kept
from stad_lite.reproduce.results import Results
from stad_lite.reproduce.rows import Row, Sweep, write_sweep
from stad_lite.reproduce.statistics import judge
from stad_lite.reproduce.verdicts import COLOURS

BASE, OTHER = [60.0, 62.0, 61.0, 63.0, 64.0], [58.0, 59.5, 58.9, 60.0, 61.7]


@pytest.fixture
def runs(tmp_path):
    values = {"base": BASE, "no_context": OTHER, "rgb": [50.0, 51.0]}
    rows = [
        Row(variant, seed, {}, {"frame_map": value, "late": value + seed}, ("clips",), "lesson")
        for variant, some in values.items()
        for seed, value in enumerate(some)
    ]
    write_sweep(Sweep("step", "lesson", tuple(rows)), tmp_path)
    return Kept("step", Results("step/some", "smoke"), folder=tmp_path)


def test_a_table_has_means_intervals_seeds_and_the_papers_figure(runs):
    table = runs.table({"base": ("all", 74.3), "no_context": "without", "rgb": "RGB"}, {"frame_map": "mAP"})
    head, first, second, *below = repr(table).splitlines()
    assert head.split() == ["mAP", "seeds", "paper"]
    assert first.split() == ["all", "62.0", "±", "2.0", "5", "74.3"]  # 2.776 * 1.5811 / sqrt(5)
    assert second.split() == ["without", "59.6", "±", "1.7", "5"]
    assert "share: clips" in below[0] and "--variants rgb --seeds 5" in below[0]
    assert "<td>62.0 ± 2.0</td>" in table._repr_html_()


def test_columns_of_one_row_have_their_own_figures_of_the_paper(runs):
    table = runs.table({"base": ("all", (74.3, None))}, {"frame_map": "mAP", "late": "late"})
    assert repr(table).splitlines()[1].split() == [
        "all",
        "62.0",
        "±",
        "2.0",
        "64.0",
        "±",
        "3.8",
        "5",
        "74.3,",
        "-",
    ]


def test_a_verdict_is_that_of_judge_and_goes_to_the_results(runs):
    found = runs.judge(
        ("context helps", ("base", "frame_map"), ("no_context", "frame_map"), "step-context", 2.5),
        ("no context helps", ("no_context", "frame_map"), ("base", "frame_map"), "step-context"),
        ("RGB helps", ("rgb", "frame_map"), ("base", "frame_map"), "Table 1b"),
    )
    told = judge(dict(enumerate(BASE)), dict(enumerate(OTHER)))
    assert [row.found for row in found.rows] == [told, judge(dict(enumerate(OTHER)), dict(enumerate(BASE)))]
    assert {f.name: (f.value, f.claim) for f in runs.results.figures} == {
        "context helps": (str(told), "step-context"),
        "no context helps": (str(found.rows[1].found), "step-context"),
    }
    text, page = repr(found), found._repr_html_()
    assert "2 orderings are tested" in text and "0.1 of them" in text
    assert text.endswith("--variants rgb --seeds 5 --profile lesson")
    for verdict, count in (("reproduced", 2), ("not reproduced", 2)):  # the verdict, and Holm's
        assert page.count(f'<td style="background:{COLOURS[verdict]};color:#000">{verdict}</td>') == count
    assert "<td>+2.5</td>" in page


def test_what_was_reckoned_by_seed_is_judged_too(runs):
    gains = runs.gain(("base", "frame_map"), ("no_context", "frame_map"))
    assert list(gains.values()) == pytest.approx(np.subtract(BASE, OTHER))
    late = runs.gain(("base", "late"), ("no_context", "frame_map"))
    (row,) = runs.judge(("it grows", late, gains, "")).rows
    assert row.found.mean == pytest.approx(2.0) and row.found.verdict == "reproduced"
    assert runs.gain(("base", "frame_map"), ("rgb", "frame_map")) == {}


def test_where_nothing_was_run_only_the_command_is_told(runs):
    claim = ("RGB helps", ("rgb", "frame_map"), ("base", "frame_map"), "Table 1b")
    for empty in (runs.judge(claim), runs.table({"rgb": "RGB"}, {"frame_map": "mAP"})):
        assert len(repr(empty).splitlines()) == 1
        assert repr(empty).endswith("--variants rgb --seeds 5 --profile lesson")
        assert empty._repr_html_().count("<") == 2 and "--variants rgb" in empty._repr_html_()


def test_the_family_is_stricter_than_each(runs):
    rng = np.random.default_rng(0)
    noise = [dict(enumerate(rng.normal(0.8, 0.6, 5))) for _ in range(12)]
    zero = dict.fromkeys(range(5), 0.0)
    found = runs.judge(*((f"claim {n}", one, zero, "") for n, one in enumerate(noise)))
    head, *lines = repr(found).splitlines()
    at = head.index("Holm")
    told = [row.found.verdict for row in found.rows]
    kept = [line[at:].split("  ")[0] for line in lines[:12]]
    assert told.count("reproduced") > kept.count("reproduced")


def test_pictures_show_each_row_once(runs):
    table = runs.table({"base": ("all", 74.3), "no_context": "without"}, {"frame_map": "mAP"})
    ax = table.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all", "without"]
    assert 74.3 in [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"]
    claim = ("context helps", ("base", "frame_map"), ("no_context", "frame_map"), "", 2.5)
    ax = runs.judge(claim).plot()
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"] == [2.5]
    with pytest.raises(StadError, match="no ordering"):
        runs.judge().plot()
    plt.close("all")


def test_bars_stand_side_by_side_a_group_a_column(runs):
    rows = {"base": "all", "no_context": "without"}
    ax = runs.table(rows, {"frame_map": "mAP", "late": "late"}).bars()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["mAP", "late"]
    first, second = ([bar.get_height() for bar in group] for group in ax.containers[1::2])
    assert first == pytest.approx([62.0, 64.0]) and second == pytest.approx(
        [np.mean(OTHER), np.mean(OTHER) + 2]
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["all", "without"]
    left, right = (group[0] for group in ax.containers[1::2])
    assert left.get_x() + left.get_width() < right.get_x() and left.get_x() < 0 < right.get_x()
    plt.close("all")


def test_readings_of_one_network_are_columns(runs):
    table = runs.readings(
        "base", {"plain": "", "none": "no_"}, {"frame_map": "mAP", "late": "late", "x": "X"}
    )
    assert table.columns == ("plain", "none")
    found = {name: row for (name, _), row in table.rows.items()}
    assert found == {
        "mAP": (dict(enumerate(BASE)), {}),
        "late": ({seed: value + seed for seed, value in enumerate(BASE)}, {}),
    }
