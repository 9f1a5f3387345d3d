"""Verdicts on claims: by hand, for every kind, and for what is missing."""

import pytest

from stad_lite.errors import StadError
from stad_lite.reproduce import verdicts
from stad_lite.reproduce.claims import Bound, Claim, Comparison
from stad_lite.reproduce.results import Results
from stad_lite.reproduce.rows import Row, Sweep
from stad_lite.reproduce.statistics import judge
from stad_lite.reproduce.verdicts import NO_RUN, REPORTED, Part, whole


def claim(*comparisons: Comparison, **fields) -> Claim:
    said = {"id": "a", "kind": "ordering", "statement": "", "figure": "", "source": "", "notebook": "",
            "command": "run it", "testable": "yes", "paper": "step"}  # fmt: skip
    return Claim(**{**said, "experiment": "step", **fields}, comparisons=comparisons)


def sweep(**variants: list[float]) -> Sweep:
    """Runs with the figure ``map``, and ``low``, one less."""
    rows = [
        Row(name, seed, {}, {"map": value, "low": value - 1})
        for name, values in variants.items()
        for seed, value in enumerate(values)
    ]
    return Sweep("step", "lesson", tuple(rows))


HIGH, LOW = [63.0, 65, 64, 62, 66], [60.0, 61, 62, 60, 63]
ABOVE, BELOW = Comparison("a", "b", "map"), Comparison("b", "a", "map")


def test_an_ordering_is_judged_seed_by_seed():
    (part,) = verdicts.compared(claim(ABOVE), sweep(a=HIGH, b=LOW))
    wanted = judge(dict(enumerate(HIGH)), dict(enumerate(LOW)))
    assert (part.verdict, part.seeds, part.unit) == ("reproduced", 5, "points")
    assert (part.ours, part.low, part.high, part.smallest, part.p) == (
        wanted.mean, wanted.low, wanted.high, wanted.smallest, wanted.p
    )  # fmt: skip
    (part,) = verdicts.compared(claim(BELOW), sweep(a=HIGH, b=LOW))
    assert part.verdict == "not reproduced" and part.what == "b > a, map"


def test_fewer_than_five_seeds_are_undecided_and_none_is_no_run():
    few, none = verdicts.compared(claim(ABOVE, Comparison("a", "c", "map")), sweep(a=HIGH[:3], b=LOW[:3]))
    assert (few.verdict, few.told) == ("undecided", "undecided (3 of 5 seeds)")
    assert (none.verdict, none.told) == (NO_RUN, "no run kept of c")
    apart = Sweep("step", "lesson", (Row("a", 0, {}, {"map": 1.0}), Row("b", 1, {}, {"map": 1.0})))
    (part,) = verdicts.compared(claim(ABOVE), apart)
    assert part.told == "no run kept with the same seeds"


def test_sides_may_be_differences_and_numbers():
    gain = Comparison("a:map - a:low", "0.5")
    (part,) = verdicts.compared(claim(gain), sweep(a=HIGH))
    assert part.ours == pytest.approx(0.5) and part.verdict == "reproduced"
    (part,) = verdicts.compared(claim(Comparison("a:map - b:map", "a:map - a:low")), sweep(a=HIGH, b=LOW))
    assert part.ours == pytest.approx(sum(HIGH) / 5 - sum(LOW) / 5 - 1)


def test_a_figure_that_a_run_lacks_is_named_with_the_claim():
    with pytest.raises(StadError, match="claim a: 'b' has no figure 'mapp'"):
        verdicts.compared(claim(Comparison("a:map", "b:mapp")), sweep(a=HIGH, b=LOW))


def test_smoke_has_fewer_stages():
    rows = tuple(Row("a", seed, {}, {"stage0": 1.0, "stage2": 3.0}) for seed in range(2))
    four = claim(Comparison("a:stage4", "a:stage0"))
    (part,) = verdicts.compared(four, Sweep("step", "smoke", rows))
    assert (part.ours, part.told) == (2.0, "undecided (2 of 5 seeds)")
    with pytest.raises(StadError, match="claim a: 'a' has no figure 'stage4'"):
        verdicts.compared(four, Sweep("step", "lesson", rows))


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.1, -0.1, 0.0, 0.1, -0.1], "reproduced"),
        ([2.0, 2.1, 1.9, 2.0, 2.0], "not reproduced"),
        ([-2.0, -2.1, -1.9, -2.0, -2.0], "not reproduced"),
        ([3.0, -3.0, 0.0, 2.0, -2.0], "undecided"),
        ([0.1, -0.1, 0.0], "undecided"),
    ],
)
def test_likeness_is_judged_by_the_whole_interval(values, verdict):
    found = verdicts.alike(dict(enumerate(values)), dict.fromkeys(range(5), 0.0), 1.0)
    assert found.verdict == verdict
    if verdict != "undecided":
        assert found.p < 0.01


def test_likeness_is_no_less_sure_than_its_p():
    """At the edge of the interval p is .05: the two tell the same."""
    values = dict(enumerate([0.2, -0.3, 0.1, 0.4, -0.1]))
    edge = max(abs(bound) for bound in (judge(values, dict.fromkeys(range(5), 0.0)).low,
                                        judge(values, dict.fromkeys(range(5), 0.0)).high))  # fmt: skip
    nothing = dict.fromkeys(range(5), 0.0)
    assert verdicts.alike(values, nothing, edge * 1.001).verdict == "reproduced"
    assert verdicts.alike(values, nothing, edge * 0.999).verdict == "undecided"
    assert verdicts.alike(values, nothing, edge).p == pytest.approx(0.05, abs=1e-6)


def test_exact_figures_keep_their_bounds_or_not():
    results = Results("reproduce/scorecard", "smoke")
    for name, value in (("most", 10), ("share", 81.5), ("mean", 1.5)):
        results.add(name, value, claim="a")
    results.add("of another", 3, claim="b")
    bounds = (Bound("most", at_most=3), Bound("share", at_least=80))
    parts = verdicts.counted_parts(claim(kind="exact", experiment="", bounds=bounds), results)
    assert [(one.what, one.verdict, one.paper) for one in parts] == [
        ("most", "not reproduced", "at most 3"),
        ("share", "reproduced", "at least 80"),
        ("mean", REPORTED, ""),
    ]
    with pytest.raises(StadError, match="claim a has no figure 'least'"):
        verdicts.counted_parts(claim(kind="exact", experiment="", bounds=(Bound("least"),)), results)


def test_timings_are_ratios_of_one_run():
    document = {"a/b": {"slow, ms": 3.0, "fast, ms": 2.0}, "a": {"power": 0.9}}
    one = claim(
        kind="speed",
        experiment="",
        results="x.json",
        timings=(
            Comparison("a/b/slow, ms", "a/b/fast, ms"),
            Comparison("a/b/fast, ms", "a/b/slow, ms"),
            Comparison("a/power", "1", within=0.2),
        ),
    )
    parts = verdicts.timed_parts(one, document)
    assert [part.verdict for part in parts] == ["reproduced", "not reproduced", "reproduced"]
    assert parts[0].ours == 1.5 and parts[2].ours == 0.9
    with pytest.raises(StadError, match=r"claim a: x.json has no 'a/b/slow, ms'"):
        verdicts.timed_parts(one, {"a": {}})


def test_tests_pass_fail_or_are_skipped():
    one = claim(kind="property", experiment="", tests=("t::a", "t::b", "t::c", "t::d"))
    parts = verdicts.property_parts(one, {"t::a": "passed", "t::b": "failed", "t::c": "skipped"})
    assert [part.verdict for part in parts] == ["reproduced", "not reproduced", REPORTED, NO_RUN]


YES, NO, OPEN, LATER = (
    Part("", verdict, verdict, seeds=5) for verdict in ("reproduced", "not reproduced", "undecided", NO_RUN)
)
FEW = Part("", "undecided", "undecided (2 of 5 seeds)", seeds=2)


@pytest.mark.parametrize(
    ("parts", "verdict", "told"),
    [
        ([YES, YES], "reproduced", "reproduced"),
        ([YES, NO, OPEN], "not reproduced", "not reproduced (1 of 3 parts reproduced)"),
        ([NO], "not reproduced", "not reproduced"),
        ([YES, OPEN], "undecided", "undecided (1 of 2 parts reproduced)"),
        ([YES, FEW], "undecided", "undecided (2 of 5 seeds)"),
        ([YES, LATER], "undecided", "undecided (1 of 2 not run)"),
        ([LATER, LATER], NO_RUN, NO_RUN),
        ([], NO_RUN, NO_RUN),
        ([Part("", REPORTED, REPORTED)], REPORTED, REPORTED),
    ],
)
def test_a_claim_holds_where_all_its_parts_do(parts, verdict, told):
    assert whole(claim(), parts) == (verdict, told)
    assert whole(claim(testable="", untestable="no"), parts) == ("not testable here",) * 2


def test_the_comparisons_of_a_paper_are_one_family():
    barely = Part("x", "reproduced", "", p=0.04, seeds=5)
    sure = Part("y", "reproduced", "", p=0.0001, seeds=5)
    count = Part("z", "reproduced", "")
    found = verdicts.with_holm({"cfad": [(barely, sure), (count, barely)], "step": [(barely,)]})
    (first, second), (third, _) = found["cfad"]
    assert (first.holm, second.holm, third.holm) == ("undecided", "reproduced", "")
    assert found["step"][0][0].holm == "reproduced"  # alone in its family
    assert whole(claim(), [first, second], "holm")[0] == "undecided"
    assert whole(claim(), [first, second])[0] == "reproduced"
