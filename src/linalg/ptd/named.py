"""Where experiments get their perturbation from: a name, a file, or a spec solved once and kept by content.

Solved perturbations lie in `$SSM_CACHE/ptd`, or `~/.cache/ssm-experiments/ptd`, under the hash of all settings and of
the solver's version. A torn or foreign file there is solved anew.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

from ...cache import cache_root
from ...errors import UserError, did_you_mean
from ...resources import resource
from .files import load_perturbation, save_perturbation
from .perturbation import Perturbation, random_perturbation, rank1
from .solver import Progress, solve
from .spec import Spec, default_size

DATA = resource("data")
_SAID: set[str] = set()  # lines of `made_stable`; every layer of a model asks
NAMES = ("rank1", "random", "solve", "cond")


def cache_folder() -> Path:
    """Returns the folder of solved perturbations; it need not exist."""
    return cache_root() / "ptd"


def solve_cached(spec: Spec, progress: Progress | None = None) -> Perturbation:
    """Returns `solve(spec)`, from the cache when it was solved before.

    A cache that cannot be written costs a warning, not the result.
    """
    path = cache_folder() / f"{spec.key()}.npz"
    if path.exists():
        try:
            return load_perturbation(path, spec.n)
        except UserError as error:
            warnings.warn(f"solving again: {error}", stacklevel=2)
    found = solve(spec, progress=progress)
    try:
        save_perturbation(path, found)
    except (UserError, OSError) as error:
        warnings.warn(f"the solution is not cached: {error}", stacklevel=2)
    return found


def named_perturbation(
    name: str | Path | Spec | None, n: int, size: float | None = None, seed: int = 0, progress: Progress | None = None
) -> Perturbation:
    """Returns the perturbation that a config names.

    Args:
        name: None for the committed solution `data/ptbHiPPO<n>.mat` (solved and cached when there is none for this n
            or when another size is asked for); 'rank1' (S4D); 'random' (Ginibre); 'solve' (real, of the given size);
            'cond' (the earlier objective, `data/ptbHiPPO<n>_cond.mat` or solved); a `Spec`; or the path of a `.mat` or
            `.npz` file.
        n: number of states; a file or spec for another n is refused.
        size: ||E||_2 / ||A_H||_2 for 'random', 'solve', 'cond' and None; `default_size(n)` when None.
        seed: of 'random'.
        progress: called with a line of text a round when something is solved.

    Raises:
        UserError: an unknown name or a file that does not fit.
    """
    if isinstance(name, Spec):
        if name.n != n:
            raise UserError(f"the perturbation is specified for n = {name.n} states, but n = {n} is asked for")
        return solve_cached(name, progress)
    if name == "rank1":
        return rank1(n)
    if name == "random":
        return random_perturbation(n, size or default_size(n), seed)
    committed = DATA / f"ptbHiPPO{n}{'_cond' if name == 'cond' else ''}.mat"
    if name in (None, "cond") and size is None and committed.is_file():
        return load_perturbation(committed, n)
    if name in (None, "solve", "cond"):
        objective = "cond" if name == "cond" else "distance"
        return solve_cached(Spec(n=n, objective=objective, size=size or default_size(n)), progress)
    if Path(name).suffix not in (".mat", ".npz"):
        raise UserError(
            f"unknown perturbation '{name}' (a name, or a .mat or .npz file){did_you_mean(str(name), NAMES)}"
        )
    return load_perturbation(name, n)


def made_stable(found: Perturbation, say: Callable[[str], None] = print) -> Perturbation:
    """Returns `found`, or where it is unstable the reflected system, as the published code uses it, and says so once."""
    if found.max_real < 0:
        return found
    reflected = found.reflected()
    line = (
        f"perturbation for n = {found.n}: max Re {found.max_real:+.3g} is unstable, eigenvalues are reflected: "
        f"size {found.size:.4g} -> {reflected.size:.4g}, cond(V) {found.cond:.4g} -> {reflected.cond:.4g}"
    )
    if line not in _SAID:
        _SAID.add(line)
        say(line)
    return reflected
