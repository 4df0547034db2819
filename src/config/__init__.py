"""Configs: YAML files and `key=value` words into checked dataclasses and grids of runs."""

from .build import build
from .canonical import canonical_json
from .grid import expand_grid
from .yaml import load_yaml, parse_assignments

__all__ = ["build", "canonical_json", "expand_grid", "load_yaml", "parse_assignments"]
