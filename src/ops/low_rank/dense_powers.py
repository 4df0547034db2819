"""Powers of a dense matrix per channel by repeated doubling: K[a S + b] = (C A^(a S)) (A^b B), with S ~ sqrt(L).

Both factors are Krylov blocks, [X, A X, A^2 X, ...], and [X, ..., A^(2k-1) X] = [Y, A^k Y] for Y = [X, ..., A^(k-1) X].
Nothing is diagonalised, so a non-normal A is no harder than a normal one; autograd runs through the products.
"""

import torch
from torch import Tensor

from ..blocks import table_lengths


def krylov(A: Tensor, X: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns A^k X for k < count, shape (H, n, count, m), and A to the power 2^ceil(log2(count)).

    Args:
        A: (H, n, n).
        X: (H, n, m).
        count: number of powers, at least 1.
    """
    H, n, m = X.shape
    block, k = X.unsqueeze(2), 1
    while k < count:
        more = block[:, :, : count - k]
        block = torch.cat([block, (A @ more.reshape(H, n, -1)).reshape(H, n, -1, m)], 2)
        A, k = A @ A, 2 * k
    return block, A


def dense_kernel(A: Tensor, B: Tensor, C: Tensor, L: int) -> Tensor:
    """Returns K[h, i, j, t] = C[h, i] A[h]^t B[h, :, j], shape (H, p, m, L); A (H, n, n), B (H, n, m), C (H, p, n)."""
    H, p, m = A.shape[0], C.shape[1], B.shape[2]
    M, S = table_lengths(L)
    fine, A_S = krylov(A, B, S)
    coarse, _ = krylov(A_S.mT, C.mT, M)
    K = coarse.flatten(2).mT @ fine.flatten(2)
    return K.reshape(H, M, p, S, m).permute(0, 2, 4, 1, 3).reshape(H, p, m, M * S)[..., :L]


def dense_final_state(A: Tensor, B: Tensor, u: Tensor, state: Tensor) -> Tensor:
    """Returns the state after u (R, H, L) from `state` (R, H, n): x_t = A x_(t-1) + B u_t; A (H, n, n), B (H, n)."""
    R, H, L = u.shape
    M, S = table_lengths(L)
    fine, _ = krylov(A, B.unsqueeze(-1), S)
    chunks = torch.nn.functional.pad(u.flip(-1), (0, M * S - L)).reshape(R, H, M, S)
    driven = torch.einsum("rhas,hns->arhn", chunks, fine.squeeze(-1))
    A_S = torch.linalg.matrix_power(A, S)
    x = driven[-1]
    for a in range(M - 2, -1, -1):
        x = torch.einsum("hij,rhj->rhi", A_S, x) + driven[a]
    return x + torch.einsum("hij,rhj->rhi", torch.linalg.matrix_power(A, L), state)
