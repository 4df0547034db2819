"""Whole models: a tower (encoder, residual backbone, pooling) under a classifier's or a retrieval model's head."""

from .backbone import ResidualBackbone
from .classifier import Classifier
from .retrieval import Retrieval
from .tower import Tower

__all__ = ["Classifier", "ResidualBackbone", "Retrieval", "Tower"]
