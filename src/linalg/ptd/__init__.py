"""Perturb-then-diagonalise (arXiv 2310.01698): A_H + E = V Lambda V^-1 with small E and well-conditioned V."""

from src.linalg.ptd.files import load_perturbation, save_perturbation
from src.linalg.ptd.named import named_perturbation, solve_cached
from src.linalg.ptd.perturbation import Perturbation, diagonalise, random_perturbation, rank1
from src.linalg.ptd.solver import solve
from src.linalg.ptd.spec import Spec, default_size

__all__ = [
    "Perturbation",
    "Spec",
    "default_size",
    "diagonalise",
    "load_perturbation",
    "named_perturbation",
    "random_perturbation",
    "rank1",
    "save_perturbation",
    "solve",
    "solve_cached",
]
