"""Weights of published S4, S4D and Mamba code (arXiv 2111.00396, 2206.11893, 2312.00752, 2410.14067) as modules of this suite.

A format is a table of names: published -> ours (`s4.py`, `mamba.py`). What is stored in another form there is converted by name.
Formats are told apart by their names alone; docs/library.md shows the tables. A complex tensor is real pairs (..., 2), there and here.
"""

from .load import load_published

__all__ = ["load_published"]
