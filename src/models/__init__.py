"""Whole models: a tower (encoder, residual backbone, pooling) under a classifier's or a retrieval model's head."""

from src.models.backbone import ResidualBackbone
from src.models.classifier import Classifier
from src.models.retrieval import Retrieval
from src.models.tower import Tower

__all__ = ["Classifier", "ResidualBackbone", "Retrieval", "Tower"]
