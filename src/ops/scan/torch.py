"""The scan in plain torch, for any device: all chunks of T ~ sqrt(L) steps at once from zero, then what enters each of them."""

import math

import torch
from torch import Tensor


def chunked_forward(a: Tensor, b: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    """Returns h (R, L, N); a: (1 or R, 1 or L, N), b: (R, L, N), h0: (R, N)."""
    if reverse:
        return chunked_forward(a.flip(1), b.flip(1), h0, False).flip(1)
    R, L, N = b.shape
    T = math.ceil(math.sqrt(L))
    S = math.ceil(L / T)
    in_chunks = lambda x: torch.nn.functional.pad(x, (0, 0, 0, S * T - L)).view(-1, S, T, N)
    h = in_chunks(b)
    a = in_chunks(a) if a.shape[1] > 1 else a[:, :, None].expand(-1, 1, T, N)
    for t in range(1, T):
        h[:, :, t] += a[:, :, t] * h[:, :, t - 1]
    decay = a.cumprod(2)
    for s in range(S):
        entering = h0 if s == 0 else h[:, s - 1, -1]
        h[:, s] += decay[:, s % decay.shape[1]] * entering[:, None]
    return h.reshape(R, S * T, N)[:, :L].contiguous()


def chunked_backward(a: Tensor, h0: Tensor, h: Tensor, dh: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns da (R or 1, L, N), db (R, L, N) and dh0 (R, N): the adjoint is a scan the other way."""
    first, shift = (-1, -1) if reverse else (0, 1)
    later = (
        a if a.shape[1] == 1 else a.roll(-shift, 1)
    )  # the wrapped entry meets the zero state that the adjoint starts from
    db = chunked_forward(later.conj().resolve_conj(), dh, torch.zeros_like(h0), not reverse)
    previous = h.roll(shift, 1)
    previous[:, first] = h0
    return db * previous.conj(), db, (a[:, first].conj() * db[:, first]).resolve_conj()
