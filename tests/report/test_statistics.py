"""Statistics against scipy.stats, which the module does not import, and against printed examples."""

from math import inf, isnan

import numpy as np
import pytest
from scipy import stats

from src.report import statistics as st

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 3, 5, 50])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_t_interval_is_scipys(n, level):
    x = RNG.normal(3, 2, n)
    ours, theirs = st.t_interval(x, level), stats.ttest_1samp(x, 0).confidence_interval(level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert (ours.value, ours.n) == (pytest.approx(x.mean()), n)


def test_one_value_has_no_interval_and_none_is_an_error():
    one = st.t_interval([0.5])
    assert one.value == 0.5
    assert isnan(one.low)
    assert isnan(one.high)
    with pytest.raises(ValueError, match="at least one"):
        st.t_interval([])


@pytest.mark.parametrize("n", [2, 3, 8])
def test_paired_t_is_scipys(n):
    a, b = RNG.normal(1, 1, n), RNG.normal(0, 1, n)
    ours, theirs = st.paired_t(a, b), stats.ttest_rel(a, b)
    assert ours.p == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval(0.95)
    assert (ours.difference.low, ours.difference.high) == pytest.approx((interval.low, interval.high))


def test_paired_t_without_spread():
    assert st.paired_t([1, 2], [1, 2]).p == 1
    assert st.paired_t([2, 3], [1, 2]).p == 0
    assert isnan(st.paired_t([2], [1]).p)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (8017, 10000), (64000, 64000)])
@pytest.mark.parametrize(("ours", "method"), [(st.wilson, "wilson"), (st.clopper_pearson, "exact")])
def test_intervals_of_an_accuracy_are_scipys(k, n, ours, method):
    theirs = stats.binomtest(k, n).proportion_ci(0.95, method=method)
    got = ours(k, n)
    assert (got.low, got.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (3, 3), (1, 9), (9, 1), (200, 260)])
def test_mcnemar_is_the_binomial_test(a, b):
    assert st.mcnemar(a, b) == pytest.approx(stats.binomtest(a, a + b).pvalue if a + b else 1)


def test_paired_accuracies_gives_newcombes_printed_example():
    """Newcombe (1998), Table II: both right 36 times, only the first 12, only the second 2, neither 0; method 10 gives 0.0569, 0.3404."""
    first = [True] * 36 + [True] * 12 + [False] * 2
    second = [True] * 36 + [False] * 12 + [True] * 2
    got = st.paired_accuracies(first, second)
    assert got.difference.value == pytest.approx(0.2)
    assert (got.difference.low, got.difference.high) == pytest.approx((0.0569, 0.3404), abs=6e-5)
    assert got.p == pytest.approx(stats.binomtest(12, 14).pvalue)


def test_paired_accuracies_covers_the_difference():
    """Two correlated classifiers of 80 and 70 %: the interval holds the true difference about 95 times in 100."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(400):
        easy = rng.random(300)
        first, second = easy + 0.3 * rng.random(300) < 0.95, easy + 0.3 * rng.random(300) < 0.85
        got = st.paired_accuracies(first, second).difference
        hits += got.low <= 0.1 <= got.high
    assert 0.92 <= hits / 400 <= 0.99


def test_paired_accuracies_needs_the_same_examples():
    with pytest.raises(ValueError, match="same examples, got 2 and 3"):
        st.paired_accuracies([True, False], [True, False, True])


def test_interaction_of_one_seed_is_scipys_permutation_test():
    effects, group = RNG.normal(size=(8, 1)), np.arange(8) < 2
    theirs = stats.permutation_test(
        (effects[group, 0], effects[~group, 0]),
        lambda a, b: abs(a.mean() - b.mean()),
        permutation_type="independent",
        alternative="greater",
        n_resamples=np.inf,
    )
    assert st.interaction(effects, group).p == pytest.approx(theirs.pvalue)


def test_interaction_finds_what_is_there_and_its_interval_is_over_seeds():
    effects = RNG.normal(0, 0.05, (8, 3))
    group = np.array([1, 1, 0, 0, 0, 0, 0, 0], bool)
    effects[group] -= 0.4
    got = st.interaction(effects, group)
    per_seed = effects[group].mean(0) - effects[~group].mean(0)
    assert got.difference == st.t_interval(per_seed)
    assert got.p <= 2 / 28**3


def test_interaction_without_one_has_uniform_p_values():
    rng, group = np.random.default_rng(2), np.arange(6) < 3
    p = [st.interaction(rng.normal(size=(6, 2)), group).p for _ in range(300)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_drawn_arrangements_agree_with_all_of_them(monkeypatch):
    effects, group = RNG.normal(size=(8, 3)), np.arange(8) < 2
    exact = st.interaction(effects, group).p
    monkeypatch.setattr(st, "EXACT_UP_TO", 20_000)
    assert st.interaction(effects, group).p == pytest.approx(exact, abs=0.015)


def test_interaction_needs_two_groups():
    with pytest.raises(ValueError, match="part of the 2 settings"):
        st.interaction(np.zeros((2, 3)), [True, True])


@pytest.mark.filterwarnings("ignore:The confidence interval is undefined")
@pytest.mark.parametrize("censored", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("n", [5, 40])
def test_kaplan_meier_is_scipys(n, censored):
    times = np.ceil(RNG.exponential(10, n))
    reached = RNG.random(n) >= censored
    reached[0] = True
    ours = st.kaplan_meier(times, reached)
    theirs = stats.ecdf(stats.CensoredData.right_censored(times, ~reached)).sf
    assert ours.share == pytest.approx(theirs.evaluate(ours.times))
    with np.errstate(all="ignore"):
        interval = theirs.confidence_interval(0.95, method="log-log")
    inner = (ours.share > 0) & (ours.share < 1)
    assert ours.low[inner] == pytest.approx(interval.low.evaluate(ours.times)[inner])
    assert ours.high[inner] == pytest.approx(interval.high.evaluate(ours.times)[inner])


def test_median_time_and_where_there_is_none():
    assert st.median_time([3, 1, 2, 5, 4], [True] * 5).value == 3
    censored = st.median_time([1, 10, 10, 10, 10], [True, False, False, False, False])
    assert (censored.value, censored.high) == (inf, inf)
    assert isnan(st.median_time([7], [True]).high)
    assert st.median_time([7, 7], [False, False]) == (inf, inf, inf, 2)


def test_median_times_interval_covers_it():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(300):
        times, ends = rng.exponential(1, 40), rng.uniform(0.5, 3, 40)
        got = st.median_time(np.minimum(times, ends), times <= ends)
        hits += got.low <= np.log(2) <= got.high
    assert hits / 300 >= 0.92
