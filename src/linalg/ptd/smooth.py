"""The smooth problem that L-BFGS sees in one round of the solver: a scalar of E and its gradient.

    log kappa(V) + mu log d_worst + an augmented Lagrangian of log ||E|| + a penalty on eigenvalues to the right

All norms are Schatten norms, the supremum over frequency in d_worst is a power mean (`response`).
"""

from dataclasses import dataclass

import numpy as np

from ..hippo import Float
from .objective import Eigensystem, Value, log_schatten, log_smooth_cond
from .perturbation import Complex
from .response import Response

RHO = 10.0  # of the augmented Lagrangian; the multiplier itself is the frontier's slope, about 0.8
REJECTED = 100.0  # stands for the value at a point that is not allowed; values are logarithms, of the order of 1


@dataclass
class Merit:
    """The scalar that is minimised, a function of log Q, log ||E|| and log ||E||_F; Q is kappa or kappa d_worst^mu.

    Fixed gamma: log(Q + gamma ||E||). Limited size: log Q plus the augmented Lagrangian of
    log ||E|| <= limit, plus frobenius_weight * multiplier * log ||E||_F.
    """

    gamma: float | None
    frobenius_weight: float = 0.0
    limit: float = 0.0
    multiplier: float = 0.8

    def __call__(self, log_Q: float, log_norm: float, log_frobenius: float) -> tuple[float, float, float, float]:
        """Returns the value and its derivatives with respect to the three arguments."""
        if self.gamma is not None:
            term = np.log(self.gamma) + log_norm
            value = np.logaddexp(log_Q, term)
            return value, np.exp(log_Q - value), np.exp(term - value), 0.0
        slope = max(0.0, self.multiplier + RHO * (log_norm - self.limit))
        weight = self.frobenius_weight * self.multiplier
        return log_Q + (slope**2 - self.multiplier**2) / (2 * RHO) + weight * log_frobenius, 1.0, slope, weight

    def update(self, log_norm: float) -> None:
        """Moves the multiplier after a round."""
        self.multiplier = float(np.clip(self.multiplier + RHO * (log_norm - self.limit), 0.0, 5.0))


@dataclass(frozen=True)
class Coordinates:
    """x = E / scale, flat, without the rows of E that are kept at zero; complex entries are pairs of reals."""

    scale: Float  # (rows, n)
    real: bool

    @staticmethod
    def of(E: Float | Complex, keep_first_output: bool) -> "Coordinates":
        """Returns the coordinates of the round that starts from E.

        Without a distance every entry has the unit ||E||_2. With one, row 0 is kept at zero (d_e0 = 0, see `response`)
        and the unit of entry (i, j) grows like the square root of |A_ij|, so that slow states weigh as much as fast ones:
        with equal units d_worst ends four times larger at n = 64; powers from 0.4 to 0.6 in place of 0.5 end alike.
        """
        n = len(E)
        unit = float(np.linalg.norm(E, 2))
        if not keep_first_output:
            return Coordinates(np.full((n, n), unit), not np.iscomplexobj(E))
        speed = ((2 * np.arange(n) + 1) / (2 * n)) ** SPEED_POWER
        return Coordinates(unit * np.outer(speed, speed)[1:], not np.iscomplexobj(E))

    def E(self, x: Float) -> Float | Complex:
        """Returns E, shape (n, n), of the flat x."""
        free = self.scale * x.view(np.float64 if self.real else np.complex128).reshape(self.scale.shape)
        n = self.scale.shape[1]
        return np.concatenate([np.zeros((n - len(free), n)), free])

    def x(self, E: Float | Complex) -> Float:
        """Returns the flat x of E."""
        return np.ascontiguousarray(E[-len(self.scale) :] / self.scale).ravel().view(np.float64)

    def gradient(self, G: Float | Complex) -> Float:
        """Returns the gradient to x from the one to E."""
        return np.ascontiguousarray(G[-len(self.scale) :] * self.scale).ravel().view(np.float64)


SPEED_POWER = 0.4


@dataclass(frozen=True)
class Smooth:
    """The smooth objective over x."""

    A: Float
    coordinates: Coordinates
    half: int  # p / 2 for kappa and d_worst
    half_norm: int  # p / 2 for ||E||; 1 is the Frobenius norm
    border: float  # real parts to the right of it pay
    stability: float  # what they pay: stability * sum of (Re(lambda) - border)_+^2 / unit^2
    unit: float  # ||E||_2 at the start of the round
    merit: Merit
    real_eigenvalues: int  # how many A_H + E may have
    mu: float = 0.0  # weight of log d_worst
    response: Response | None = None

    def __call__(self, x: Float) -> tuple[float, Float]:
        """Returns the objective and its gradient."""
        E = self.coordinates.E(x)
        try:
            system = Eigensystem.of(self.A + E)
        except np.linalg.LinAlgError:
            return REJECTED, np.zeros_like(x)
        if np.count_nonzero(system.Lambda.imag == 0) > self.real_eigenvalues:
            return REJECTED, np.zeros_like(x)  # jumped a collision, where kappa is infinite
        value, gradient = self._value(E, system)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return REJECTED, np.zeros_like(x)
        return float(value), self.coordinates.gradient(gradient)

    def _value(self, E: Float | Complex, system: Eigensystem) -> Value:
        """Returns the objective and its gradient to E."""
        cond, norm, frobenius = log_smooth_cond(system, self.half), log_schatten(E, self.half_norm), np.linalg.norm(E)
        distance = self.response(system, self.half) if self.response else Value(0.0, np.zeros_like(E))
        log_Q = cond.value + self.mu * distance.value
        value, to_Q, to_norm, to_frobenius = self.merit(log_Q, norm.value, np.log(frobenius))
        excess = np.maximum(0.0, system.Lambda.real - self.border) / self.unit
        value += self.stability * np.sum(excess**2)
        gradient = system.pull_back(to_Q * cond.gradient, 2 * self.stability / self.unit * excess)
        gradient = gradient + to_Q * self.mu * distance.gradient
        return Value(value, gradient + to_norm * norm.gradient + to_frobenius / frobenius**2 * E)
