"""Runs as tables and pictures; `python -m src.report <folder>` rebuilds them from the run folders alone."""
