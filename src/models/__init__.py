"""Whole models: a tower (encoder, residual backbone, pooling) under a classifier's or a retrieval model's head."""

from ..lazy import attach

PLACES = {
    "backbone": ("ResidualBackbone",),
    "classifier": ("Classifier",),
    "retrieval": ("Retrieval",),
    "tower": ("Tower",),
}
__getattr__, __all__ = attach(__name__, PLACES)
