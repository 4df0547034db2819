"""Every kernel the contract is tested on, odd things included."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from src.experiments.classify.layers import LAYERS, S4Layer
from src.experiments.classify.perturbed import Perturbed
from src.kernels import DiagonalKernel, DPLRKernel, Kernel, RealDiagonalKernel, ptd_kernel
from src.linalg.hippo import legs

H = 4


def perturbation(n: int, field: str = "real", size: float = 0.1, seed: int = 0) -> SimpleNamespace:
    """A_H + E, diagonalised, with a random E of ||E||_2 = size ||A_H||_2, moved left until it is stable."""
    rng = np.random.default_rng(seed)
    A, _ = legs(n)
    E = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if field == "complex" else 0)
    E *= size * np.linalg.norm(A, 2) / np.linalg.norm(E, 2)
    E = E - np.eye(n) * max(0.0, np.linalg.eigvals(A + E).real.max() + 0.5)
    Lambda, V = np.linalg.eig(A + E)
    return SimpleNamespace(
        E=E, Lambda=Lambda.astype(complex), V=V.astype(complex), Vinv=np.linalg.inv(V).astype(complex)
    )


CASES: dict[str, Callable[..., Kernel]] = {
    "s4d-legs": lambda **o: DiagonalKernel(H, 8, **o),
    "s4d-lin, a copy for each channel": lambda **o: DiagonalKernel(H, 6, init="diag-lin", n_ssm=None, **o),
    "s4d-inv, bilinear": lambda **o: DiagonalKernel(H, 10, init="inv", disc="bilinear", **o),
    "s4d-random, two copies": lambda **o: DiagonalKernel(H, 8, init="random", n_ssm=2, **o),
    "s4d of one pair, exp": lambda **o: DiagonalKernel(H, 2, init="diag-real", dt_transform="exp", **o),
    "s4d-real": lambda **o: RealDiagonalKernel(H, 7, **o),
    "s4d-real-legs": lambda **o: RealDiagonalKernel(H, 4, init="legs", n_ssm=2, **o),
    "s4-legs": lambda **o: DPLRKernel(H, 8, **o),
    "s4-legs, B as published": lambda **o: DPLRKernel(H, 8, B_init="published", **o),
    "s4d-legs, B as published": lambda **o: DiagonalKernel(H, 8, B_init="published", **o),
    "s4-legt": lambda **o: DPLRKernel(H, 6, init="legt", n_ssm=None, **o),
    "s4-fourier": lambda **o: DPLRKernel(H, 10, init="fourier", **o),
    "s4-legs of rank 3": lambda **o: DPLRKernel(H, 8, rank=3, dt_transform="exp", **o),
    "s4-legs, zero-order hold": lambda **o: DPLRKernel(H, 8, disc="zoh", **o),
    "s4-ptd, real E": lambda **o: ptd_kernel(perturbation(9), H, **o),
    "s4-ptd, complex E": lambda **o: ptd_kernel(perturbation(6, "complex"), H, **o),
}

# the kernel of every other layer that a config can name, as its class makes it; see "a kernel" in src/README.md
NAMED = {
    name: layer for name, layer in LAYERS.items() if issubclass(layer, S4Layer) and not issubclass(layer, Perturbed)
}
CASES |= {
    name: lambda layer=layer, **o: layer(d_state=8).kernel(H, o)
    for name, layer in NAMED.items()
    if name not in ("s4", "s4d")
}
