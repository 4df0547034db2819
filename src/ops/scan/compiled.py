"""The scan on a CPU: through time once, all states of a row at a time; rows are shared among the threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..jit import jit

_ONE_THREAD = 1 << 18  # below this many elements a second thread costs more than it saves


def compiled_forward(a: Tensor, b: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    """Returns h (R, L, N); contiguous a: (1 or R, 1 or L, N), b: (R, L, N), h0: (R, N)."""
    h = torch.empty_like(b)
    _over_rows(_forward_rows, reverse, a, b, h0, h)
    return h


def compiled_backward(a: Tensor, h0: Tensor, h: Tensor, dh: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns da (R, 1 or L, N), db (R, L, N) and dh0 (R, N)."""
    da, db, dh0 = h.new_empty(h.shape[0], a.shape[1], h.shape[2]), torch.empty_like(h), torch.empty_like(h0)
    _over_rows(_backward_rows, reverse, a, h0, h, dh, da, db, dh0)
    return da, db, dh0


def _over_rows(loop: Callable[..., None], reverse: bool, *tensors: Tensor) -> None:
    """Runs a compiled loop on all rows, cut into one block a thread of torch's."""
    R, size = tensors[-1].shape[0], tensors[1].numel()
    threads = min(torch.get_num_threads(), R) if size > _ONE_THREAD else 1
    arrays = [x.detach().numpy() for x in tensors]
    if threads == 1:
        return loop(reverse, *arrays)
    bounds = [R * i // threads for i in range(threads + 1)]
    blocks = [[x if len(x) == 1 else x[i:j] for x in arrays] for i, j in pairwise(bounds)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda block: loop(reverse, *block), blocks))


@jit
def _forward_rows(reverse, a, b, h0, h):
    R, L, N = b.shape
    for r in range(R):
        row_a, row_b, row_h = a[r % a.shape[0]], b[r], h[r]
        previous = h0[r]
        for k in range(L):
            t = L - 1 - k if reverse else k
            at, bt, ht = row_a[t % row_a.shape[0]], row_b[t], row_h[t]
            for n in range(N):
                ht[n] = at[n] * previous[n] + bt[n]
            previous = ht


@jit
def _backward_rows(reverse, a, h0, h, dh, da, db, dh0):
    """da: (R, 1 or L, N). A time-invariant a sums its gradient in blocks of 64 steps: less rounding."""
    R, L, N = h.shape
    constant = a.shape[1] == 1
    block = np.empty(N, h.dtype)
    for r in range(R):
        row_a, row_h, row_dh, row_da, row_db, carry = a[r % a.shape[0]], h[r], dh[r], da[r], db[r], dh0[r]
        carry[:] = 0
        block[:] = 0
        if constant:
            row_da[:] = 0
        for k in range(L - 1, -1, -1):
            t = L - 1 - k if reverse else k
            previous = h0[r] if k == 0 else row_h[t + 1 if reverse else t - 1]
            at, dht, gt = row_a[0 if constant else t], row_dh[t], row_db[t]
            if constant:
                for n in range(N):
                    gt[n] = dht[n] + carry[n]
                    carry[n] = np.conj(at[n]) * gt[n]
                    block[n] += gt[n] * np.conj(previous[n])
                if k % 64 == 0:
                    row_da[0] += block
                    block[:] = 0
            else:
                dat = row_da[t]
                for n in range(N):
                    gt[n] = dht[n] + carry[n]
                    carry[n] = np.conj(at[n]) * gt[n]
                    dat[n] = gt[n] * np.conj(previous[n])
