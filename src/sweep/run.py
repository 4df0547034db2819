"""One run of a sweep: what is computed, and the key that names it.

The key is a hash of the experiment and its resolved config, so a changed config never meets the results of another one.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from ..config import canonical_json

NUMERICS = (
    3  # raise it when the same config gives other numbers: results of older code are then not taken for those of newer
)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*")


@dataclass(frozen=True, eq=False)
class Run:
    """An experiment's name (it becomes a folder), its resolved config of plain values, and a short label for people; `numerics` is
    the version of the code's arithmetic that it was begun with.

    Two runs are equal when their keys are; the label does not count.
    """

    experiment: str
    config: dict[str, Any]
    label: str = ""
    numerics: int = NUMERICS

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.experiment):
            raise ValueError(f"an experiment's name is made of letters, digits and _ . - /, got {self.experiment!r}")

    @property
    def key(self) -> str:
        """12 hex digits of the SHA-256 of {config, experiment, numerics} as canonical JSON; version 1 had no numerics in it."""
        version = {} if self.numerics == 1 else {"numerics": self.numerics}
        text = canonical_json({"experiment": self.experiment, "config": self.config, **version})
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """What messages call the run: its label with its key, or the key alone."""
        return f"{self.label} [{self.key}]" if self.label else self.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def run_with_key(experiment: str, config: dict[str, Any], key: str, label: str = "") -> Run | None:
    """Returns the run that has the key, of whichever version of the numerics: reports are about old runs too. None where the config is
    not the one that the key was made of."""
    versions = (Run(experiment, config, label, numerics) for numerics in range(NUMERICS, 0, -1))
    return next((run for run in versions if run.key == key), None)
