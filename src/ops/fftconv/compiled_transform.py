"""The transform of sixteen channels at a time, in place: decimation in frequency there, decimation in time back, no reordering between.

A row holds one complex point of `WIDTH` channels, real parts first. A stage splits a part of r s points into r parts of s points,

    z'[k s + j] = w^(j k) sum_i exp(-2 pi i k i / r) z[i s + j],     w = exp(-2 pi i / (r s)),

and the inverse stage undoes that but for a factor r. Parts are finished one after the other: the later stages stay in cache. Sequences fill
at most the first half of the m rows, so the first stage there has two of four inputs, and the last one back computes two of four outputs.
"""

import math

from ..jit import inlined
from ..lanes import WIDTH, load, spread, store

ROW = 2 * WIDTH  # numbers of a point: real parts, imaginary parts
_SIN_60 = math.sqrt(0.75)


@inlined
def get(z, row):
    """A row as (real parts, imaginary parts)."""
    return load(z, row * ROW), load(z, row * ROW + WIDTH)


@inlined
def put(z, row, x):
    """The inverse of `get`."""
    store(z, row * ROW, x[0])
    store(z, row * ROW + WIDTH, x[1])


@inlined
def plus(x, y):
    """x + y, as all functions here of pairs (real, imaginary)."""
    return x[0] + y[0], x[1] + y[1]


@inlined
def minus(x, y):
    """x - y."""
    return x[0] - y[0], x[1] - y[1]


@inlined
def plus_i(x, y):
    """x + i y."""
    return x[0] - y[1], x[1] + y[0]


@inlined
def minus_i(x, y):
    """x - i y."""
    return x[0] + y[1], x[1] - y[0]


@inlined
def times(x, y):
    """x y; y also a pair of numbers."""
    return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]


@inlined
def times_conj(x, y):
    """x conj(y); y also a pair of numbers."""
    return x[0] * y[0] + x[1] * y[1], x[1] * y[0] - x[0] * y[1]


@inlined
def _turned(x, w, at):
    return x[0] * w[at] - x[1] * w[at + 1], x[0] * w[at + 1] + x[1] * w[at]


@inlined
def _turned_back(x, w, at):
    return x[0] * w[at] + x[1] * w[at + 1], x[1] * w[at] - x[0] * w[at + 1]


@inlined
def _four(a, b, c, d):
    """The transform of four points; with b and d exchanged, its inverse."""
    p, q, r, s = plus(a, c), minus(a, c), plus(b, d), minus(b, d)
    return plus(p, r), minus_i(q, s), minus(p, r), plus_i(q, s)


@inlined
def _three(a, b, c):
    """The transform of three points; with b and c exchanged, its inverse."""
    s, d = plus(b, c), minus(b, c)
    t, d = (a[0] - s[0] * 0.5, a[1] - s[1] * 0.5), (d[0] * _SIN_60, d[1] * _SIN_60)
    return plus(a, s), minus_i(t, d), plus_i(t, d)


@inlined
def _split(z, start, factor, s, w, at):
    """One stage of one part."""
    for j in range(s):
        i = start + j
        if factor == 4:
            x0, x1, x2, x3 = _four(get(z, i), get(z, i + s), get(z, i + 2 * s), get(z, i + 3 * s))
            put(z, i, x0)
            if s == 1:
                put(z, i + 1, x1)
                put(z, i + 2, x2)
                put(z, i + 3, x3)
            else:
                put(z, i + s, _turned(x1, w, at + 6 * j))
                put(z, i + 2 * s, _turned(x2, w, at + 6 * j + 2))
                put(z, i + 3 * s, _turned(x3, w, at + 6 * j + 4))
        elif factor == 3:
            x0, x1, x2 = _three(get(z, i), get(z, i + s), get(z, i + 2 * s))
            put(z, i, x0)
            put(z, i + s, _turned(x1, w, at + 4 * j))
            put(z, i + 2 * s, _turned(x2, w, at + 4 * j + 2))
        else:
            a, b = get(z, i), get(z, i + s)
            put(z, i, plus(a, b))
            put(z, i + s, _turned(minus(a, b), w, at + 2 * j))


@inlined
def _join(z, start, factor, s, w, at):
    """The inverse stage of one part, times the factor."""
    for j in range(s):
        i = start + j
        if factor == 4:
            if s == 1:
                x0, x3, x2, x1 = _four(get(z, i), get(z, i + 1), get(z, i + 2), get(z, i + 3))
            else:
                b = _turned_back(get(z, i + s), w, at + 6 * j)
                c = _turned_back(get(z, i + 2 * s), w, at + 6 * j + 2)
                d = _turned_back(get(z, i + 3 * s), w, at + 6 * j + 4)
                x0, x3, x2, x1 = _four(get(z, i), b, c, d)
            put(z, i, x0)
            put(z, i + s, x1)
            put(z, i + 2 * s, x2)
            put(z, i + 3 * s, x3)
        elif factor == 3:
            b, c = _turned_back(get(z, i + s), w, at + 4 * j), _turned_back(get(z, i + 2 * s), w, at + 4 * j + 2)
            x0, x2, x1 = _three(get(z, i), b, c)
            put(z, i, x0)
            put(z, i + s, x1)
            put(z, i + 2 * s, x2)
        else:
            a, b = get(z, i), _turned_back(get(z, i + s), w, at + 2 * j)
            put(z, i, plus(a, b))
            put(z, i + s, minus(a, b))


@inlined
def _stages_there(z, plan, first):
    """The stages from `first` on."""
    inside, coarse = plan.sizes[plan.coarse], plan.coarse
    for begin in range(0, plan.sizes[0], inside):
        for i in range(first, coarse):
            if begin % plan.sizes[i] == 0:
                _split(z, begin, plan.factors[i], plan.sizes[i] // plan.factors[i], plan.twiddles, plan.starts[i])
        for i in range(max(first, coarse), plan.sizes.size):
            for start in range(begin, begin + inside, plan.sizes[i]):
                _split(z, start, plan.factors[i], plan.sizes[i] // plan.factors[i], plan.twiddles, plan.starts[i])


@inlined
def _stages_back(z, plan, first):
    """The inverse stages down to `first`."""
    inside, coarse = plan.sizes[plan.coarse], plan.coarse
    for begin in range(0, plan.sizes[0], inside):
        for back in range(plan.sizes.size - max(first, coarse)):
            i = plan.sizes.size - 1 - back
            for start in range(begin, begin + inside, plan.sizes[i]):
                _join(z, start, plan.factors[i], plan.sizes[i] // plan.factors[i], plan.twiddles, plan.starts[i])
        end = begin + inside
        for back in range(coarse - first):
            i = coarse - 1 - back
            if end % plan.sizes[i] == 0:
                start = end - plan.sizes[i]
                _join(z, start, plan.factors[i], plan.sizes[i] // plan.factors[i], plan.twiddles, plan.starts[i])


@inlined
def _point(x, at, stride, t, L):
    """(x[t], x[t + 1]) of sixteen sequences, zero from L on."""
    zero = spread(x.dtype.type(0), 0)
    return (
        load(x, at + t * stride) if t < L else zero,
        load(x, at + (t + 1) * stride) if t + 1 < L else zero,
    )


@inlined
def _set_point(x, at, stride, t, L, value):
    if t < L:
        store(x, at + t * stride, value[0])
    if t + 1 < L:
        store(x, at + (t + 1) * stride, value[1])


@inlined
def transform(x, at, stride, L, z, plan):
    """z = the transform of the sequences x[at + t stride], t < L <= 2 m, of `WIDTH` channels from `at` on."""
    m, w = plan.sizes[0], plan.twiddles
    s = m // 4
    if m < L:
        for j in range(m):
            put(z, j, _point(x, at, stride, 2 * j, L))
        _stages_there(z, plan, 0)
    else:
        for j in range(s):
            a, b = _point(x, at, stride, 2 * j, L), _point(x, at, stride, 2 * (j + s), L)
            put(z, j, plus(a, b))
            put(z, j + s, _turned(minus_i(a, b), w, 6 * j))
            put(z, j + 2 * s, _turned(minus(a, b), w, 6 * j + 2))
            put(z, j + 3 * s, _turned(plus_i(a, b), w, 6 * j + 4))
        _stages_there(z, plan, 1)


@inlined
def transform_back(z, x, at, stride, L, plan):
    """m times the inverse of `transform`; z is used up."""
    m, w = plan.sizes[0], plan.twiddles
    s = m // 4
    if m < L:
        _stages_back(z, plan, 0)
        for j in range(m):
            _set_point(x, at, stride, 2 * j, L, get(z, j))
    else:
        _stages_back(z, plan, 1)
        for j in range(s):
            a, b = get(z, j), _turned_back(get(z, j + s), w, 6 * j)
            c, d = _turned_back(get(z, j + 2 * s), w, 6 * j + 2), _turned_back(get(z, j + 3 * s), w, 6 * j + 4)
            _set_point(x, at, stride, 2 * j, L, plus(plus(a, c), plus(b, d)))
            if 2 * (j + s) < L:
                _set_point(x, at, stride, 2 * (j + s), L, plus_i(minus(a, c), minus(b, d)))
