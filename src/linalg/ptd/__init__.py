"""Perturb-then-diagonalise (arXiv 2310.01698): A_H + E = V Lambda V^-1 with small E and well-conditioned V."""

from .files import load_perturbation, save_perturbation
from .named import made_stable, named_perturbation, solve_cached
from .perturbation import Perturbation, diagonalise, random_perturbation, rank1
from .solver import solve
from .spec import Spec, default_size

__all__ = [
    "Perturbation",
    "Spec",
    "default_size",
    "diagonalise",
    "load_perturbation",
    "made_stable",
    "named_perturbation",
    "random_perturbation",
    "rank1",
    "save_perturbation",
    "solve",
    "solve_cached",
]
