"""Perturb-then-diagonalise (arXiv 2310.01698): A_H + E = V Lambda V^-1 with small E and well-conditioned V."""

from ...lazy import attach

PLACES = {
    "files": ("load_perturbation", "save_perturbation"),
    "named": ("made_stable", "named_perturbation", "solve_cached"),
    "perturbation": ("Perturbation", "diagonalise", "random_perturbation", "rank1"),
    "solver": ("solve",),
    "spec": ("Spec", "default_size"),
}
__getattr__, __all__ = attach(__name__, PLACES)
