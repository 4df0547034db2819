"""P2's lower bounds: the printed values, the bounds as theorems on real SSMs, and the lemmas that they rest on."""

import math
from fractions import Fraction

import numpy as np
import pytest

from src.theory import bounds, few_states
from src.theory.solutions import proposition1
from src.theory.targets import raw_target

CONDITIONS = {"delay": range(9, 66), "oscillation": range(3, 66)}
COROLLARY = {"delay": bounds.corollary1, "oscillation": bounds.corollary3}


def response(w, a, t: int) -> list:
    """Response sum_j w_j a_j^k of a real SSM for k < t, in the arithmetic of its arguments."""
    return [sum(wj * aj**k for wj, aj in zip(w, a, strict=True)) for k in range(t)]


def slow_theorem2(phi, eps) -> Fraction:
    """Theorem 2 term by term from the binomial sum, in fractions."""
    best, eps = Fraction(0), Fraction(eps)
    for sigma in (0, 1):
        entries = [Fraction(x) for x in phi[sigma::2]]
        for d in range(1, len(entries)):
            for m in range(len(entries) - d):
                difference = sum((-1) ** (d - k) * math.comb(d, k) * entries[m + k] for k in range(d + 1))
                best = max(best, Fraction(2) ** (d + 2 * min(d, m)) * (abs(difference) / 2**d - eps))
    return best


@pytest.mark.parametrize(
    ("corollary", "t", "value", "digits"),
    [
        (bounds.corollary1, 32, 362, 0.001),
        (bounds.corollary1, 64, 1.7e7, 0.02),
        (bounds.corollary2, 32, 1.0e3, 0.03),
        (bounds.corollary3, 32, 1.05e6, 0.01),
        (bounds.corollary3, 64, 1.8e13, 0.03),
    ],
)
def test_corollaries_have_the_values_derived_from_the_paper(corollary, t, value, digits):
    assert corollary(t).bound == pytest.approx(value, rel=digits)


@pytest.mark.parametrize("t", [1, 2, 3, 4, 5, 16, 17])
@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.3])
def test_theorem2_equals_the_binomial_sum(t, eps):
    phi = np.random.default_rng(t).normal(size=t)
    assert bounds.theorem2(phi, eps) == pytest.approx(float(slow_theorem2(phi.tolist(), eps)), rel=1e-15)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
def test_theorem2_survives_cancellation(decay):
    """High differences of a slow decay are tiny; one state of weight 1 gives it, so no bound is above 1."""
    phi = decay ** np.arange(64)
    assert bounds.theorem2(phi, 0.0) == pytest.approx(float(slow_theorem2(phi.tolist(), 0.0)), rel=1e-15)
    assert bounds.theorem2(phi, 64 * 2.0**-53) <= 1.0


def test_theorem2_is_tight():
    """One state with a^2 = 1/2 reaches Lemma 6 with equality at d = m, so the bound is its own weight."""
    phi = np.zeros(17)
    phi[0::2] = 3 * 0.5 ** np.arange(9)
    phi[1::2] = 3 * 0.5 ** (np.arange(8) + 0.5)
    assert bounds.theorem2(phi, 0.0) == pytest.approx(3.0, rel=1e-14)


def test_index_m_counts_from_zero():
    """The state a = 0 answers (1, 0, 0, ...) with weight 1. Theorem 2 as printed, m >= 1 for entries counted from 1, demands 4."""
    phi = [1, *[0] * 7]
    assert response([1], [0], 8) == phi
    odd = [0, *phi[0::2]]  # counted from 1
    as_printed = [
        Fraction(2) ** (d + 2 * min(d, m))
        * Fraction(abs(sum((-1) ** i * math.comb(d, i) * odd[m + i] for i in range(d + 1))), 2**d)
        for d in range(1, 4)
        for m in range(1, 5 - d)
    ]
    assert max(as_printed) == 4
    assert bounds.theorem2(np.array(phi, dtype=float), 0.0) == 1.0


@pytest.mark.parametrize("task", ["delay", "oscillation"])
def test_theorem2_implies_corollaries_1_and_3(task):
    for t in CONDITIONS[task]:
        corollary = COROLLARY[task](t)
        assert bounds.theorem2(raw_target(task, t), corollary.eps) >= corollary.bound, t


@pytest.mark.parametrize(("t", "p"), [(8, 0.5), (9, 0.5), (16, 0.2), (33, 0.5)])
def test_theorem2_implies_corollary_2_for_a_share_of_draws(t, p):
    corollary = bounds.corollary2(t, p=p)
    holds = [bounds.theorem2(raw_target("random", t, seed), corollary.eps) >= corollary.bound for seed in range(100)]
    assert np.mean(holds) >= 1 - p


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_bounds_scale_with_phi(factor):
    phi, corollary = raw_target("random", 32, 0), bounds.corollary2(32, a=1.0)
    assert bounds.theorem2(factor * phi, factor * 0.01) == pytest.approx(factor * bounds.theorem2(phi, 0.01), rel=1e-12)
    assert corollary.scaled(factor) == pytest.approx(bounds.corollary2(32, a=factor))


@pytest.mark.parametrize("seed", range(12))
def test_every_real_ssm_obeys_theorem2(seed):
    """Random real SSMs against targets that they approximate (their own response, rounded and disturbed), exactly."""
    rng = np.random.default_rng(seed)
    n, t = int(rng.integers(1, 6)), int(rng.integers(5, 40))
    a = [Fraction(x) for x in rng.uniform(-1, 1, n)]
    w = [Fraction(x) for x in rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n)]
    K = response(w, a, t)
    for disturbance in (0.0, 1e-9, 1e-2):
        phi = np.array([float(x) for x in K]) + disturbance * rng.normal(size=t)
        eps = sum(abs(Fraction(p) - k) for p, k in zip(phi.tolist(), K, strict=True))
        bound = slow_theorem2(phi.tolist(), eps)
        assert bound <= n * max(map(abs, w))
        assert bounds.theorem2(phi, float(eps) * (1 + 1e-12)) <= n * float(max(map(abs, w)))


def test_theorem2_notices_weights_that_are_too_small():
    """The previous test can fail: a response with half the weights of a tight example violates the bound."""
    phi = np.zeros(16)
    phi[0::2] = 0.5 ** np.arange(8)
    assert bounds.theorem2(phi, 0.0) > 0.5


def test_fast_oscillation_is_harmless():
    """P2's counter-example: (+1, -1, +1, ...) oscillates, yet one state near a = -1 reaches it: no bound above 1."""
    phi = (-1.0) ** np.arange(64)
    assert bounds.theorem2(phi, 0.01) <= 1.0
    assert bounds.least_states(phi, 0.01) == 1
    assert bounds.theorem2(raw_target("oscillation", 64), 0.01) > 1e13


def test_zero_eps_loss_and_degenerate_lengths():
    assert bounds.theorem2(np.ones(1), 0.0) == 0.0
    assert bounds.theorem2(np.array([1.0, -1.0]), 0.0) == 0.0
    assert bounds.theorem2(raw_target("random", 32, 0), 1e6) == 0.0
    assert bounds.theorem2(1e300 * raw_target("oscillation", 64), 0.0) == math.inf
    with pytest.raises(ValueError, match="finite"):
        bounds.theorem2(np.array([1.0, math.nan]), 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_lemma4_sign_changes_of_real_responses(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    w, a = ([Fraction(x) for x in draw] for draw in (rng.normal(size=n), rng.uniform(-1, 1, n)))
    K = response(w, a, 60)
    for sigma in (0, 1):
        assert bounds.sign_changes(np.array([(k > 0) - (k < 0) for k in K[sigma::2]])) <= n - 1


def test_lemma4_is_reached():
    """Three states with weights of alternating sign and well separated a: two sign changes."""
    K = response([1.0, -8.0, 16.0], [0.95, 0.7, 0.3], 61)
    assert bounds.sign_changes(np.array(K[0::2])) == 2


@pytest.mark.parametrize("phi", [[3, -1, 3, -1, 3], [1, 0, -2, 0.5, -1], [0, 0, 0]])
def test_least_states_against_enumeration(phi):
    """Every assignment of signs to the entries, with its price: the fewest changes affordable within eps."""
    signs = np.array(np.meshgrid(*[[1, -1]] * len(phi))).reshape(len(phi), -1).T
    price = np.maximum(0, -signs * np.array(phi)).sum(axis=1)
    changes = (signs[:, 1:] != signs[:, :-1]).sum(axis=1)
    sequence = np.zeros(2 * len(phi))
    sequence[0::2] = phi
    for eps in (0.0, 0.4, 0.5, 1.0, 1.9, 2.0, 3.0):
        expected = 0 if np.abs(phi).sum() <= eps else changes[price <= eps].min() + 1
        assert bounds.least_states(sequence, eps) == expected


@pytest.mark.parametrize("t", [45, 100, 333, 900])
def test_theorem1_follows_from_lemma4(t):
    """The sign changes of odd or even entries alone prove the corrected bound, from the smallest angle to pi / 2 and at every phase."""
    for angle in (few_states.SMALLEST_ANGLE, 0.36, 0.8, 1.04, 1.06, 1.4, math.pi / 2 - 1e-3, math.pi / 2, 2.5):
        for phase in np.linspace(0, math.pi, 7):
            phi = 0.5 ** (np.arange(t) / t) * np.cos(angle * np.arange(t) + phase)
            for eps in (0.0, 0.5, 2.0):
                assert bounds.least_states(phi, eps) >= math.floor(bounds.theorem1(t, eps))


def test_theorem1_as_printed_has_a_counter_example():
    """298 real states come within 0.0312 of one complex state over 2,700 entries; P2 prints that they cannot."""
    t, n = 2700, 298
    K, phi = few_states.few_states(t, n)
    eps = float(np.abs(K - phi).sum())
    assert eps == pytest.approx(0.031, abs=5e-4)
    assert bounds.theorem1_as_printed(t, eps) > n > bounds.least_states(phi, eps) >= bounds.theorem1(t, eps)


def test_the_counter_example_is_what_it_says():
    """phi is one complex state as Theorem 1 wants it; K, at a size where weights can be computed, is an SSM with poles rho e^(-j delta)."""
    _, phi = few_states.few_states(2700, 298)
    A = 0.5 ** (1 / 2700) * np.exp(1j * few_states.SMALLEST_ANGLE)
    assert min(np.abs(np.exp(1j * psi) * A ** np.arange(2700)).min() for psi in (0.0, 1.0)) >= 0.5
    start = [phi[0], (phi[1] - phi[0] * A.real) / -A.imag]  # w with Re(w A^k) = phi_k at k = 0, 1
    w = complex(*start)
    np.testing.assert_allclose((w * A ** np.arange(2700)).real, phi, atol=1e-9)
    assert abs(w) == pytest.approx(1.0, rel=1e-9)
    t, n = 12, 5
    K, _ = few_states.few_states(t, n)
    delta = few_states.SPREAD / (t - 1)
    poles = np.array([Fraction(0.5 ** (1 / t) * math.exp(-j * delta)) for j in range(n)], dtype=object)
    weights = proposition1(poles, np.array([Fraction(x) for x in K[:n].tolist()], dtype=object))
    answer = response(weights, poles, t)
    assert (
        max(abs(float(a) - b) for a, b in zip(answer, K, strict=True)) < 1e-4
    )  # K is rounded, and the weights are 1e30


def test_enough_states_tend_to_half_the_angle_times_t():
    found = [few_states.enough_states(t, 0.03) / t for t in (300, 900, 2700)]
    assert sorted(found, reverse=True) == found
    assert few_states.SMALLEST_ANGLE / 2 < found[-1] < 1 / 9


def test_theorem1_is_never_negative():
    assert bounds.theorem1(90, 0.25) == 3.0
    assert bounds.theorem1_as_printed(90, 0.25) == 8.0
    assert bounds.theorem1(8, 0.0) == 0.0


def lemma6(d: int, m: int) -> tuple[float, float]:
    """P2, Lemma 6: bounds (tight, simple) on |d-th forward difference of (1, a, a^2, ...) at m >= 0| for a in [0, 1].

    tight = (d / (d + m))^d (m / (d + m))^m, reached at a = m / (d + m);  simple = 2^(-2 min(d, m)).
    """
    total = max(d + m, 1)
    return (d / total) ** d * (m / total) ** m, 2.0 ** (-2 * min(d, m))


@pytest.mark.parametrize("d", [0, 1, 2, 5, 30])
@pytest.mark.parametrize("m", [0, 1, 3, 30])
def test_lemma6_bounds_every_difference_and_is_reached(d, m):
    tight, simple = lemma6(d, m)
    a = np.append(np.linspace(0, 1, 1001), m / max(d + m, 1))
    difference = a**m * (1 - a) ** d
    assert difference.max() <= tight * (1 + 1e-12)
    assert difference[-1] == pytest.approx(tight, rel=1e-12)
    assert tight <= simple


def test_lemma6_is_about_forward_differences():
    powers = 0.7 ** np.arange(20)
    for d in range(1, 8):
        np.testing.assert_allclose(np.abs(np.diff(powers, d)), 0.7 ** np.arange(20 - d) * 0.3**d, rtol=1e-7)


@pytest.mark.parametrize("task", ["delay", "oscillation", "random"])
def test_proposition4_on_a_real_descent(task):
    """Gradient descent on B and C of a real SSM with steps of 1 / curvature grows as the proposition says, or less."""
    rng = np.random.default_rng(0)
    t, n, steps = 32, 16, 300
    phi, V = raw_target(task, t, 0), rng.uniform(-1, 1, n)[None, :] ** np.arange(t)[:, None]
    B, C = rng.normal(size=n) * 0.1, rng.normal(size=n) * 0.1
    loss0, start = np.sum((V @ (B * C) - phi) ** 2), max(np.abs(B).max(), np.abs(C).max())
    c1, c2 = 0.0, 1.0
    for _ in range(steps):
        error = V @ (B * C) - phi
        J = np.concatenate([V * C, V * B], axis=1)
        eta = 0.5 / np.linalg.norm(J, 2) ** 2
        c1, c2 = max(c1, (eta * max(np.abs(B).max(), np.abs(C).max())) ** 2), max(c2, np.sum(error**2) / loss0)
        gradient = 2 * J.T @ error
        B, C = B - eta * gradient[:n], C - eta * gradient[n:]
    assert max(np.abs(B).max(), np.abs(C).max()) - start <= bounds.proposition4(steps, t, loss0, c1, c2)
    assert bounds.proposition4(2 * steps, t, loss0, c1, c2) == 2 * bounds.proposition4(steps, t, loss0, c1, c2)


def test_proposition5_against_random_quantisation_of_A_B_and_C():
    """Definition 2: every entry of A, B and C is drawn from an interval of relative width q of its own."""
    rng = np.random.default_rng(0)
    A, B, C = np.array([0.9, 0.88, -0.5]), np.array([4.0, -8.2, 1.0]), np.array([10.0, 5.0, 2.0])
    K = np.power.outer(A, np.arange(16)).T @ (B * C)
    for q, eps in ((0.05, 0.2), (0.5, 2.0)):
        a, b, c = (x * (1 + q * rng.uniform(-0.5, 0.5, (20_000, 3))) for x in (A, B, C))
        quantised = sum((b * c)[:, j, None] * a[:, j, None] ** np.arange(16) for j in range(3))
        within = (np.abs(quantised - K).sum(axis=1) <= eps).mean()
        first_entry = (np.abs((b * c - B * C).sum(axis=1)) <= eps).mean()
        bound = bounds.proposition5(eps, q, 41.0)
        assert within <= first_entry <= bound + 3 * np.sqrt(bound / 20_000)
        assert first_entry > bound / 3
    assert bounds.proposition5(1e9, q, 41.0) == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: bounds.corollary1(8),
        lambda: bounds.corollary2(7),
        lambda: bounds.corollary2(8, p=1.0),
        lambda: bounds.proposition5(0.1, 0.0, 1.0),
    ],
)
def test_statements_refuse_what_they_do_not_cover(call):
    with pytest.raises(ValueError, match="needs"):
        call()
