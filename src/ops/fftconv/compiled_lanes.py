"""The FFT convolution of channels that lie side by side in memory, sixteen of them at a time, as compiled loops.

With E and O the spectra of the even and the odd numbers of a sequence and w = exp(-2 pi i k / m), the convolution y = K * u and its
adjoints, for a gradient g of y, are

    Ey = EK Eu + w OK Ou,              Oy = OK Eu + EK Ou,
    Edu = conj(EK) Eg + conj(OK) Og,   Odu = conj(w OK) Eg + conj(EK) Og,
    EdK = conj(Eu) Eg + conj(Ou) Og,   OdK = conj(w Ou) Eg + conj(Eu) Og.

Nothing but a block's rows is ever in memory, and they stay in cache; u and g are read, y and du written in their own layout, once.
"""

from ..jit import inlined, jit
from ..lanes import WIDTH, load, store
from .compiled_transform import get, plus, plus_i, put, times, times_conj, transform, transform_back

KERNEL = 6 * WIDTH  # numbers of a pair of frequencies: EK, OK, w OK
SUMS = 4 * WIDTH  # EdK, OdK


@inlined
def _halves(z, pair):
    """2 E and 2 O of a pair of frequencies: Z[k] + conj(Z[-k]) and -i (Z[k] - conj(Z[-k]))."""
    x, y = get(z, pair[0]), get(z, pair[1])
    return (x[0] + y[0], x[1] - y[1]), (x[1] + y[1], y[0] - x[0])


@inlined
def _whole(z, pair, E, O):
    """Z[k] = E + i O and Z[-k] = conj(E) + i conj(O)."""
    put(z, pair[0], plus_i(E, O))
    put(z, pair[1], (E[0] + O[1], O[0] - E[1]))


@inlined
def _pair_at(x, at):
    return load(x, at), load(x, at + WIDTH)


@inlined
def _set_pair(x, at, value):
    store(x, at, value[0])
    store(x, at + WIDTH, value[1])


@inlined
def _kernel_spectra(K, c, h, z, spectra, plan):
    """Fills `spectra` (pairs, KERNEL) of kernel c, K (C, L, H), divided by all factors that the way there and back brings."""
    _, L, H = K.shape
    transform(K, c * L * H + h, H, L, z, plan)
    scale = 1 / (4 * plan.sizes[0])
    for i in range(len(plan.pairs)):
        E, O = _halves(z, plan.pairs[i])
        E, O = (E[0] * scale, E[1] * scale), (O[0] * scale, O[1] * scale)
        _set_pair(spectra, i * KERNEL, E)
        _set_pair(spectra, i * KERNEL + 2 * WIDTH, O)
        _set_pair(spectra, i * KERNEL + 4 * WIDTH, times(O, (plan.turns[i, 0], plan.turns[i, 1])))


@jit
def convolve(first, last, z, out, spectra, plan, u, K, y):
    """y (B, L, C, H) of u (B, L, H) and K (C, at most 2 m, H) for blocks first..last-1 of `WIDTH` channels.

    z, out: scratch (m, ROW), the same where C is 1. spectra: (C, pairs, KERNEL).
    """
    B, L, H = u.shape
    C = len(K)
    for block in range(first, last):
        h = block * WIDTH
        for c in range(C):
            _kernel_spectra(K, c, h, z, spectra[c], plan)
        for b in range(B):
            transform(u, b * L * H + h, H, L, z, plan)
            for c in range(C):
                for i in range(len(plan.pairs)):
                    E, O = _halves(z, plan.pairs[i])
                    EK, OK = _pair_at(spectra[c], i * KERNEL), _pair_at(spectra[c], i * KERNEL + 2 * WIDTH)
                    turned = _pair_at(spectra[c], i * KERNEL + 4 * WIDTH)
                    Ey, Oy = plus(times(EK, E), times(turned, O)), plus(times(OK, E), times(EK, O))
                    _whole(out, plan.pairs[i], Ey, Oy)
                transform_back(out, y, b * L * C * H + c * H + h, C * H, L, plan)


@jit
def convolve_backward(first, last, z, of_g, out, spectra, sums, plan, u, K, g, du, dK):
    """du and dK, laid out as u and K, of g (B, L, C, H); otherwise as `convolve`.

    z, of_g, out: scratch (m, ROW), the last two the same where C is 1. sums: (C, pairs, SUMS).
    """
    B, L, H = u.shape
    C, length, _ = K.shape
    for block in range(first, last):
        h = block * WIDTH
        for c in range(C):
            _kernel_spectra(K, c, h, z, spectra[c], plan)
        sums[:] = 0
        for b in range(B):
            transform(u, b * L * H + h, H, L, z, plan)
            for c in range(C):
                transform(g, b * L * C * H + c * H + h, C * H, L, of_g, plan)
                _adjoints(c, z, of_g, out, spectra[c], sums[c], plan)
            transform_back(out, du, b * L * H + h, H, L, plan)
        for c in range(C):
            for i in range(len(plan.pairs)):
                at = i * SUMS
                _whole(z, plan.pairs[i], _pair_at(sums[c], at), _pair_at(sums[c], at + 2 * WIDTH))
            transform_back(z, dK, c * length * H + h, H, length, plan)


@inlined
def _adjoints(c, of_u, of_g, out, spectra, sums, plan):
    """Sets `out` to the transform of du, or adds it from the second kernel on, and adds to the spectra of dK."""
    scale = 1 / (4 * plan.sizes[0])
    for i in range(len(plan.pairs)):
        pair, at = plan.pairs[i], i * KERNEL
        Eg, Og = _halves(of_g, pair)
        Eu, Ou = _halves(of_u, pair)
        EK, OK, turned = _pair_at(spectra, at), _pair_at(spectra, at + 2 * WIDTH), _pair_at(spectra, at + 4 * WIDTH)
        E, O = plus(times_conj(Eg, EK), times_conj(Og, OK)), plus(times_conj(Eg, turned), times_conj(Og, EK))
        if c > 0:
            x, y = get(out, pair[0]), get(out, pair[1])
            half = 0.5
            E = plus(E, ((x[0] + y[0]) * half, (x[1] - y[1]) * half))
            O = plus(O, ((x[1] + y[1]) * half, (y[0] - x[0]) * half))
        _whole(out, pair, E, O)
        Eu, Ou = (Eu[0] * scale, Eu[1] * scale), (Ou[0] * scale, Ou[1] * scale)
        w = (plan.turns[i, 0], plan.turns[i, 1])
        E = plus(times_conj(Eg, Eu), times_conj(Og, Ou))
        O = plus(times_conj(times_conj(Eg, Ou), w), times_conj(Og, Eu))
        at = i * SUMS
        _set_pair(sums, at, plus(_pair_at(sums, at), E))
        _set_pair(sums, at + 2 * WIDTH, plus(_pair_at(sums, at + 2 * WIDTH), O))
