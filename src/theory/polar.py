"""The diagonal SSM of the theory experiment, in polar form (P2 = arXiv 2410.14067, Section 2 and Appendix F.1; LRU's parameterisation).

    A_n = s_n exp(-exp(rho_n))                  real: the sign s_n is drawn once and never trained
    A_n = exp(-exp(rho_n) + i angle_n)          complex
    K_k = sum_n w_n A_n^k  (real),   2 Re sum_n w_n A_n^k  (complex),   w = C o B,   k = 0..L-1

The published code takes 2 Re, the paper's text Re: a factor that C absorbs. Parameters are rows of one real array theta (P, N):
real (rho, B, C); complex (rho, angle, Re B, Im B, Re C, Im C).
"""

from dataclasses import dataclass

import numpy as np

R_MAX = 0.9999
_PARAMETERS, _SIGNS = 0x9A2A, 0x51C2  # separate random streams of one seed


@dataclass(frozen=True)
class Magnitudes:
    """How large the parameters are: what P2's lower bounds and the exact frontier (src/theory/frontier.py) speak of.

    `w_l1` is ||w||_1 of the response written as Re sum_j w_j A_j^k: a complex state stands for a conjugate pair here and counts twice.
    """

    max_B: float
    max_C: float
    max_CB: float
    n_max_CB: float
    w_l1: float


def initial(
    N: int, complex_option: bool, seed: int, r_min: float, BC_std: float, radius_density: str = "uniform"
) -> tuple[np.ndarray, np.ndarray]:
    """Draws theta (P, N) float64 and signs (N,) (empty for complex) from the seed alone.

    Args:
        r_min: smallest radius |A_n|; the largest is 0.9999.
        BC_std: standard deviation of the entries of B and C (complex: of the modulus' normal law, with a uniform phase).
        radius_density: "uniform" in the radius, as the paper says for real A; "area" (density proportional to the radius, uniform on the
            ring), as the paper says for complex A and as the published code does for both.
    """
    rng = np.random.default_rng(np.random.SeedSequence((_PARAMETERS, seed, int(complex_option), N)))
    u = rng.uniform(size=N)
    radius = np.sqrt(u * (R_MAX**2 - r_min**2) + r_min**2) if radius_density == "area" else r_min + u * (R_MAX - r_min)
    rho = np.log(-np.log(np.maximum(radius, 1e-12)))  # u = 0 with r_min = 0 would be log(0)
    if not complex_option:
        signs = np.random.default_rng(np.random.SeedSequence((_SIGNS, seed, N))).choice([-1.0, 1.0], size=N)
        return np.stack([rho, *(BC_std * rng.standard_normal((2, N)))]), signs
    angle = rng.uniform(0, 2 * np.pi, N)
    modulus, phase = np.abs(BC_std * rng.standard_normal((2, N))), rng.uniform(0, 2 * np.pi, (2, N))
    (B_re, C_re), (B_im, C_im) = modulus * np.cos(phase), modulus * np.sin(phase)
    return np.stack([rho, angle, B_re, B_im, C_re, C_im]), np.empty(0)


def diagonal_system(theta: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns A, B, C, each (N,), float64 or complex128, from theta (P, N)."""
    theta = theta.astype(np.float64)
    if signs.size:
        return signs * np.exp(-np.exp(theta[0])), theta[1], theta[2]
    return np.exp(-np.exp(theta[0]) + 1j * theta[1]), theta[2] + 1j * theta[3], theta[4] + 1j * theta[5]


def impulse_response(theta: np.ndarray, signs: np.ndarray, L: int) -> np.ndarray:
    """Returns K (L,) in float64, entry by entry from the definition: the judge of every faster path."""
    A, B, C = diagonal_system(theta, signs)
    K = (C * B) @ np.power(A[:, None], np.arange(L))
    return K if signs.size else 2 * K.real


def magnitudes(theta: np.ndarray, signs: np.ndarray) -> Magnitudes:
    """Returns the parameter magnitudes of theta."""
    _, B, C = diagonal_system(theta, signs)
    w = np.abs(C * B)
    largest, total = float(w.max()), float(w.sum())
    return Magnitudes(
        float(np.abs(B).max()), float(np.abs(C).max()), largest, B.size * largest, total if signs.size else 2 * total
    )
