"""The keys of a PTD layer that say which E it has (arXiv 2310.01698, Section 4), and how it is found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ...config import Count, Positive, Range, Seed
from ...errors import UserError
from ...linalg.ptd import Perturbation, Spec, made_stable, named_perturbation, solve_cached
from ...linalg.ptd.named import DATA

WHERE = "model.layer"
_Distance = Annotated[float, Range(1e-12, 1e3)]  # of E from 0, as a share of A_H


@dataclass(frozen=True, kw_only=True)
class Perturbed:
    """The keys that say which E a PTD layer has; see `configs/model/layer/s4-ptd.yaml`."""

    perturbation: str | None = None
    perturbation_size: _Distance | None = None
    perturbation_seed: Seed = 0
    delta: Positive | None = None
    objective: Literal["ours", "published"] = "ours"
    solver_lr: Positive = 0.003
    solver_iterations: Count = 20_000
    reflect: bool = True

    @property
    def n(self) -> int:
        """States of the system that is perturbed."""
        return self.d_state

    def find(self, say: Callable[[str], None] | None = None) -> Perturbation:
        """Returns the E for n states; what has to be solved is solved once and cached.

        Raises:
            UserError: no such name or file, one that does not fit, or a size or delta out of range.
        """
        if self.spec_is_named():
            return solve_cached(self.spec(), say)
        name = self.perturbation
        if name is not None and not Path(name).exists() and Path(name).name == name and (DATA / name).is_file():
            name = DATA / name
        return named_perturbation(name, self.n, self.perturbation_size, self.perturbation_seed, say)

    def trained(self) -> Perturbation:
        """Returns the system that a run starts from: `find`, its unstable eigenvalues reflected where `reflect` says so."""
        return made_stable(self.find()) if self.reflect else self.find()

    def spec_is_named(self) -> bool:
        """Whether delta or the published objective says what is solved."""
        if self.delta is None and self.objective == "ours":
            return False
        if self.perturbation != "solve":
            raise UserError(f"{WHERE}: delta and objective are for perturbation=solve, not {self.perturbation}")
        if self.perturbation_size is not None:
            raise UserError(
                "give delta or size, not both: a size is reached whatever its delta is, with objective=ours"
            )
        return True

    def check_target(self) -> None:
        """Raises UserError for a size or delta out of range, without solving anything."""
        if self.spec_is_named():
            self.spec()
        elif self.perturbation_size is not None:
            Spec(n=self.n, size=self.perturbation_size)

    def spec(self) -> Spec:
        """Returns the solver's problem that `delta` and `objective` name."""
        delta = 1.0 if self.delta is None else self.delta
        if self.objective == "ours":
            return Spec(n=self.n, objective="cond", gamma=delta)
        options = {"real": False, "lr": self.solver_lr, "max_iterations": self.solver_iterations}
        return Spec(n=self.n, objective="published", delta=delta, **options)
