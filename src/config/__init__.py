"""Configs: YAML files and `key=value` words into checked dataclasses and grids of runs."""

from .build import LARGEST, Count, NotNegative, Positive, Range, Seed, Size, build
from .canonical import canonical_json
from .flat import flat
from .grid import expand_grid
from .plain import check_plain, section
from .words import parse_assignments
from .yaml import check_no_resolver, load_yaml

__all__ = [
    "LARGEST",
    "Count",
    "NotNegative",
    "Positive",
    "Range",
    "Seed",
    "Size",
    "build",
    "canonical_json",
    "check_no_resolver",
    "check_plain",
    "expand_grid",
    "flat",
    "load_yaml",
    "parse_assignments",
    "section",
]
