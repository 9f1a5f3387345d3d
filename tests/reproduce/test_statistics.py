"""Statistics: against what scipy computes otherwise, and against simulation and permutation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from stad_lite.errors import FormatError
from stad_lite.reproduce import statistics
from stad_lite.reproduce.statistics import Judgement, bootstrap, holm, interval, judge, smallest_seen


def by_seed(values):
    return dict(enumerate(values))


def test_the_interval_is_the_paired_t_test():
    random = np.random.default_rng(0)
    first, second = random.normal(1, 1, 9), random.normal(0, 1, 9)
    test = stats.ttest_rel(first, second)
    low, high = test.confidence_interval(0.95)
    found = judge(by_seed(first), by_seed(second))
    np.testing.assert_allclose([found.low, found.high, found.p], [low, high, test.pvalue])
    np.testing.assert_allclose(interval(first)[0], first.mean())


FAR = [5.0, 6.0, 7.0, 5.5, 6.5]
NEAR = [1.0, 2.1, 3.0, 1.4, 2.4]


@pytest.mark.parametrize(
    ("first", "second", "verdict", "told"),
    [
        (FAR, NEAR, "reproduced", "reproduced"),
        (NEAR, FAR, "not reproduced", "not reproduced"),
        ([5.0, 1.0, 5.0, 1.0, 3.0], [1.0, 5.0, 1.0, 5.0, 3.0], "undecided", "undecided"),
        (FAR[:4], NEAR[:4], "undecided", "undecided (4 of 5 seeds)"),
        (FAR[:3], NEAR[:3], "undecided", "undecided (3 of 5 seeds)"),
        (FAR[:1], NEAR[:1], "undecided", "undecided (1 of 5 seeds)"),
        ([1.0] * 5, [1.0] * 5, "undecided", "undecided"),
        ([2.0] * 5, [1.0] * 5, "reproduced", "reproduced"),
    ],
)
def test_verdicts(first, second, verdict, told):
    found = judge(by_seed(first), by_seed(second))
    assert (found.verdict, found.told) == (verdict, told) and str(found).endswith(f": {told}")


def test_a_verdict_and_its_p_say_the_same():
    random = np.random.default_rng(1)
    seen = set()
    for shift in np.linspace(-3, 3, 40):
        for by in ("t", "bootstrap"):
            found = judge(by_seed(random.normal(shift, 1, 6)), by_seed([0.0] * 6), by)
            assert (found.p < 0.05) == (found.verdict != "undecided") or by == "bootstrap"
            assert found.p >= 0.05 or found.verdict == ("reproduced" if found.mean > 0 else "not reproduced")
            seen.add((by, found.verdict))
    assert len(seen) == 6


def test_only_shared_seeds_are_paired_and_odd_input_is_refused():
    assert judge({0: 2.0, 1: 3.0, 5: 99.0}, {0: 1.0, 1: 2.0, 9: 0.0}).seeds == 2
    with pytest.raises(FormatError, match="no seed in common"):
        judge({0: 1.0}, {1: 1.0})
    with pytest.raises(FormatError, match="choose from t, bootstrap"):
        judge({0: 1.0}, {0: 1.0}, by="guess")
    with pytest.raises(FormatError, match="not finite"):
        interval([1.0, math.nan])
    with pytest.raises(FormatError, match="no values"):
        bootstrap([])


def test_one_value_has_no_interval():
    for mean, low, high in (interval([2.0]), bootstrap([2.0])):
        assert (mean, low, high) == (2.0, -math.inf, math.inf)
    assert judge({0: 5.0}, {0: 1.0}) == Judgement(4.0, -math.inf, math.inf, 1, "undecided", 1.0, math.inf)


def test_the_bootstrap_is_that_over_all_resamples():
    values = [0.3, 1.7, 2.2, 4.1]
    means = [sum(drawn) / 4 for drawn in itertools.product(values, repeat=4)]
    _, low, high = bootstrap(values, draws=200_000)
    np.testing.assert_allclose([low, high], np.quantile(means, [0.025, 0.975]), atol=0.06)
    assert bootstrap(values) == bootstrap(values)


def test_how_often_intervals_hold_the_mean():
    """What the docstring says of five normal values, by simulation."""
    random = np.random.default_rng(2)
    sweeps = random.normal(3, 2, (1000, 5))
    held = [sum(low < 3 < high for _, low, high in map(kind, sweeps)) / 1000 for kind in (interval, narrow)]
    np.testing.assert_allclose(held, [0.95, 0.84], atol=0.025)


def narrow(values):
    return bootstrap(values, draws=400)


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_the_smallest_difference_is_found_in_four_of_five_sweeps(count):
    """Simulated sweeps whose true mean is the smallest difference that was told for their true spread."""
    random = np.random.default_rng(count)
    unit = np.array([-1.0, 1.0] * (count // 2) + [0.0] * (count % 2))
    told = smallest_seen(unit / unit.std(ddof=1))
    found = stats.ttest_1samp(random.normal(told, 1, (40_000, count)), 0, axis=1).pvalue < 0.05
    assert abs(found.mean() - 0.8) < 0.01
    assert smallest_seen(3 * unit + 7) == pytest.approx(3 * unit.std(ddof=1) * told)


@pytest.mark.parametrize(("count", "power"), [(5, 0.8), (5, 0.5), (20, 0.9)])
def test_the_smallest_difference_is_that_of_the_noncentral_t(count, power):
    values = np.random.default_rng(6).normal(0, 3, count)
    shift = smallest_seen(values, power) / (values.std(ddof=1) / count**0.5)
    assert stats.nct.sf(stats.t.ppf(0.975, count - 1), count - 1, shift) == pytest.approx(power, abs=1e-3)


def test_one_seed_shows_nothing_and_equal_differences_everything():
    assert smallest_seen([4.0]) == math.inf and smallest_seen([4.0] * 5) == 0


def closed(ps, level):
    """Holm's verdicts by the closure: a hypothesis falls where every set with it has a p small enough."""
    numbers = range(len(ps))
    sets = [set(one) for size in numbers for one in itertools.combinations(numbers, size + 1)]
    return [all(min(ps[i] for i in one) <= level / len(one) for one in sets if at in one) for at in numbers]


def test_holm_is_the_closed_test_of_all_families():
    random = np.random.default_rng(3)
    for _ in range(200):
        ps = (random.random(5) ** 4).tolist()
        family = [Judgement(1, 0, 2, 5, "reproduced", p) for p in ps]
        assert [one == "reproduced" for one in holm(family)] == closed(ps, 0.05)


def test_holm_errs_once_in_twenty_families_where_single_tests_err_often():
    random = np.random.default_rng(4)
    alone = together = 0
    for _ in range(400):
        family = [judge(by_seed(random.normal(0, 1, 5)), by_seed([0.0] * 5)) for _ in range(6)]
        alone += any(one.verdict != "undecided" for one in family)
        together += any(verdict != "undecided" for verdict in holm(family))
    assert together / 400 < 0.09 < 0.18 < alone / 400


def test_what_was_not_tested_does_not_count_in_a_family():
    close = Judgement(2, 0.1, 4, 5, "reproduced", 0.04)
    few = Judgement(2, 0.1, 4, 3, "undecided", 0.001)
    never = Judgement(math.nan, math.nan, math.nan, 0, statistics.NOT_TESTABLE)
    assert holm([few, close, never]) == ["undecided", "reproduced", "not testable here"]
    assert holm([close, close]) == ["undecided", "undecided"] and holm([]) == []


def test_the_sign_test_over_all_permutations_agrees_on_ten_seeds():
    """The p of the t-test against all 1024 flips of the differences' signs."""
    differences = np.random.default_rng(5).normal(0.8, 1, 10)
    flips = np.array(list(itertools.product((-1, 1), repeat=10)))
    exact = (abs((flips * differences).mean(1)) >= abs(differences.mean()) - 1e-12).mean()
    assert judge(by_seed(differences), by_seed([0.0] * 10)).p == pytest.approx(exact, abs=0.02)
