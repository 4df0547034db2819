"""What a PTD solve is asked for: every setting that its result depends on, checked on construction."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass

from ...errors import UserError, did_you_mean

SOLVER_VERSION = 2  # raise it when the solver's results change: cached solutions of older versions are then ignored

OBJECTIVES = ("distance", "cond", "published")
NORMS = ("spectral", "frobenius")

PUBLISHED_SIZES = {8: 0.0983, 16: 0.0506, 32: 0.0379, 64: 0.0341, 128: 0.0323}
"""||E||_2 / ||A_H||_2 of the matrices published with arXiv 2310.01698, by n; the sizes of ours."""


def default_size(n: int) -> float:
    """Returns the published ||E||_2 / ||A_H||_2 for n states; between and beyond them log-linear and constant in log n."""
    known = sorted(PUBLISHED_SIZES)
    if n in PUBLISHED_SIZES or n <= known[0] or n >= known[-1]:
        return PUBLISHED_SIZES[min(max(n, known[0]), known[-1])]
    low = max(k for k in known if k < n)
    high = min(k for k in known if k > n)
    share = math.log(n / low) / math.log(high / low)
    return PUBLISHED_SIZES[low] ** (1 - share) * PUBLISHED_SIZES[high] ** share


def default_mu(n: int) -> float:
    """Returns the weight of log d_worst beside log kappa(V): 0.3 up to 16 states, 4.8 / n beyond.

    It keeps kappa within 15 % (n = 8) to 2 % (n = 64) of the least possible one, and falls with n because so does S4's gain.
    """
    return min(0.3, 4.8 / n)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Settings of `solve`.

    objective 'distance': minimise log kappa(V) + mu log d_worst subject to ||E||_2 / ||A_H||_2 <= size, with d_e0 = 0.
    objective 'cond', one of:
        size: minimise kappa(V) subject to ||E|| / ||A_H|| <= size, both in the chosen norm.
        gamma: minimise kappa(V) + gamma ||E|| (arXiv 2310.01698, Eq. 4), the norm not divided by ||A_H||.
    objective 'published': minimise kappa(V)^2 + delta ||E||_F with Adam from a random positive complex E, as the
        published code does; nothing keeps the spectrum in the left half plane.

    Raises:
        UserError: settings that are out of range or do not belong together.
    """

    n: int
    objective: str = "distance"
    mu: float | None = None  # objective 'distance'; None: `default_mu(n)`
    size: float | None = None
    gamma: float | None = None
    delta: float | None = None
    norm: str = "spectral"
    real: bool = True
    pairs: bool = True  # real E: no more real eigenvalues than the start has (n mod 2, with a distance 2 at even n), if the size permits
    margin: float | None = None  # Re(lambda) <= -margin; None: 0.6 with a distance, else 0.5
    seed: int = 0  # of the complex, the published and the second start; a real solve at a moderate size draws nothing
    frobenius_weight: float = 0.03  # of log ||E||_F beside log ||E||_2, see solver.py; spectral size problems only
    tol: float = 1e-3  # least relative gain of the objective that a round must bring to go on
    max_rounds: int = 200  # of 100 iterations of L-BFGS each
    lr: float = 3e-3  # Adam's step, published objective only
    max_iterations: int = 20_000  # Adam's, published objective only

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1:
            raise UserError(f"n must be a whole number of states of at least 1, got {self.n!r}")
        for field, options in (("objective", OBJECTIVES), ("norm", NORMS)):
            if getattr(self, field) not in options:
                raise UserError(
                    f"unknown {field} '{getattr(self, field)}'{did_you_mean(getattr(self, field), options)}"
                )
        self._check_numbers()
        self._check_target()

    def _check_numbers(self) -> None:
        for field in ("size", "gamma", "delta", "mu", "margin", "tol", "lr", "max_rounds", "max_iterations"):
            value = getattr(self, field)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UserError(f"{field} must be a positive number, got {value!r}")
        if not (math.isfinite(self.frobenius_weight) and self.frobenius_weight >= 0):
            raise UserError(f"frobenius_weight must be zero or a positive number, got {self.frobenius_weight!r}")

    def _check_target(self) -> None:
        given = [field for field in ("size", "gamma", "delta") if getattr(self, field) is not None]
        if self.objective == "published" and (given != ["delta"] or self.real):
            raise UserError("the published objective takes delta (not size or gamma) and a complex E (real=False)")
        if self.objective == "distance" and (given != ["size"] or self.norm != "spectral"):
            raise UserError(
                "the objective 'distance' takes a size in the spectral norm; for gamma or another norm: objective='cond'"
            )
        if self.objective != "distance" and self.mu is not None:
            raise UserError(f"mu is the weight of the distance; the objective '{self.objective}' has none")
        if self.objective == "cond" and given not in (["size"], ["gamma"]):
            raise UserError(f"the objective 'cond' takes exactly one of size and gamma, got {given or 'none'}")

    @property
    def least_decay(self) -> float:
        """The margin in force."""
        return self.margin if self.margin is not None else 0.6 if self.objective == "distance" else 0.5

    @property
    def weight_of_distance(self) -> float:
        """The mu in force; 0 without a distance."""
        if self.objective != "distance":
            return 0.0
        return default_mu(self.n) if self.mu is None else self.mu

    def key(self) -> str:
        """Returns the hash of all settings and of the solver's version: equal keys mean equal solutions."""
        settings = json.dumps(dataclasses.asdict(self) | {"version": SOLVER_VERSION}, sort_keys=True)
        return hashlib.sha256(settings.encode()).hexdigest()[:24]
