"""What the kernels of the fused selective scan are made of: tiles, numbers in one or two planes, decays, step sizes, gates.

A program is one warp (several, for very many states). It owns one sequence, DH DL channels and all N states of them, as a tile
(DH, NG, NV, NL, DL): DL lanes of the warp share the channels and NL lanes the states (DL NL = 32), and each lane holds DH NG NV entries,

    channel d = (block DL + dl) DH + dh,      state n = (nl NG + ng) NV + nv.

So a sum over states is additions in a lane and log2(NL) exchanges between lanes, a sum over channels the same with DH and DL. What is
side by side in memory, DH channels or NV states, is one wide load of one lane; DH and NV are at most that wide, so that the compiler
gives every tensor to the same lanes, and nothing changes hands but sums. What has no state axis is held as (DH, 1, 1, NL, DL), alike in
all NL lanes; what has no channel axis as (1, NG, NV, NL, DL).

A number is a tuple of its P planes: (real,), or (real, imaginary). In memory they lie as (..., P, N).
"""

import math

import numpy as np
import triton
import triton.language as tl

from ..elementary import LN_2, LOG2_E, coefficients
from ..triton.elementary import _polynomial, cosine_ratio, sine_ratio

_LOG2_E = tl.constexpr(LOG2_E)
_PER_PI = tl.constexpr(1 / math.pi)
_TRIG_END = (math.pi / 2) ** 2
_EXP_END = LN_2 / 2


def _sine(g: np.ndarray) -> np.ndarray:
    """(sin(r) / r - 1) / r^2 at g = r^2."""
    return (sine_ratio(g / math.pi**2) / math.pi - 1) / g


def _cosine(g: np.ndarray) -> np.ndarray:
    """(cos(r) - 1) / r^2 at g = r^2."""
    return cosine_ratio(g / math.pi**2) / math.pi**2


def _exponential(r: np.ndarray) -> np.ndarray:
    """(exp(r) - 1) / r."""
    return np.expm1(r) / r


def _log1p(e: np.ndarray) -> np.ndarray:
    """log(1 + e) / e."""
    return np.log1p(e) / e


def _decay_ratio(w: np.ndarray) -> np.ndarray:
    """(1 - exp(-w)) / w."""
    return -np.expm1(-w) / w


_SINE_32, _SINE_64 = (tl.constexpr(coefficients(_sine, 0, _TRIG_END, degree)) for degree in (3, 7))
_COSINE_32, _COSINE_64 = (tl.constexpr(coefficients(_cosine, 0, _TRIG_END, degree)) for degree in (4, 8))
_EXP_32 = tl.constexpr(coefficients(_exponential, -_EXP_END, _EXP_END, 5))
_LOG1P_32, _LOG1P_64 = (tl.constexpr(coefficients(_log1p, 0, 1, degree)) for degree in (9, 18))
_DECAY_32, _DECAY_64 = (tl.constexpr(coefficients(_decay_ratio, 0, 0.5, degree)) for degree in (5, 9))


def _in_parts(value: float, bits: int, low: float = 0.0) -> tuple[float, float, float]:
    """value + low as a sum whose first two parts have `bits` bits: times a k of as many as the type has left, they are exact."""
    high = math.ldexp(round(math.ldexp(value, bits - 2)), 2 - bits)
    middle = math.ldexp(round(math.ldexp(value - high, 2 * bits - 2)), 2 - 2 * bits)
    return high, middle, value - high - middle + low


_PI_32 = tl.constexpr(_in_parts(math.pi, 12))
_PI_64 = tl.constexpr(_in_parts(math.pi, 26, 1.2246467991473532e-16))  # pi - float64(pi)
_LN_2_32 = tl.constexpr(_in_parts(LN_2, 14))


@triton.jit
def _cis_of_radians(p):
    """(cos p, sin p) for |p| < 2^12 pi (float32), 2^26 pi (float64): r = p - k pi, and the parity of k is their common sign.

    An error of one sign would add up as a slow state turns. So p is not scaled by a rounded 1 / pi, and r is the first term of the sine.
    """
    if p.dtype == tl.float64:
        rounded = p * _PER_PI + 6755399441055744.0  # 1.5 2^52: the last bits are now those of the integer k
        k = rounded - 6755399441055744.0
        sign = rounded.to(tl.int64, bitcast=True) << 63
        r = ((p - k * _PI_64[0]) - k * _PI_64[1]) - k * _PI_64[2]
        g = r * r
        c, s = 1.0 + g * _polynomial(g, _COSINE_64, 8), r + r * (g * _polynomial(g, _SINE_64, 7))
        c, s = c.to(tl.int64, bitcast=True) ^ sign, s.to(tl.int64, bitcast=True) ^ sign
    else:
        rounded = p * _PER_PI + 12582912.0  # 1.5 2^23
        k = rounded - 12582912.0
        sign = rounded.to(tl.int32, bitcast=True) << 31
        r = ((p - k * _PI_32[0]) - k * _PI_32[1]) - k * _PI_32[2]
        g = r * r
        c, s = 1.0 + g * _polynomial(g, _COSINE_32, 4), r + r * (g * _polynomial(g, _SINE_32, 3))
        c, s = c.to(tl.int32, bitcast=True) ^ sign, s.to(tl.int32, bitcast=True) ^ sign
    return c.to(p.dtype, bitcast=True), s.to(p.dtype, bitcast=True)


@triton.jit
def _exp_negative(x):
    """exp(x) for x <= 0, to the last bit or so in float32 too, where the hardware's own is off by several: steps are made of it."""
    if x.dtype == tl.float64:
        return tl.exp(x)
    else:
        x = tl.where(x < -87.0, -87.0, x)  # exp of that is next to the smallest normal number; nan stays
        rounded = x * _LOG2_E + 12582912.0
        k = rounded - 12582912.0
        r = ((x - k * _LN_2_32[0]) - k * _LN_2_32[1]) - k * _LN_2_32[2]
        size = (k.to(tl.int32) + 127) << 23
        return (1.0 + r * _polynomial(r, _EXP_32, 5)) * size.to(tl.float32, bitcast=True)


@triton.jit
def _softplus(v):
    """log(1 + exp(v)), relatively exact where it is small too."""
    e, positive = _exp_negative(-tl.abs(v)), tl.where(v < 0.0, 0.0, v)
    if v.dtype == tl.float64:
        return positive + e * _polynomial(e, _LOG1P_64, 18)
    else:
        return positive + e * _polynomial(e, _LOG1P_32, 9)


@triton.jit
def _slope_of_softplus(w):
    """sigmoid(v) = 1 - exp(-w) at w = softplus(v)."""
    ratio = _polynomial(w, _DECAY_64, 9) if w.dtype == tl.float64 else _polynomial(w, _DECAY_32, 5)
    return tl.where(w < 0.5, w * ratio, 1.0 - tl.exp2(-w * _LOG2_E))


@triton.jit
def _sigmoid(z):
    return 1.0 / (1.0 + tl.exp2(-z * _LOG2_E))


@triton.jit
def _program(blocks, segments):
    """Returns this program's block of channels, segment of time and sequence, the last one int64: offsets outgrow 32 bits."""
    program = tl.program_id(0)
    return program % blocks, program // blocks % segments, (program // (blocks * segments)).to(tl.int64)


@triton.jit
def _axes(NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):
    """Returns dh, ng, nv, nl, dl, each along its own axis."""
    return (
        tl.arange(0, DH)[:, None, None, None, None], tl.arange(0, NG)[None, :, None, None, None],
        tl.arange(0, NV)[None, None, :, None, None], tl.arange(0, NL)[None, None, None, :, None],
        tl.arange(0, DL)[None, None, None, None, :],
    )  # fmt: skip


@triton.jit
def _tile(block, channels, N: tl.constexpr, P: tl.constexpr,
          NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):  # fmt: skip
    """Returns the channels d, the states n, the offset of (d, n) in (D, P, N), and which of each of the three are there."""
    dh, ng, nv, nl, dl = _axes(NG, NV, NL, DH, DL)
    d = tl.broadcast_to((block * DL + dl) * DH + dh, (DH, 1, 1, NL, DL))
    n = tl.broadcast_to((nl * NG + ng) * NV + nv, (1, NG, NV, NL, DL))
    in_d, in_n = d < channels, n < N
    return d, n, d * (P * N) + n, in_d, in_n, in_d & in_n


@triton.jit
def _scratch_slot(NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):
    """Returns where each entry of a tile lies in a scratch tile: NV neighbours of a lane, then lane beside lane."""
    dh, ng, nv, nl, dl = _axes(NG, NV, NL, DH, DL)
    return (((dh * NG + ng) * NL + nl) * DL + dl) * NV + nv


@triton.jit
def _writers(tile, NG: tl.constexpr, NV: tl.constexpr, NL: tl.constexpr, DH: tl.constexpr, DL: tl.constexpr):
    """Returns the channels and the states that each lane writes, where several hold them alike."""
    _, _, _, nl, dl = _axes(NG, NV, NL, DH, DL)
    return tile[3] & (nl == 0), tile[4] & (dl == 0)


@triton.jit
def _load(pointer, offset, there, plane: tl.constexpr, P: tl.constexpr):
    """Returns a number whose planes lie `plane` apart."""
    real = tl.load(pointer + offset, mask=there, other=0.0)
    if P == 1:
        return (real,)
    else:
        return real, tl.load(pointer + plane + offset, mask=there, other=0.0)


@triton.jit
def _store(pointer, offset, value, there, plane: tl.constexpr, P: tl.constexpr):
    tl.store(pointer + offset, value[0], mask=there)
    if P == 2:
        tl.store(pointer + plane + offset, value[1], mask=there)


@triton.jit
def _channel_row(x, row, channels, tile):
    """Returns row b L + t of x (b, L, D)."""
    return tl.load(x + row * channels + tile[0], mask=tile[3], other=0.0)


@triton.jit
def _step_row(dt, row, channels, tile, SELECTIVE: tl.constexpr):
    """Returns row b L + t of dt (b, L, D) if it is selective, else all of dt (D,)."""
    if SELECTIVE:
        return _channel_row(dt, row, channels, tile)
    else:
        return tl.load(dt + tile[0], mask=tile[3], other=0.0)


@triton.jit
def _state_row(B, row, tile, N: tl.constexpr, P: tl.constexpr, SELECTIVE: tl.constexpr):
    """Returns row b L + t of B (b, L, P, N) if it is selective, else all of B (D, P, N)."""
    if SELECTIVE:
        return _load(B + row * (P * N), tile[1], tile[4], N, P)
    else:
        return _load(B, tile[2], tile[5], N, P)


@triton.jit
def _constant(value: tl.constexpr, P: tl.constexpr, like):
    """Returns a real constant as a number with a tile like another's planes."""
    zero = tl.zeros(like.shape, like.dtype)
    if P == 1:
        return (zero + value,)
    else:
        return zero + value, zero


@triton.jit
def _decay(w, A, P: tl.constexpr):
    """exp(w A)."""
    size = tl.exp2((w * _LOG2_E) * A[0])  # w is scaled: it has no state axis
    if P == 1:
        return (size,)
    else:
        c, s = _cis_of_radians(w * A[1])
        return size * c, size * s


@triton.jit
def _add(x, y, P: tl.constexpr):
    if P == 1:
        return (x[0] + y[0],)
    else:
        return x[0] + y[0], x[1] + y[1]


@triton.jit
def _scaled(x, real, P: tl.constexpr):
    """x times a real tensor."""
    if P == 1:
        return (x[0] * real,)
    else:
        return x[0] * real, x[1] * real


@triton.jit
def _product(x, y, P: tl.constexpr):
    if P == 1:
        return (x[0] * y[0],)
    else:
        return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]


@triton.jit
def _conjugate(x, P: tl.constexpr):
    if P == 1:
        return x
    else:
        return x[0], -x[1]


@triton.jit
def _real_product(x, y, P: tl.constexpr):
    """Re(x y)."""
    if P == 1:
        return x[0] * y[0]
    else:
        return x[0] * y[0] - x[1] * y[1]


@triton.jit
def _over_states(v):
    """Sums a tile over its states, to (DH, 1, 1, NL, DL), in each lane first."""
    sums = tl.sum(tl.sum(tl.sum(v, 2, keep_dims=True), 1, keep_dims=True), 3, keep_dims=True)
    return tl.broadcast_to(sums, (v.shape[0], 1, 1, v.shape[3], v.shape[4]))


@triton.jit
def _over_channels(v):
    """Sums a tile over its channels, to (1, NG, NV, NL, DL), in each lane first."""
    sums = tl.sum(tl.sum(v, 0, keep_dims=True), 4, keep_dims=True)
    return tl.broadcast_to(sums, (1, v.shape[1], v.shape[2], v.shape[3], v.shape[4]))
