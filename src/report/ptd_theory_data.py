"""The numbers behind the pictures of P1's theory (P1 = arXiv 2310.01698): each function returns one `Table`, the picture's CSV."""

from pathlib import Path
from typing import Literal

import numpy as np

from ..linalg.distance import l2_distance, normalised, resolvent_bound, sup_distance, theorem3_bound
from ..linalg.hippo import legs
from ..linalg.legs_transfer import g_diag_from_dplr, g_dplr, last_spike, pole_frequencies
from ..linalg.ptd import Perturbation, load_perturbation, random_perturbation, rank1, solve_cached
from ..linalg.ptd.frontier import frontier
from ..linalg.ptd.named import DATA
from ..linalg.ptd.spec import PUBLISHED_SIZES, Spec
from ..linalg.transfer import System, diag_system, dplr_system, ptd_system, transfer_function
from ..linalg.worst_output import legs_state, perturbed_state, worst_distance
from ..tables import Table

ZOOM_ORDERS = (16, 64, 256, 1024)  # of the last spike in closed form, no perturbation needed
GAP_ORDERS = (4, 8, 16, 32, 64, 128)
DECAY = 1.5  # of the input exp(-1.5 t) of Theorem 1
COND_ORDERS = (8, 16, 32, 64)
COND_SIZES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
RANDOM_DRAWS = 25
GAIN_ORDER, GAIN_SIZES = 32, (0.5, 0.1, 0.03, 0.01, 0.003)
GAIN_KINDS = ("optimised", "cond", "random")
STATE_ORDERS = (16, 32, 64)
SCALES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of E, in the comparison with the bounds


def committed(objective: Literal["distance", "cond"] = "distance") -> dict[int, Perturbation]:
    """Returns the perturbations in data/ that were solved for one objective, by n."""
    suffix = "_cond" if objective == "cond" else ""
    paths = {n: Path(DATA) / f"ptbHiPPO{n}{suffix}.mat" for n in PUBLISHED_SIZES}
    return {n: load_perturbation(path, n) for n, path in paths.items()}


def grid(n: int) -> np.ndarray:
    """Returns frequencies from 1/2 to six times the last spike: logarithmic, and dense around every spike."""
    w = np.geomspace(0.5, 6 * last_spike(n), 500)
    near = np.sinh(np.linspace(-3.5, 3.5, 31))[None, :] * 0.5 + pole_frequencies(n)[:, None]
    return np.unique(np.concatenate([w, near[near > 0.5], pole_frequencies(n)]))


def transfer(found: dict[int, Perturbation]) -> Table:
    """|G(iw)| of S4D, S4 and S4-PTD for C = e_0, at every n of `found`."""
    rows = []
    for n, perturbation in found.items():
        w = grid(n)
        G = g_dplr(n, 1j * w)
        ptd = transfer_function(ptd_system(n, perturbation.E))(1j * w)
        values = zip(w, np.abs(g_diag_from_dplr(n, 1j * w, G)), np.abs(G), np.abs(ptd), strict=True)
        rows += [[n, *map(_short, row)] for row in values]
    return Table(["n", "omega", "G_Diag", "G_DPLR", "G_PTD"], rows)


def zoom() -> Table:
    """|G_Diag(iw)| around the last spike, against w - w_last: equal height and width at every n (Theorem 2)."""
    rows = []
    for n in ZOOM_ORDERS:
        offset = np.linspace(-11, 11, 221)
        s = 1j * (last_spike(n) + offset)
        G = g_dplr(n, s)
        values = zip(offset, np.abs(g_diag_from_dplr(n, s, G)), np.abs(G), strict=True)
        rows += [[n, last_spike(n), *map(_short, row)] for row in values]
    return Table(["n", "last_spike", "offset", "G_Diag", "G_DPLR"], rows)


def spikes(found: dict[int, Perturbation]) -> Table:
    """Each spike with the height of the three transfer functions there, C = e_0."""
    rows = []
    for n, perturbation in found.items():
        ptd = transfer_function(ptd_system(n, perturbation.E))
        for m, w in enumerate(pole_frequencies(n)):
            s = np.array([1j * w])
            G = g_dplr(n, s)
            heights = (g_diag_from_dplr(n, s, G), G, ptd(s))
            rows.append([n, m, float(w), n**2 / ((2 * m + 1) * np.pi), *(float(abs(h[0])) for h in heights)])
    return Table(["n", "m", "omega", "n^2/((2m+1)pi)", "G_Diag", "G_DPLR", "G_PTD"], rows)


def gaps(found: dict[int, Perturbation]) -> Table:
    """L2 distances of the responses from S4's, C = e_0: exp(-1.5 t) (Theorem 1) and the unit impulse (Theorem 2)."""
    rows = []
    for n in GAP_ORDERS:
        S4 = dplr_system(n)
        row = [n, l2_distance(S4, diag_system(n), DECAY), l2_distance(S4, diag_system(n))]
        if n in found:
            PTD = ptd_system(n, found[n].E)
            row += [l2_distance(S4, PTD, DECAY), l2_distance(S4, PTD)]
        rows.append([*row, *[None] * (5 - len(row))])
    return Table(["n", "Diag, decaying", "Diag, impulse", "PTD, decaying", "PTD, impulse"], rows)


def conditioning() -> Table:
    """cond(V) against ||E||_2 / ||A_H||_2 for solved E and for random ones (median and quartiles of 25 draws)."""
    rows = []
    for n in COND_ORDERS:
        for point in frontier(Spec(n=n, objective="cond", size=COND_SIZES[0]), COND_SIZES):
            draws = [random_perturbation(n, point.size, seed) for seed in range(RANDOM_DRAWS)]
            quartiles = np.quantile([draw.cond for draw in draws], (0.5, 0.25, 0.75))
            unstable = np.mean([draw.max_real >= 0 for draw in draws])
            rows.append([n, point.size, point.cond, point.max_real, *map(float, quartiles), float(unstable)])
    columns = ["n", "size", "cond, optimised", "max Re, optimised", "cond, random", "quartile 1", "quartile 3"]
    return Table([*columns, "share unstable, random"], rows)


def bounds(found: dict[int, Perturbation]) -> Table:
    """sup |G_PTD - G_DPLR| for the committed E and for E made smaller, against Theorem 3's bound and the resolvent's.

    B has norm 1; C is e_0, or the worst unit vector.
    """
    rows = []
    for n, perturbation in found.items():
        S4, S4D = normalised(dplr_system(n)), normalised(diag_system(n))
        half = System(S4D.A, S4D.B / 2, S4D.C)  # S4D's B is half of S4's: one normalisation for both
        diag = sup_distance(S4, half).value
        for scale in SCALES:
            E = scale * perturbation.E
            eps = float(np.linalg.norm(E, 2))
            actual = sup_distance(S4, normalised(ptd_system(n, E))).value
            row = [actual, worst_distance(E).value, theorem3_bound(n, eps), resolvent_bound(eps), diag]
            rows.append([n, scale, eps, perturbation.size * scale, *map(float, row)])
    columns = ["n", "scale", "eps", "size", "actual, e_0", "actual, worst C", "Theorem 3", "resolvent", "S4D, e_0"]
    return Table(columns, rows)


def gains() -> Table:
    """||x(iw)|| / ||B|| of the state at n = 32: S4, S4D (B_H / 2), and S4-PTD with E of several sizes.

    E is solved for both objectives (close to S4; least cond(V) alone), or random (one draw).
    """
    n, w = GAIN_ORDER, np.geomspace(0.1, 3000.0, 150)
    w = np.unique(np.concatenate([w, pole_frequencies(n)]))
    B = np.linalg.norm(legs(n)[1])
    states = {("S4", None): legs_state(n, 1j * w), ("S4D", None): perturbed_state(rank1(n).E, 1j * w) / 2}
    for size in GAIN_SIZES:
        solved = solve_cached(Spec(n=n, size=size))
        least = solve_cached(Spec(n=n, objective="cond", size=size))
        states["optimised", size] = perturbed_state(solved.E, 1j * w)
        states["cond", size] = perturbed_state(least.E, 1j * w)
        states["random", size] = perturbed_state(random_perturbation(n, solved.size, seed=0).reflected().E, 1j * w)
    table = Table(["E", "size", "omega", "gain"])
    for (kind, size), x in states.items():
        norms = np.linalg.norm(x, axis=0) / B
        table.rows += [[kind, size, _short(a), _short(b)] for a, b in zip(w, norms, strict=True)]
    return table


def states() -> Table:
    """The state's gain ||x(iw)|| / ||B|| and its distance from S4's, ||x(iw) - x_S4(iw)|| / ||B||: the worst output of norm 1 at w.

    S4D (B_H / 2) and S4-PTD with the committed E of both objectives; S4 itself has distance 0.
    """
    table = Table(["n", "system", "omega", "gain", "distance"])
    perturbations = {"S4-PTD": committed(), "S4-PTD, cond": committed("cond")}
    for n in STATE_ORDERS:
        w = grid(n)
        B, S4 = np.linalg.norm(legs(n)[1]), legs_state(n, 1j * w)
        found = {"S4": S4, "S4D": perturbed_state(rank1(n).E, 1j * w) / 2}
        found |= {name: perturbed_state(E[n].E, 1j * w) for name, E in perturbations.items()}
        for name, x in found.items():
            figures = zip(w, np.linalg.norm(x, axis=0) / B, np.linalg.norm(x - S4, axis=0) / B, strict=True)
            table.rows += [[n, name, *map(_short, row)] for row in figures]
    return table


def _short(x: float) -> float:
    """Six significant digits: thousands of points of a curve."""
    return float(f"{x:.6g}")
