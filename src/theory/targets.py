"""The impulse responses phi that the theory experiment asks for (P2 = arXiv 2410.14067, Section 4.1 and Corollaries 1-3).

    delay (P2's "copy")   phi_k = 1 at k = floor((L - 1) / 2), else 0         Corollary 1
    random                phi_k ~ U[-1, 1], independent                       Corollary 2 (with its a = 1)
    oscillation           phi_k = Re(i^k) = 1, 0, -1, 0, 1, ...               Corollary 3
    alternation           phi_k = (-1)^k                                      P2's oscillation that is easy for real SSMs
    decay                 phi_k = 0.9^k                                       one real state answers it

k counts from 0. `raw_target` is phi as P2's statements use it; `target` is phi / ||phi||_2, so that the zero map has squared error 1.
The lower bounds on n_R ||C o B||_inf scale with phi: at the same relative error they are divided by ||phi||_2 too
(`bounds.Corollary.scaled`).

A target is one entry of `TASKS`: the experiment, its tables, figures and bounds take the names and their order from there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import UserError, did_you_mean

_DOMAIN = 0x7A26E7  # keeps this stream apart from every other stream drawn from the same seed
DECAY = 0.9


@dataclass(frozen=True)
class Target:
    """A family of impulse responses, one for each length (and seed).

    Attributes:
        title: what tables and figures call it.
        entries: (L, seed) -> phi before normalisation, float64 (L,).
        seeded: each seed has a target of its own.
    """

    title: str
    entries: Callable[[int, int], np.ndarray]
    seeded: bool = False


def _impulse(L: int, seed: int) -> np.ndarray:
    return np.eye(1, L, (L - 1) // 2)[0]


def _random(L: int, seed: int) -> np.ndarray:
    return np.random.default_rng(np.random.SeedSequence((_DOMAIN, seed, L))).uniform(-1.0, 1.0, L)


def _oscillation(L: int, seed: int) -> np.ndarray:
    return np.resize([1.0, 0.0, -1.0, 0.0], L)


def _alternation(L: int, seed: int) -> np.ndarray:
    return np.resize([1.0, -1.0], L)


def _decay(L: int, seed: int) -> np.ndarray:
    return DECAY ** np.arange(L)


TASKS = {
    "delay": Target("copy", _impulse),
    "random": Target("random", _random, seeded=True),
    "oscillation": Target("oscillation", _oscillation),
    "alternation": Target("alternation", _alternation),
    "decay": Target("decay", _decay),
}
ALIASES = {"copy": "delay"}


def canonical(task_name: str) -> str:
    """Returns the one name of a task ("copy" is P2's name for "delay"). Raises UserError for an unknown one."""
    name = ALIASES.get(task_name, task_name)
    if name not in TASKS:
        raise UserError(f"unknown task_name '{task_name}'{did_you_mean(task_name, [*TASKS, *ALIASES])}")
    return name


def raw_target(task_name: str, L: int, seed: int = 0) -> np.ndarray:
    """Returns phi before normalisation, float64 (L,). Only a seeded target looks at the seed, and at nothing but (seed, L).

    Raises UserError for an unknown task, L < 1 or a negative seed.
    """
    name = canonical(task_name)
    if L < 1:
        raise UserError(f"L = {L}: a target needs at least one entry; set L to 1 or more")
    if seed < 0:
        raise UserError(f"seed = {seed}: expected 0 or more")
    return TASKS[name].entries(L, seed)


def target(task_name: str, L: int, seed: int = 0) -> np.ndarray:
    """Returns phi / ||phi||_2, float64 (L,). Arguments and errors as in `raw_target`."""
    phi = raw_target(task_name, L, seed)
    return phi / np.linalg.norm(phi)
