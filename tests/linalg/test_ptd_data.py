"""The committed perturbations: stable, consistent, better than the published ones, and as data/README.md says."""

import re

import numpy as np
import pytest
from scipy.io import loadmat

from src.linalg.hippo import legs
from src.linalg.ptd import load_perturbation
from src.linalg.ptd.named import DATA

PUBLISHED = {8: (0.0983, 5.11), 16: (0.0506, 6.56), 32: (0.0379, 8.31), 64: (0.0341, 9.17), 128: (0.0323, 8.01)}
"""||E||_2 / ||A_H||_2 and cond(V) of the matrices published with arXiv 2310.01698."""


def _rows(pattern):
    """Returns the cells of README rows whose first cell matches, by n."""
    lines = (DATA / "README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if re.fullmatch(pattern, row[0])]


@pytest.mark.parametrize("n", PUBLISHED)
def test_the_matrices_are_stable_and_no_worse_than_the_published_ones(n):
    """Recomputed from E alone, as a user of E would."""
    E = loadmat(DATA / f"ptbHiPPO{n}.mat")["E"]
    A = legs(n)[0]
    assert E.dtype == np.float64
    Lambda, V = np.linalg.eig(A + E)
    size, cond = PUBLISHED[n]
    assert np.linalg.norm(E, 2) / np.linalg.norm(A, 2) <= size
    assert np.linalg.cond(V) <= (0.8 if n < 128 else 0.92) * cond
    assert Lambda.real.max() <= -0.5


@pytest.mark.parametrize("n", PUBLISHED)
def test_the_decomposition_is_consistent_to_rounding(n):
    content = loadmat(DATA / f"ptbHiPPO{n}.mat")
    E, Lam, V, Vinv = (content[key] for key in ("E", "Lam", "V", "Vinv"))
    M = legs(n)[0] + E
    assert np.array_equal(Lam, np.diag(np.diagonal(Lam)))
    assert np.linalg.norm(V @ Lam @ Vinv - M) <= 1e-13 * np.linalg.norm(M)
    assert np.abs(V @ Vinv - np.eye(n)).max() <= 1e-13
    np.testing.assert_allclose(np.linalg.norm(V, axis=0), 1.0, rtol=1e-12)
    found = load_perturbation(DATA / f"ptbHiPPO{n}.mat", n)
    assert found.has_pairs
    assert found.converged
    np.testing.assert_array_equal(found.Lambda, np.diagonal(Lam))
    np.testing.assert_array_equal(found.Lambda[::-1], found.Lambda.conj())


def test_the_readme_states_the_figures_of_the_files():
    rows = _rows(r"ptbHiPPO\d+\.mat")
    assert [row[0] for row in rows] == [f"ptbHiPPO{n}.mat" for n in PUBLISHED]
    for name, n, *figures, _seconds in rows:
        found = load_perturbation(DATA / name, int(n))
        exact = (found.size, found.size_frobenius, found.cond, found.max_real, found.iterations)
        for stated, value in zip(figures, exact, strict=True):
            decimals = len(stated.partition(".")[2])
            assert float(stated) == pytest.approx(value, abs=0.51 * 10.0**-decimals), (name, stated, value)


def test_the_readme_compares_with_the_published_figures():
    rows = _rows(r"\d+")
    assert [int(row[0]) for row in rows] == list(PUBLISHED)
    for n, size, published, _, ours, gain in rows:
        found = load_perturbation(DATA / f"ptbHiPPO{n}.mat")
        assert (float(size), float(published)) == PUBLISHED[int(n)]
        assert float(ours) == pytest.approx(found.cond, abs=0.0051)
        assert gain == f"{100 * (1 - found.cond / float(published)):.0f} %"
