"""Golden-section search on many brackets at once."""

from collections.abc import Callable

import numpy as np

from .hippo import Float

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


def maximise(f: Callable[[Float], Float], low: Float, high: Float, steps: int = 48) -> tuple[Float, Float]:
    """Returns (x, f(x)), each of shape (m,): the maximum of a unimodal f on every interval [low, high], shapes (m,).

    One call of `f` evaluates one new point in every bracket. 48 steps shrink a bracket by 1e-10; the value is then
    right to rounding, since f is flat at its maximum. Where f is monotone, x tends to the end of the interval.
    """
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    f_left, f_right = f(left), f(right)
    for _ in range(steps):
        rising = f_left < f_right  # the maximum lies in [left, high], else in [low, right]
        low, high = np.where(rising, left, low), np.where(rising, high, right)
        new = np.where(rising, low + _GOLDEN * (high - low), high - _GOLDEN * (high - low))
        f_new = f(new)
        left, right = np.where(rising, right, new), np.where(rising, new, left)
        f_left, f_right = np.where(rising, f_right, f_new), np.where(rising, f_new, f_left)
    better = f_left > f_right
    return np.where(better, left, right), np.where(better, f_left, f_right)
