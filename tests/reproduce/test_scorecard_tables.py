"""The scorecard's tables: every claim and count in them, every text escaped, every verdict with a colour."""

from collections import Counter
from dataclasses import replace

import pytest

from stad_lite.errors import StadError
from stad_lite.reproduce.scorecard import Score, Scorecard, Where
from stad_lite.reproduce.scorecard_tables import ScoreTable, SummaryTable
from stad_lite.reproduce.verdicts import ALL_VERDICTS, COLOURS, Part

PART = Part(
    "a > b, map", "reproduced", "reproduced", "+2.5", 2.04, "points", 1.5, 2.6, 5, "undecided", 0.7, 0.01
)
ONE = Score("step-x", "step", "ordering", "A <b> helps.", "-2.5 & more", "Table 1", "step/extrapolation",
            "run it", "why", "reproduced", "reproduced", "undecided", (PART,),
            Where("lesson", "a CPU", "abc", ("its commit is not recorded",)))  # fmt: skip
TWO = replace(
    ONE, id="step-y", verdict="undecided", told="undecided (3 of 5 seeds)", holm="", parts=(), where=Where()
)
CARD = Scorecard("lesson", "abc", (ONE, TWO, replace(ONE, id="tad-z", paper="sp_tad")))


def test_every_verdict_has_a_colour_of_its_own():
    assert set(ALL_VERDICTS) == set(COLOURS) and len(set(COLOURS.values())) == len(COLOURS)


def test_the_summary_counts_every_claim():
    head, step, tad, everything = SummaryTable(CARD).rows()
    assert step == ["STEP", "1", "", "1", "", "", "", "2"] and tad[0] == "SP-TAD"
    assert everything == ["all", "2", "", "1", "", "", "", "3"] and head[1] == "reproduced"
    text = SummaryTable(CARD)._repr_html_()
    assert text.count("<tr>") == 4 and "STEP" in repr(SummaryTable(CARD))


def test_a_papers_table_has_its_claims_with_all_that_is_known():
    text = ScoreTable(CARD, "step")._repr_html_()
    for said in ("step-x", "A &lt;b&gt; helps.", "-2.5 &amp; more (Table 1)", "../step/extrapolation.html",
                 "+2.0 points", "[+1.5, +2.6]", "a &gt; b, map", "undecided (3 of 5 seeds)", "run it",
                 "its commit is not recorded", "1 parts (marked)", COLOURS["reproduced"]):  # fmt: skip
        assert said in text, said
    assert "tad-z" not in text
    counts = Counter(text.split("<"))
    for tag in ("table", "details", "tr"):
        opened = sum(count for piece, count in counts.items() if piece.startswith((f"{tag}>", f"{tag} ")))
        closed = sum(count for piece, count in counts.items() if piece.startswith(f"/{tag}>"))
        assert opened == closed, tag
    assert repr(ScoreTable(CARD, "step")).splitlines()[2].split() == [
        "step-y", "-2.5", "&", "more", "undecided", "(3", "of", "5", "seeds)"
    ]  # fmt: skip


def test_a_paper_without_claims_is_told():
    with pytest.raises(StadError, match="no claims of 'pcsc'"):
        ScoreTable(CARD, "pcsc")
