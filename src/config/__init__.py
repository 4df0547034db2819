"""Configs: YAML files and `key=value` words into checked dataclasses and grids of runs."""

from src.config.build import build
from src.config.canonical import canonical_json
from src.config.grid import expand_grid
from src.config.yaml import load_yaml, parse_assignments

__all__ = ["build", "canonical_json", "expand_grid", "load_yaml", "parse_assignments"]
