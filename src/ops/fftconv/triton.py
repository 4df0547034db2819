"""FFT convolution on a GPU: the transforms are cuFFT's, and one kernel each does what lies between two of them.

A real kernel acts alike on the real and the imaginary part of a complex sequence, so two sequences of a batch travel as one,
z = u_2p + i u_(2p+1). That needs complex transforms only, which write straight into their output; a complex-to-real one costs as
much for the same data, and torch copies its input first, since cuFFT may destroy it. With spectra in capitals, K_c the spectrum of the
kernel of output c, and P pairs,

    Y_cp = K_c Z_p,     dZ_p = sum_c conj(K_c) G_cp,
    dK_c[k] = 1/2 sum_p ( conj(Z_p[k]) G_cp[k] + Z_p[n - k] conj(G_cp[n - k]) ),

where the last is the part of sum_p conj(Z_p) G_cp that belongs to a real sequence. An odd batch has an empty last partner. Spectra of
kernels are those of real sequences, their first n // 2 + 1 entries.

Transforms are not normalised, the products are. Sequences are read and written with their own strides and in their own dtype, so
neither a transpose nor a cast is a pass of its own. Sums run in a fixed order.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..blocks import ACCELERATOR_BYTES, channel_blocks
from ..triton.launch import launch
from ..triton.pairs import _load_wide, _store_wide

TILE_H, TILE_T = 32, 32  # of a transpose: both sides move whole sectors of memory, also in half precision
TILE_K = 256  # spectral entries a program


def convolve(u: Tensor, K: Tensor, future: Tensor | None, n: int, dtype: torch.dtype) -> Tensor:
    """Returns y (B, C, H, L) in `dtype`, in memory with time last if u's is, else with channels last.

    Args:
        u: (B, H, L), any dtype and strides.
        K, future: (C, H, L) in the precision of the computation; see `src.ops.fftconv`.
        n: length of the transforms, at least 2 L.
    """
    return _FFTConv.apply(u, K.contiguous(), None if future is None else future.contiguous(), n, dtype)


class _FFTConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, K: Tensor, future: Tensor | None, n: int, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(u, K, future)
        ctx.n = n
        y = _output(u, len(K), dtype)
        for rows in _blocks(u, K, n):
            Z = _pair_spectra(u[:, None, rows], n, K.dtype)
            Y = _times_kernels(Z, _kernel_spectra(K[:, rows], _part(future, rows), n))
            _write_pairs(Y, y[:, :, rows])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, K, future = ctx.saved_tensors
        grad_u, grad_K = torch.empty_like(u), torch.empty_like(K)
        grad_future = None if future is None else torch.empty_like(future)
        for rows in _blocks(u, K, ctx.n):
            Z, G = (_pair_spectra(x, ctx.n, K.dtype) for x in (u[:, None, rows], grad[:, :, rows]))
            K_f = _kernel_spectra(K[:, rows], _part(future, rows), ctx.n)
            dZ, dK_f = _adjoint(Z, G, K_f)
            _write_pairs(dZ, grad_u[:, None, rows])
            _write_kernels(dK_f, ctx.n, grad_K[:, rows], _part(grad_future, rows))
        return grad_u, grad_K, grad_future, None, None


def _output(u: Tensor, C: int, dtype: torch.dtype) -> Tensor:
    """Returns an empty (B, C, H, L) that lies in memory as u (B, H, L) does; channels last is what the next layer reads."""
    B, H, L = u.shape
    if u.stride(2) == 1:
        return u.new_empty(B, C, H, L, dtype=dtype)
    return u.new_empty(B, L, C, H, dtype=dtype).permute(0, 2, 3, 1)


def _blocks(u: Tensor, K: Tensor, n: int) -> list[slice]:
    """Returns blocks of channels by the size of all spectra of the backward pass."""
    pairs = triton.cdiv(len(u), 2) * (1 + len(K))
    return channel_blocks(u.shape[1], pairs * n * 2 * K.element_size(), ACCELERATOR_BYTES, u.device)


def _part(x: Tensor | None, rows: slice) -> Tensor | None:
    return None if x is None else x[:, rows]


def _pair_spectra(x: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """Returns the spectra of pairs, (C, P, H, n, 2), of x (B, C, H, L)."""
    B, C, H, L = x.shape
    P = triton.cdiv(B, 2)
    z = x.new_empty(C, P, H, n, 2, dtype=dtype)
    grid = triton.cdiv(n, TILE_T), triton.cdiv(H, TILE_H), C * P
    launch(pair, grid, x, z, B, P, H, L, n, *x.stride(), TILE_H=TILE_H, TILE_T=TILE_T)
    Z = torch.fft.fft(torch.view_as_complex(z.view(-1, n, 2)))
    return torch.view_as_real(Z).view(z.shape)


def _write_pairs(Y: Tensor, y: Tensor) -> None:
    """Fills y (B, C, H, L) from the spectra Y (C, P, H, n, 2)."""
    (B, C, H, L), (_, P, _, n, _) = y.shape, Y.shape
    z = torch.view_as_real(torch.fft.ifft(torch.view_as_complex(Y.view(-1, n, 2)), norm="forward"))
    grid = triton.cdiv(L, TILE_T), triton.cdiv(H, TILE_H), C * P
    launch(unpair, grid, z, y, B, P, H, L, n, *y.stride(), TILE_H=TILE_H, TILE_T=TILE_T)


def _kernel_spectra(K: Tensor, future: Tensor | None, n: int) -> Tensor:
    """Returns (C, H, n // 2 + 1, 2) of kernels (C, H, L)."""
    C, H, L = K.shape
    k = K.new_empty(C, H, n)
    launch(pad_kernels, (triton.cdiv(n, TILE_K), H, C), K, future, k, H, L, n, K.stride(0), TILE=TILE_K)
    return torch.view_as_real(torch.fft.rfft(k))


def _write_kernels(K_f: Tensor, n: int, K: Tensor, future: Tensor | None) -> None:
    """Fills K and future (C, H, L) from spectra (C, H, n // 2 + 1, 2)."""
    C, H, L = K.shape
    k = torch.fft.irfft(torch.view_as_complex(K_f), n=n, norm="forward")
    launch(split_kernels, (triton.cdiv(L, TILE_K), H, C), k, K, future, H, L, n, K.stride(0), TILE=TILE_K)


def _times_kernels(Z: Tensor, K_f: Tensor) -> Tensor:
    """Returns Y / n (C, P, H, n, 2), in place of Z (1, P, H, n, 2) where that is its size."""
    C, (_, P, H, n, _) = len(K_f), Z.shape
    Y = Z if C == 1 else Z.new_empty(C, P, H, n, 2)
    tiles = _tiles(C)
    launch(times_kernels, (triton.cdiv(n, tiles["TILE"]), H), Z, K_f, Y, P, C, H, n, **tiles)
    return Y


def _adjoint(Z: Tensor, G: Tensor, K_f: Tensor) -> tuple[Tensor, Tensor]:
    """Returns dZ / n (1, P, H, n, 2), in place of the first of G (C, P, H, n, 2), and dK / n as K_f."""
    C, P, H, n, _ = G.shape
    dK_f = torch.empty_like(K_f)
    tiles = _tiles(C)
    launch(adjoint, (triton.cdiv(n // 2 + 1, tiles["TILE"]), H), Z, G, K_f, dK_f, P, C, H, n, **tiles)
    return G[:1], dK_f


def _tiles(C: int) -> dict[str, int]:
    rows = triton.next_power_of_2(C)
    return {"TILE_C": rows, "TILE": max(32, TILE_K // rows)}


@triton.jit
def pair(x, z, B, P, H, L, n, s_b, s_c, s_h, s_t, TILE_H: tl.constexpr, TILE_T: tl.constexpr):
    """z[c, p, h, t] = x[2p, c, h, t] + i x[2p + 1, c, h, t]; zero from t = L on, and for a partner that is not there."""
    row = tl.program_id(2).to(tl.int64)
    c, p = row // P, row % P
    h = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H)).to(tl.int64)[:, None]
    t = (tl.program_id(0) * TILE_T + tl.arange(0, TILE_T)).to(tl.int64)[None, :]
    source = x + 2 * p * s_b + c * s_c + h * s_h + t * s_t
    inside = (h < H) & (t < L)
    first = tl.load(source, inside, 0.0)
    second = tl.load(source + s_b, inside & (2 * p + 1 < B), 0.0)
    target = (row * H + h) * n + t
    kind = z.dtype.element_ty
    _store_wide(z, target, first.to(kind), second.to(kind), (h < H) & (t < n), True)


@triton.jit
def unpair(z, y, B, P, H, L, n, s_b, s_c, s_h, s_t, TILE_H: tl.constexpr, TILE_T: tl.constexpr):
    """The inverse of `pair` for t < L."""
    row = tl.program_id(2).to(tl.int64)
    c, p = row // P, row % P
    h = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H)).to(tl.int64)[:, None]
    t = (tl.program_id(0) * TILE_T + tl.arange(0, TILE_T)).to(tl.int64)[None, :]
    inside = (h < H) & (t < L)
    first, second = _load_wide(z, (row * H + h) * n + t, inside, True)
    target = y + 2 * p * s_b + c * s_c + h * s_h + t * s_t
    kind = y.dtype.element_ty
    tl.store(target, first.to(kind), inside)
    tl.store(target + s_b, second.to(kind), inside & (2 * p + 1 < B))


@triton.jit
def pad_kernels(K, future, k, H, L, n, s_c, TILE: tl.constexpr):
    """k[c, h] = K[c, h], zeros, and future[c, h] backwards, where there is one."""
    i = tl.program_id(0) * TILE + tl.arange(0, TILE)
    h, c = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    source = c * s_c + h * L
    value = tl.load(K + source + i, i < L, 0.0)
    if future is not None:
        value += tl.load(future + source + (n - 1 - i), (i >= n - L) & (i < n), 0.0)
    tl.store(k + (c * H + h) * n + i, value, i < n)


@triton.jit
def split_kernels(k, K, future, H, L, n, s_c, TILE: tl.constexpr):
    """The adjoint of `pad_kernels`."""
    j = tl.program_id(0) * TILE + tl.arange(0, TILE)
    h, c = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    source = k + (c * H + h) * n
    target = c * s_c + h * L + j
    tl.store(K + target, tl.load(source + j, j < L), j < L)
    if future is not None:
        tl.store(future + target, tl.load(source + (n - 1 - j), j < L), j < L)


@triton.jit
def times_kernels(Z, K, Y, P, C, H, n, TILE_C: tl.constexpr, TILE: tl.constexpr):
    """Y[c, p, h, k] = K[c, h, k] Z[p, h, k] / n. Y may be Z: each entry is written where it was read."""
    k = (tl.program_id(0) * TILE + tl.arange(0, TILE))[None, :]
    c = tl.arange(0, TILE_C).to(tl.int64)[:, None]
    h = tl.program_id(1).to(tl.int64)
    inside = (c < C) & (k < n)
    K_re, K_im = _load_wide(K, (c * H + h) * (n // 2 + 1) + tl.minimum(k, n - k), inside, True)
    K_re, K_im = K_re / n, tl.where(2 * k > n, -K_im, K_im) / n
    for p in range(P):
        re, im = _load_wide(Z, (p * H + h) * n + k, k < n, True)
        _store_wide(Y, ((c * P + p) * H + h) * n + k, K_re * re - K_im * im, K_re * im + K_im * re, inside, True)


@triton.jit
def adjoint(Z, G, K, dK, P, C, H, n, TILE_C: tl.constexpr, TILE: tl.constexpr):
    """dK[c, h] as in the file's head, and G[0, p, h] becomes dZ[p, h]; both divided by n.

    A program has frequencies k <= n / 2 and their images n - k, so it reads each spectrum once. k = 0 and k = n / 2 are their own
    images, where the sum is real; they are not read again, since what replaces G may be there already.
    """
    k = (tl.program_id(0) * TILE + tl.arange(0, TILE))[None, :]
    c = tl.arange(0, TILE_C).to(tl.int64)[:, None]
    h = tl.program_id(1).to(tl.int64)
    here, image = 2 * k <= n, (k > 0) & (2 * k < n)
    at = (c * H + h) * (n // 2 + 1) + k
    K_re, K_im = _load_wide(K, at, here & (c < C), True)
    K_re, K_im = K_re / n, K_im / n
    dK_re, dK_im = tl.zeros_like(K_re), tl.zeros_like(K_im)
    for p in range(P):
        first = (p * H + h) * n  # of Z, and of G where c = 0
        other = ((c * P + p) * H + h) * n
        z_re, z_im = _load_wide(Z, first + k, here, True)
        g_re, g_im = _load_wide(G, other + k, here & (c < C), True)
        dK_re += z_re * g_re + z_im * g_im
        dK_im += z_re * g_im - z_im * g_re
        _store_wide(G, first + k, _sum(K_re * g_re + K_im * g_im), _sum(K_re * g_im - K_im * g_re), here, True)
        z_re, z_im = _load_wide(Z, first + (n - k), image, True)
        g_re, g_im = _load_wide(G, other + (n - k), image & (c < C), True)
        dK_re += z_re * g_re + z_im * g_im
        dK_im += z_im * g_re - z_re * g_im
        _store_wide(G, first + (n - k), _sum(K_re * g_re - K_im * g_im), _sum(K_re * g_im + K_im * g_re), image, True)
    half = tl.where(image, 0.5, 1.0).to(K_re.dtype) / n
    _store_wide(dK, at, dK_re * half, tl.where(image, dK_im * half, 0.0), here & (c < C), True)


@triton.jit
def _sum(x):
    """Sums over the kernels of a channel, (TILE_C, TILE) to (1, TILE)."""
    return tl.sum(x, 0, keep_dims=True)
