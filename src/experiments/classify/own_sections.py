"""The sections of a config that a class of the user's may stand in."""

from collections.abc import Mapping
from typing import Any

from ...config.own_code import TARGET

LAYER, KERNEL, TASK = "model.layer", "model.layer.kernel", "task"
SECTIONS = (LAYER, TASK)  # which a class of the user's takes the whole place of


def is_own(section: Any) -> bool:
    """Whether a section of a config names a class of the user's."""
    return isinstance(section, Mapping) and TARGET in section
