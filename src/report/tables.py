"""Kept for what still imports from here; `src.tables` holds the table, `src.report.summary` the one of all runs."""

from src.report.summary import summary
from src.tables import Table, format_value

__all__ = ["Table", "format_value", "summary"]
