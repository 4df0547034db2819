"""What repeated runs say and how surely: intervals, paired comparisons, an interaction test, times that may be censored.

Quantiles come from `scipy.special` (importing `scipy.stats` takes a second; the tests compare with it). Intervals are two-sided.

References:
    Wilson, JASA 22 (1927) 209; Clopper and Pearson, Biometrika 26 (1934) 404: intervals of a proportion.
    McNemar, Psychometrika 12 (1947) 153: two classifiers on the same examples; here exact (binomial).
    Newcombe, Statistics in Medicine 17 (1998) 2635, method 10: interval of the difference of paired proportions.
    Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39: a permutation p-value is never zero.
    Kaplan and Meier, JASA 53 (1958) 457; Brookmeyer and Crowley, Biometrics 38 (1982) 29: survival, interval of its median.
"""

from collections.abc import Sequence
from itertools import combinations, product
from math import comb, inf, isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95
EXACT_UP_TO = 50_000  # arrangements that a permutation test lists one by one; above it draws that many


class Estimate(NamedTuple):
    """A value with its interval, from n observations; low and high are NaN where one observation cannot give them."""

    value: float
    low: float
    high: float
    n: int

    def scaled(self, factor: float) -> "Estimate":
        """The same in other units (percent: 100)."""
        return Estimate(factor * self.value, factor * self.low, factor * self.high, self.n)

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


class Comparison(NamedTuple):
    """The difference of two settings on what they share, with the p-value of "no difference"."""

    difference: Estimate
    p: float


def t_interval(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Mean of the values with Student's interval; infinite or NaN values make the mean so, without an interval.

    Raises ValueError where there is no value.
    """
    x = np.asarray(values, dtype=np.float64)
    if not x.size:
        raise ValueError("a mean needs at least one value")
    mean = float(x.mean())
    if x.size == 1 or not isfinite(mean):
        return Estimate(mean, nan, nan, x.size)
    half = float(special.stdtrit(x.size - 1, (1 + level) / 2) * x.std(ddof=1) / sqrt(x.size))
    return Estimate(mean, mean - half, mean + half, x.size)


def paired_t(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Comparison:
    """`first - second` where entry i of both shares what varies (the seed): Student's paired test.

    Equal differences leave no spread to judge by: p is then 1 (all zero) or 0.
    """
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    estimate = t_interval(differences, level)
    if estimate.n == 1:
        return Comparison(estimate, nan)
    spread = differences.std(ddof=1) / sqrt(estimate.n)
    if spread == 0:
        return Comparison(estimate, 1.0 if estimate.value == 0 else 0.0)
    return Comparison(estimate, float(2 * special.stdtr(estimate.n - 1, -abs(estimate.value) / spread)))


def wilson(successes: int, n: int, level: float = LEVEL) -> Estimate:
    """An accuracy on n examples with Wilson's score interval: good coverage also near 0 and 1."""
    z = float(special.ndtri((1 + level) / 2))
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    return Estimate(p, low, 1.0 if successes == n else centre + half, n)


def clopper_pearson(successes: int, n: int, level: float = LEVEL) -> Estimate:
    """An accuracy on n examples with the exact interval: covers at least as often as it says."""
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(special.betaincinv(successes + 1, n - successes, 1 - tail))
    return Estimate(successes / n, low, high, n)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact p-value of "both are right equally often", from the examples that only one of the two has right."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * float(special.bdtr(fewer, n, 0.5))) if n else 1.0


def paired_accuracies(first: Sequence[bool], second: Sequence[bool], level: float = LEVEL) -> Comparison:
    """Accuracy of the first minus that of the second on the same examples: Newcombe's interval, McNemar's p.

    Args:
        first, second: was example i right, each (examples,).

    Raises ValueError where the two saw different numbers of examples, or none.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"pairs need the same examples, got {a.size} and {b.size}")
    both, only_a, only_b = int((a & b).sum()), int((a & ~b).sum()), int((b & ~a).sum())
    neither = a.size - both - only_a - only_b
    low, high = _newcombe(both, only_a, only_b, neither, level)
    return Comparison(Estimate((only_a - only_b) / a.size, low, high, a.size), mcnemar(only_a, only_b))


def _newcombe(both: int, only_a: int, only_b: int, neither: int, level: float) -> tuple[float, float]:
    n = both + only_a + only_b + neither
    a, b = wilson(both + only_a, n, level), wilson(both + only_b, n, level)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    excess = both * neither - only_a * only_b
    corrected = max(excess - n / 2, 0) if excess > 0 else excess  # continuity correction of a positive correlation
    phi = corrected / sqrt(margins) if margins else 0.0
    below = _correlated(a.value - a.low, b.high - b.value, phi)
    above = _correlated(a.high - a.value, b.value - b.low, phi)
    return a.value - b.value - below, a.value - b.value + above


def _correlated(x: float, y: float, phi: float) -> float:
    return sqrt(max(x * x - 2 * phi * x * y + y * y, 0.0))


def interaction(effects: np.ndarray, group: Sequence[bool], level: float = LEVEL, seed: int = 0) -> Comparison:
    """How much an effect differs between two groups of settings: mean inside `group` minus mean outside.

    The interval is Student's over the seeds (each seed gives one such difference). The p-value is a permutation test's: were the
    effect the same everywhere, then within a seed any settings could have been the group. All arrangements are listed where they are
    at most `EXACT_UP_TO`, else so many are drawn and the observed one is counted among them.

    Args:
        effects: the effect (say complex minus real) of each setting and seed, (settings, seeds).
        group: which settings are the group, (settings,); both sides need at least one.
    """
    effects, inside = np.asarray(effects, dtype=np.float64), np.asarray(group, dtype=bool)
    settings, seeds = effects.shape
    size = int(inside.sum())
    if not 0 < size < settings:
        raise ValueError(f"the group must be a part of the {settings} settings, got {size}")
    observed = effects[inside].mean(0) - effects[~inside].mean(0)
    members = np.array(list(combinations(range(settings), size)))
    sums = effects[members].sum(1)  # (arrangements of one seed, seeds)
    contrasts = sums / size - (effects.sum(0) - sums) / (settings - size)
    if comb(settings, size) ** seeds <= EXACT_UP_TO:
        totals = np.array([sum(parts) for parts in product(*contrasts.T)])
    else:
        rows = np.random.default_rng(seed).integers(len(contrasts), size=(EXACT_UP_TO, seeds))
        totals = np.append(contrasts[rows, np.arange(seeds)].sum(1), observed.sum())
    slack = 1e-12 * max(1.0, float(np.abs(totals).max()))  # equal sums in another order must count as equal
    p = float(np.mean(np.abs(totals) >= abs(observed.sum()) - slack))
    return Comparison(t_interval(observed, level), p)


class Survival(NamedTuple):
    """Kaplan-Meier: at each distinct event time the share that has not had the event yet, with its pointwise interval, each (times,)."""

    times: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def kaplan_meier(times: Sequence[float], reached: Sequence[bool], level: float = LEVEL) -> Survival:
    """The share that is still waiting over time.

    Args:
        times: when the event came, or (where `reached` is false) until when there was none, (runs,).

    The interval is the log-log one; at share 1 or 0 it is the point itself.
    """
    times, reached = np.asarray(times, dtype=np.float64), np.asarray(reached, dtype=bool)
    at = np.unique(times[reached])
    events = np.array([int((reached & (times == t)).sum()) for t in at])
    at_risk = np.array([int((times >= t).sum()) for t in at])
    share = np.cumprod(1 - events / at_risk) if at.size else np.empty(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        spread = special.ndtri((1 + level) / 2) * np.sqrt(greenwood) / np.log(share)
        low, high = share ** np.exp(-spread), share ** np.exp(spread)
    certain = (share == 1) | (share == 0)
    return Survival(at, share, np.where(certain, share, low), np.where(certain, share, high))


def median_time(times: Sequence[float], reached: Sequence[bool], level: float = LEVEL) -> Estimate:
    """Median time to the event with Brookmeyer and Crowley's interval; infinite where the data end before it."""
    curve, n = kaplan_meier(times, reached, level), len(np.asarray(times))

    def first(values: np.ndarray) -> float:
        below = np.flatnonzero(values <= 0.5 + 1e-12)
        return float(curve.times[below[0]]) if below.size else inf

    if n == 1:
        return Estimate(first(curve.share), nan, nan, 1)
    return Estimate(first(curve.share), first(curve.low), first(curve.high), n)
