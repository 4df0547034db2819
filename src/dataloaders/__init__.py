"""Real and generated data sets as batches of sequences; README.md in this folder says how each is obtained."""

from .base import Batch, SequenceDataset, Splits, Subset
from .load import check_options, load

__all__ = ["Batch", "SequenceDataset", "Splits", "Subset", "check_options", "load"]
