"""What the compiled transform of one length needs: factors, twiddles, and which place holds which frequency.

A real sequence of length n = 2 m is transformed as the m numbers z[j] = x[2 j] + i x[2 j + 1]. The transform splits m into factors and
leaves the frequencies in the order in which the splitting ends; the way back starts from that order, so nothing is ever sorted. With E and
O the spectra of the even and the odd numbers, Z[k] = E[k] + i O[k], and both come from the places of k and -k.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

FACTORS = (4, 2, 3)
INSIDE = 256  # points of a part that stays in the nearest cache from its first stage to its last


class Plan(NamedTuple):
    """Of m complex points; compiled code takes it as it is.

    Attributes:
        factors: of the stages, their product is m; the first is 4.
        sizes: points of a part that a stage splits.
        coarse: number of stages whose parts have more than `INSIDE` points.
        starts: where a stage's twiddles begin in `twiddles`.
        twiddles: exp(-2 pi i j k / size) of a stage for j and then 0 < k < factor, real and imaginary parts in turn.
        pairs: (m // 2 + 1, 2), the places of the frequencies k and -k.
        turns: (m // 2 + 1, 2), real and imaginary part of exp(-2 pi i k / m).
    """

    factors: np.ndarray
    sizes: np.ndarray
    coarse: int
    starts: np.ndarray
    twiddles: np.ndarray
    pairs: np.ndarray
    turns: np.ndarray


def points(L: int) -> int:
    """Returns the least m >= max(L, 4) of 4, 8, 12, 16, 24, ...: a power of two, or three times one."""
    power = max(4, 1 << (L - 1).bit_length())
    return power * 3 // 4 if power >= 16 and power * 3 // 4 >= L else power


@lru_cache(maxsize=16)
def plan(m: int, dtype: str) -> Plan:
    """Returns the plan of m points in float32 or float64; everything is computed in float64 and rounded once."""
    factors = _factors(m)
    sizes = [m // int(np.prod(factors[:i], dtype=np.int64)) for i in range(len(factors))]
    tables, frequency, stride = [], np.zeros(1, np.int64), 1
    for factor, size in zip(factors, sizes, strict=True):
        j, k = np.arange(size // factor)[:, None], np.arange(1, factor)
        tables.append(_unit(j * k, size).ravel())
        frequency = (frequency[:, None] + stride * np.arange(factor)).ravel()
        stride *= factor
    place = np.empty(m, np.int64)
    place[frequency] = np.arange(m)
    k = np.arange(m // 2 + 1)
    return Plan(
        np.array(factors),
        np.array(sizes),
        sum(size > INSIDE for size in sizes),
        np.cumsum([0, *(len(table) for table in tables)])[:-1],
        np.concatenate(tables).astype(dtype),
        np.stack([place[k], place[-k % m]], 1),
        _unit(k, m).reshape(-1, 2).astype(dtype),
    )


def _factors(m: int) -> list[int]:
    factors = []
    for factor in FACTORS:
        while m % factor == 0:
            factors.append(factor)
            m //= factor
    return factors


def _unit(count: np.ndarray, size: int) -> np.ndarray:
    """exp(-2 pi i count / size) as pairs (..., 2)."""
    angle = -2 * np.pi * (count % size) / size
    return np.stack([np.cos(angle), np.sin(angle)], -1)
