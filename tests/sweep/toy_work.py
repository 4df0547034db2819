"""A small work function: a seeded random walk with a checkpoint, and the accidents that the tests need.

The accidents stand in the config: `fail_at`, `nan_at`, `kill_at` (a step) happen once in a folder; `wait` is the time a
step takes; where `gate` is set, the work waits at that step for a file `go` in the sweep's folder.
"""

import os
import signal
import time
from pathlib import Path

import torch

from src.sweep import Control, Interrupted, RunFolder

EVERY = 5


def work(folders: list[RunFolder], control: Control) -> None:
    for folder in folders:
        walk(folder, control)


def walk(folder: RunFolder, control: Control) -> None:
    config = folder.config
    generator = torch.Generator().manual_seed(config["seed"])
    step, x = 0, torch.zeros(3)
    state = folder.load_state()
    if state is not None:
        step, x = state["step"], state["x"]
        generator.set_state(state["generator"])
        control.resumed(step)
    while step < config["n_steps"]:
        accident(folder, step)
        x = x + torch.randn(3, generator=generator)
        step += 1
        time.sleep(config.get("wait", 0.0))
        control.advance(1)
        if step % EVERY == 0:
            folder.log.log(step, x=x.tolist())
            folder.save_state({"step": step, "x": x, "generator": generator.get_state()})
        if control.stop():
            folder.save_state({"step": step, "x": x, "generator": generator.get_state()})
            raise Interrupted
    folder.save_arrays(x=x.numpy())
    folder.finish({"x": x.tolist(), "threads": torch.get_num_threads()})


def accident(folder: RunFolder, step: int) -> None:
    config = folder.config
    if config.get("gate") == step:
        while not Path(folder.path, "../../go").exists():
            time.sleep(0.02)
    for kind in ("fail_at", "nan_at", "kill_at"):
        if config.get(kind) == step:
            done = folder.path / f"{kind}.happened"
            if not done.exists():
                done.touch()
                _ACCIDENTS[kind]()


def _fail() -> None:
    raise ValueError("the toy broke\nat this place")


def _nan() -> None:
    raise FloatingPointError("loss is nan at step 7")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_ACCIDENTS = {"fail_at": _fail, "nan_at": _nan, "kill_at": _kill}
