"""Discretisation of diagonal systems; `operation` says what it computes and in which forms."""

from .operation import DISCRETISATIONS, DISCRETISE, discretise

__all__ = ["DISCRETISATIONS", "DISCRETISE", "discretise"]
