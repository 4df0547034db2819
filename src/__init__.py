"""State-space-model experiments and the layers, kernels and solvers under them.

The public names are those of `api.py`; each is loaded when it is first used, so that importing the package costs nothing.
"""

import importlib

__version__ = "0.2.0"
__all__ = [
    "S4", "S4D", "S4PTD", "S5", "DPLRKernel", "DiagonalKernel", "DiagonalSystem", "Kernel", "Mamba", "Perturbation", "RealDiagonalKernel",
    "S4DReal", "UserError", "check_layer", "fftconv", "load_perturbation", "load_published", "load_trained", "parameter_groups",
    "ptd_kernel", "scan", "selective_scan", "solve_ptd",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"{__name__}.api"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
