"""One run of the theory experiment: the published configuration keys, their types and ranges."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from ..errors import UserError
from .targets import canonical

OPTIMIZERS = ("adam", "adamw", "radam")


@dataclass(frozen=True)
class TheoryConfig:
    """The keys of `theory_real.yaml` and `theory_complex.yaml` as published, then those added here.

    Raises:
        UserError: a value out of range.
    """

    N: int  # states
    complex_option: bool
    L: int | Literal["N"]  # fitted length; "N" means L = N
    task_name: str  # random, delay (the paper's copy) or oscillation
    opt: Literal["adam", "adamw", "radam"] = "adam"
    lr: float = 1e-5
    num_epochs: int = 500_000  # optimizer steps
    r_min: float = 0.99
    BC_std: float = 1e-3
    seed: int = 0
    radius_density: Literal["uniform", "area"] = "uniform"
    zero_grad: bool = True  # False: gradients add up over all steps, as in the published code
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "L", self.N if self.L == "N" else self.L)
        object.__setattr__(self, "task_name", canonical(self.task_name))
        for name in ("N", "L", "num_epochs"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: expected 1 or more")
        if self.seed < 0:
            raise UserError(f"seed = {self.seed}: expected 0 or more")
        for name in ("lr", "BC_std"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"{name} = {getattr(self, name)}: expected a positive number")
        if not 0 <= self.r_min < 0.9999:
            raise UserError(f"r_min = {self.r_min}: expected 0 <= r_min < 0.9999, the largest radius")

    def plain(self) -> dict[str, Any]:
        """Returns the resolved keys as a plain dict: what a run is keyed by."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def as_published(self) -> "TheoryConfig":
        """Returns the run as the published code does it: gradients never zeroed, radii drawn uniformly in area for real A too."""
        return replace(self, zero_grad=False, radius_density="area")
