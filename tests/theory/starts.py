"""Where float32 is hard: radii within 1e-6 of one, tiny ones, and all in between."""

import numpy as np

from src.theory.polar import initial


def start(N, complex_option, radius, seed):
    """Returns (theta, signs) with radii "near one", "tiny" or "mixed"."""
    rng = np.random.default_rng(seed)
    r = {
        "near one": 1 - 10 ** rng.uniform(-6, -3, N),
        "tiny": 10 ** rng.uniform(-6, -1, N),
        "mixed": rng.uniform(0.01, 0.9999, N),
    }[radius]
    theta, signs = initial(N, complex_option, 0, 0.0, 0.3)
    theta[0] = np.log(-np.log(r))
    return theta, signs
