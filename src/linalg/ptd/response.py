"""How far the states of A_H + E are from S4's for the same input, and what E can do without moving them.

    d_worst = sup_w ||(iw - A_H - E)^-1 B - (iw - A_H)^-1 B|| / ||B||     the worst output of norm 1 (B = B_H)
    d_e0    = the same for the output C = e_0, S4's simplest, 1 / (s + 1)

Proved here, tested in tests/linalg/test_ptd_response.py; x(s) = (s - A_H)^-1 B and (A_H + E, B) is controllable:

1. **What keeps outputs.** E leaves the outputs e_0 .. e_k exactly as they are if and only if its rows 0 .. k are zero.
   A_H is lower triangular, so e_j^T A_H sees states 0 .. j only. If those agree for both systems, row j of both state
   equations gives e_j^T E x~(s) = 0 for all s, and the states x~(s) of a controllable system span everything; so row j
   of E is zero. Conversely states 0 .. k then obey the same closed equations. In particular d_worst = 0 only for E = 0,
   d_e0 = 0 if and only if e_0^T E = 0, and then -1 is an eigenvalue of A_H + E: at even n a real E has a second real one.
   Hence log kappa + mu (log d_worst + 1/2 log d_e0) has no minimum (row 0 of E sends it to minus infinity); the solver
   keeps row 0 at zero and trades kappa against d_worst alone.
2. **Similarity transforms** T with T B = B and c^T T = c^T, that is E = T A_H T^-1 - A_H, keep the output c, and for an
   output of full order (no pole cancels) nothing else does: minimal realisations of one transfer function are similar.
   But they keep the eigenvalues -1 .. -n, so ||A_H + E|| <= kappa n and ||E|| / ||A_H|| >= 1 - kappa n / ||A_H||, 0.67
   for kappa = 6.7 at n = 32. Small E with small kappa therefore cannot keep an output of full order; e_0 is an exception
   because its order is 1.
3. **What a slow input reaches.** ||(x_m .. x_{n-1})(iw)||^2 = w^2 (n^2 - m^2) / ((w^2 + m^2)(w^2 + n^2)), a telescoping sum,
   so ||x(iw)|| / ||B|| = 1 / sqrt(w^2 + n^2), and all but a share w / sqrt(w^2 + m^2) of it lies in the first m states.
   An E whose first m columns are zero moves the state at frequency w by at most
       ||(iw - A_H - E)^-1|| ||E|| w / (n sqrt(w^2 + m^2)),    ||(iw - A_H - E)^-1|| <= kappa / min_k |iw - lambda_k|,
   because the states differ by (iw - A_H - E)^-1 E x(iw): for w << m a large E is reached by almost nothing.
"""

from dataclasses import dataclass

import numpy as np

from ..hippo import Float, legs
from ..worst_output import legs_state
from .objective import Eigensystem, Value
from .perturbation import Complex

FLOOR = 1e-3  # distances below this share of S4's own gain 1 / n earn (almost) nothing: log d would reward E = 0
POINTS = 96  # of the logarithmic part of the grid
_BESIDE = (-0.7, 0.0, 0.7)  # grid points at a pole's frequency, in units of its width


@dataclass(frozen=True)
class Response:
    """log(d_worst + FLOOR / n) on fixed frequencies, a function of the eigensystem of A_H + E."""

    frequencies: Float  # (F,)
    reference: Complex  # (n, F): (iw - A_H)^-1 B / ||B||
    b: Float  # (n,): B / ||B||

    @staticmethod
    def around(Lambda: Complex, real: bool) -> "Response":
        """Returns the functional on a logarithmic grid and beside every pole of Lambda (n,); both signs unless `real`."""
        n = len(Lambda)
        B = legs(n)[1]
        beside = [Lambda.imag + k * np.abs(Lambda.real) for k in _BESIDE]
        w = np.concatenate([[0.0], np.geomspace(0.05, 30.0 * n * n, POINTS), *beside])
        w = np.unique(w[w >= 0] if real else np.concatenate([w, -w]))
        return Response(w, legs_state(n, 1j * w) / np.linalg.norm(B), B / np.linalg.norm(B))

    def __call__(self, system: Eigensystem, half: int) -> Value:
        """Returns the value and its gradient to A_H + E; the supremum is a power mean over the grid with exponent 2 half.

        From x~ = (iw - M)^-1 b follows dx~ = (iw - M)^-1 dM x~.
        """
        z = (system.Vinv @ self.b)[:, None] / (1j * self.frequencies - system.Lambda[:, None])  # x~ = V z
        gap = system.V @ z - self.reference
        square = np.sum(np.abs(gap) ** 2, axis=0)
        largest = square.max()
        if largest == 0.0:
            return Value(float(np.log(FLOOR / len(self.b))), np.zeros((len(z), len(z))))
        power = (square / largest) ** half
        d = np.sqrt(largest) * power.sum() ** (0.5 / half)
        weight = d / (d + FLOOR / len(self.b)) * power / (power.sum() * square.clip(min=np.finfo(float).tiny))
        Vh = system.V.conj().T
        back = (Vh @ (gap * weight)) / (1j * self.frequencies - system.Lambda[:, None]).conj()
        G = system.Vinv.conj().T @ (back @ z.conj().T) @ Vh
        return Value(float(np.log(d + FLOOR / len(self.b))), G.real if system.real else G)

    def largest_gap(self, system: Eigensystem) -> float:
        """Returns the largest distance on the grid."""
        z = (system.Vinv @ self.b)[:, None] / (1j * self.frequencies - system.Lambda[:, None])
        return float(np.linalg.norm(system.V @ z - self.reference, axis=0).max())
