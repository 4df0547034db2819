"""The committed perturbations: stable, consistent, better than the published ones, and as data/README.md says."""

import re
from functools import cache

import numpy as np
import pytest
from scipy.io import loadmat

from src.linalg.hippo import legs
from src.linalg.ptd import load_perturbation
from src.linalg.ptd.named import DATA
from src.linalg.ptd.spec import PUBLISHED_SIZES
from src.linalg.ptd.surface import PUBLISHED

ORDERS = tuple(PUBLISHED)
KINDS = ("", "_cond")

PROTOTYPE = {8: (3.52, 0.0253), 16: (5.81, 0.0054), 32: (6.73, 0.0024), 64: (7.06, 0.0095), 128: (7.37, 0.0060)}
"""cond(V) and d_worst that a first attempt with Adam reached at the published sizes."""


@cache  # its distances are computed once
def _load(n, kind=""):
    return load_perturbation(DATA / f"ptbHiPPO{n}{kind}.mat", n)


def _rows(pattern):
    """Returns the cells of README rows whose first cell matches."""
    lines = (DATA / "README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if re.fullmatch(pattern, row[0])]


def _assert_states(stated, value, where):
    decimals = len(stated.partition(".")[2])
    assert float(stated) == pytest.approx(value, abs=0.51 * 10.0**-decimals), (where, stated, value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", ORDERS)
def test_the_matrices_are_stable_and_better_conditioned_than_the_published_ones(n, kind):
    """Recomputed from E alone, as a user of E would."""
    E = loadmat(DATA / f"ptbHiPPO{n}{kind}.mat")["E"]
    A = legs(n)[0]
    assert E.dtype == np.float64
    Lambda, V = np.linalg.eig(A + E)
    assert np.linalg.norm(E, 2) / np.linalg.norm(A, 2) <= PUBLISHED_SIZES[n]
    assert np.linalg.cond(V) < PUBLISHED[n].cond
    assert Lambda.real.max() <= (-0.599 if kind else -0.6)


@pytest.mark.parametrize("n", ORDERS)
def test_the_default_matrices_stay_close_to_s4(n):
    """By the exact supremum, not the solver's grid; and d_e0 is zero, not small."""
    found = _load(n)
    cond, d_worst = PROTOTYPE[n]
    assert found.cond <= 1.02 * cond
    assert found.d_worst <= d_worst
    assert found.d_e0 == 0.0
    if PUBLISHED[n].max_real < 0:
        assert found.d_worst < 0.5 * PUBLISHED[n].d_worst
    assert found.d_worst < _load(n, "_cond").d_worst


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", ORDERS)
def test_the_decomposition_is_consistent_to_rounding(n, kind):
    content = loadmat(DATA / f"ptbHiPPO{n}{kind}.mat")
    E, Lam, V, Vinv = (content[key] for key in ("E", "Lam", "V", "Vinv"))
    M = legs(n)[0] + E
    assert np.array_equal(Lam, np.diag(np.diagonal(Lam)))
    assert np.linalg.norm(V @ Lam @ Vinv - M) <= 1e-13 * np.linalg.norm(M)
    assert np.abs(V @ Vinv - np.eye(n)).max() <= 1e-13
    np.testing.assert_allclose(np.linalg.norm(V, axis=0), 1.0, rtol=1e-12)
    found = _load(n, kind)
    assert found.converged
    assert np.count_nonzero(found.Lambda.imag == 0) == (0 if kind else 2)
    np.testing.assert_array_equal(found.Lambda, np.diagonal(Lam))
    upper = np.flatnonzero(found.Lambda.imag > 0)
    np.testing.assert_array_equal(found.Lambda[n - 1 - upper], found.Lambda[upper].conj())


def test_the_readme_states_the_figures_of_the_files():
    rows = _rows(r"ptbHiPPO\d+(_cond)?\.mat")
    assert [row[0] for row in rows] == [f"ptbHiPPO{n}{kind}.mat" for kind in KINDS for n in ORDERS]
    for name, n, *figures, _seconds in rows:
        found = _load(int(n), "_cond" if "_cond" in name else "")
        exact = (found.size, found.size_frobenius, found.cond, found.d_e0, found.d_worst, found.max_real)
        for stated, value in zip(figures, (*exact, found.iterations), strict=True):
            _assert_states(stated, value, name)


def test_the_readme_compares_with_the_published_figures():
    rows = _rows(r"\d+")
    assert [(int(row[0]), row[1]) for row in rows] == [(n, E) for n in ORDERS for E in ("published", "earlier", "new")]
    for n, kind, *stated in rows:
        n = int(n)
        if kind == "published":
            p = PUBLISHED[n]
            exact = (PUBLISHED_SIZES[n], p.cond, p.d_e0, p.d_worst, p.max_real)
        else:
            found = _load(n, "_cond" if kind == "earlier" else "")
            exact = (found.size, found.cond, found.d_e0, found.d_worst, found.max_real)
        for text, value in zip(stated, exact, strict=True):
            _assert_states(text, value, (n, kind))
