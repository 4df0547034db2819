"""The impulse responses phi that the theory experiment asks for (P2 = arXiv 2410.14067, Section 4.1 and Corollaries
1-3).

    delay (P2's "copy")   phi_k = 1 at k = floor((L - 1) / 2), else 0         Corollary 1
    random                phi_k ~ U[-1, 1], independent                       Corollary 2 (with its a = 1)
    oscillation           phi_k = Re(i^k) = 1, 0, -1, 0, 1, ...               Corollary 3
 k counts from 0. `raw_target` is phi as P2's statements use it; `target` is phi / ||phi||_2, so that the zero map has
squared error 1. The lower bounds on n_R ||C o B||_inf scale with phi: at the same relative error they are divided by
||phi||_2 too (`bounds.Corollary.scaled`).
"""

from typing import Literal, get_args

import numpy as np

from ..errors import UserError, did_you_mean

Task = Literal["delay", "random", "oscillation"]
TASKS: tuple[Task, ...] = get_args(Task)
ALIASES: dict[str, Task] = {"copy": "delay"}
_DOMAIN = 0x7A26E7  # keeps this stream apart from every other stream drawn from the same seed


def canonical(task_name: str) -> Task:
    """Returns the one name of a task ("copy" is P2's name for "delay"). Raises UserError for an unknown one."""
    name = ALIASES.get(task_name, task_name)
    if name not in TASKS:
        raise UserError(f"unknown task_name '{task_name}'{did_you_mean(task_name, [*TASKS, *ALIASES])}")
    return name


def raw_target(task_name: str, L: int, seed: int = 0) -> np.ndarray:
    """Returns phi before normalisation, float64 (L,). Only "random" looks at the seed, and at nothing but (seed, L).

    Raises UserError for an unknown task, L < 1 or a negative seed.
    """
    name = canonical(task_name)
    if L < 1:
        raise UserError(f"L = {L}: a target needs at least one entry; set L to 1 or more")
    if seed < 0:
        raise UserError(f"seed = {seed}: expected 0 or more")
    if name == "random":
        return np.random.default_rng(np.random.SeedSequence((_DOMAIN, seed, L))).uniform(-1.0, 1.0, L)
    phi = np.zeros(L)
    if name == "delay":
        phi[(L - 1) // 2] = 1.0
    else:
        phi[0::4], phi[2::4] = 1.0, -1.0
    return phi


def target(task_name: str, L: int, seed: int = 0) -> np.ndarray:
    """Returns phi / ||phi||_2, float64 (L,). Arguments and errors as in `raw_target`."""
    phi = raw_target(task_name, L, seed)
    return phi / np.linalg.norm(phi)
