"""A small work function, a seeded random walk with a checkpoint, and the accidents that the tests need.

An accident is an empty file `<kind>-<seed>-<step>` in the folder of the sweep: it happens in the run with that seed before
that step, and the file is gone then. So a run that met one has the same config, and must have the same result, as one that
did not. A `gate` holds the run up while its file is there; `at-gate-<seed>-<step>` tells that the run has reached it,
and in which process.
"""

import os
import resource
import signal
import time
from pathlib import Path

from src.sweep import Control, Interrupted, RunFolder

EVERY = 5


def work(folders: list[RunFolder], control: Control) -> None:
    for folder in folders:
        walk(folder, control)


def walk(folder: RunFolder, control: Control) -> None:
    import torch  # a second of every worker's start, and not all tests need it

    config = folder.config
    generator = torch.Generator().manual_seed(config["seed"])
    step, x = 0, torch.zeros(3)
    state = folder.load_state()
    if state is not None:
        step, x = state["step"], state["x"]
        generator.set_state(state["generator"])
        control.resumed(step)
    while step < config["n_steps"]:
        meet_accidents(folder, step, control)
        if control.stop():
            folder.save_state({"step": step, "x": x, "generator": generator.get_state()})
            raise Interrupted
        x = x + torch.randn(3, generator=generator)
        step += 1
        control.advance(1)
        if step % EVERY == 0:
            folder.log.log(step, x=x.tolist())
            folder.save_state({"step": step, "x": x, "generator": generator.get_state()})
    folder.save_arrays(x=x.numpy())
    folder.finish({"x": x.tolist()})


def describe_batch(folders: list[RunFolder], control: Control) -> None:
    """Finishes each run with what the worker looks like from inside."""
    for folder in folders:
        folder.finish(
            {
                "batch": len(folders),
                "device": control.device,
                "sharing": control.sharing,
                "threads": [os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")],
                "pid": os.getpid(),
                "main": Path(getattr(__import__("__main__"), "__file__", "none")).name,
                "max_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )


def forget_to_finish(folders: list[RunFolder], control: Control) -> None:
    """Returns without a word about its runs."""


def meet_accidents(folder: RunFolder, step: int, control: Control) -> None:
    sweep_folder = folder.path.parents[1]
    place = f"{folder.config['seed']}-{step}"
    for kind, happen in ACCIDENTS.items():
        sign = sweep_folder / f"{kind}-{place}"
        if sign.exists():
            sign.unlink()
            happen()
    for kind in ("gate", "deaf_gate"):
        while (sweep_folder / f"{kind}-{place}").exists() and (kind == "deaf_gate" or not control.stop()):
            (sweep_folder / f"at-gate-{place}").write_text(str(os.getpid()))
            time.sleep(0.02)


def fail() -> None:
    raise ValueError("the toy broke\nat this place")


def run_out_of_gpu_memory() -> None:
    import torch

    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def lose_the_context() -> None:
    raise RuntimeError("CUDA error: device-side assert triggered")


def become_nan() -> None:
    raise FloatingPointError("loss is nan")


def run_out_of_memory() -> None:
    raise MemoryError


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_disk() -> None:
    """No file may grow beyond 300 bytes from here on, as if the disk were full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))


ACCIDENTS = {
    "fail": fail,
    "nan": become_nan,
    "memory": run_out_of_memory,
    "gpu_memory": run_out_of_gpu_memory,
    "context": lose_the_context,
    "kill": be_killed,
    "full_disk": fill_the_disk,
}
