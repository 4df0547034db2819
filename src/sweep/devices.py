"""Which device each worker of a sweep computes on.

One rule: on GPUs a sweep has (GPUs x runs a GPU) workers, on the CPU it has --num_cpus. Workers go round the cards first
(cuda:0, cuda:1, cuda:0, cuda:1), so that a short sweep uses all. Numbers are as torch counts: what CUDA_VISIBLE_DEVICES, or Slurm, shows.

Asking makes no CUDA context: the process that hands out the runs computes nothing, and each context takes memory of its card.
"""

import os
from collections.abc import Sequence
from typing import Literal

from ..errors import UserError
from ..variables import openmp_threads

Gpus = Literal["auto"] | tuple[int, ...]


def pick_devices(device: str, gpus: Gpus | None = None, launcher: str = "process") -> list[str]:
    """Returns the devices for the options --device and --gpus: CUDA devices, or the CPU.

    Args:
        device: "auto" (CUDA where there is some), "cpu", "cuda", or "cuda:1" for one card by number.
        gpus: the numbers wanted; "auto" and None are all.

    Raises:
        UserError: a CUDA device was asked for that is not there, or one together with the CPU, or by number on a Ray cluster.
    """
    device, _, index = device.partition(":")
    if index:
        if gpus is not None:
            raise UserError(f"--gpus and device={device}:{index} do not go together; leave one of them out")
        gpus = (int(index),)
    if isinstance(gpus, tuple) and launcher == "ray" and "RAY_ADDRESS" in os.environ:
        raise UserError("--gpus: a Ray cluster chooses among its own GPUs; leave the numbers out")
    if device == "cpu":
        if gpus is not None:
            raise UserError("--gpus and a CPU device do not go together; leave one of them out")
        return ["cpu"]
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if isinstance(gpus, tuple):
        _check_there(gpus, count)
        return [f"cuda:{index}" for index in gpus]
    if count:
        return [f"cuda:{index}" for index in range(count)]
    if device == "cuda":
        raise UserError("--device cuda: torch finds no CUDA device here; use --device cpu")
    return ["cpu"]


def _check_there(gpus: Sequence[int], count: int) -> None:
    for index in gpus:
        if index >= count:
            there = "torch finds no CUDA device here"
            there = f"torch finds {count} CUDA device{'s' * (count > 1)} here, counted from 0" if count else there
            raise UserError(f"--gpus {','.join(map(str, gpus))}: there is no GPU {index}; {there}")


def is_gpu(device: str) -> bool:
    """Tells whether a device's name is that of a GPU."""
    return device.startswith("cuda")


def count_workers(devices: Sequence[str], num_cpus: int, runs_per_gpu: int) -> int:
    """Returns the number of workers: len(devices) x runs_per_gpu on GPUs, num_cpus on the CPU."""
    return len(devices) * runs_per_gpu if is_gpu(devices[0]) else num_cpus


def make_slots(devices: Sequence[str], workers: int) -> list[str]:
    """Returns the device of each worker, going round the devices."""
    return [devices[i % len(devices)] for i in range(workers)]


def threads_of(slots: Sequence[str], launcher: str = "process", threads: int | None = None) -> int:
    """Returns the CPU threads of each worker: `threads` or OMP_NUM_THREADS where given; else the cores shared out among workers on GPUs.

    A worker on the CPU is one core, as --num_cpus says: small models lose more by waiting for a second thread than it gives them. So is a
    task on Ray, whose machines this one does not know.
    """
    asked = threads or openmp_threads()
    if asked is not None:
        return asked
    return max(1, available_cores() // len(slots)) if is_gpu(slots[0]) and launcher == "process" else 1


def available_cores() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_slots(slots: Sequence[str], launcher: str = "process", threads: int | None = None) -> str:
    """Returns the line of a dry run about the workers; `threads`: of each, as asked for."""
    workers, share = len(slots), slots.count(slots[0])
    at_a_time = "worker" if launcher == "process" else "Ray task"
    counted = f"{workers} {at_a_time}{'s' * (workers > 1)}"
    if not is_gpu(slots[0]):
        where = "on the CPU"
    elif launcher == "process":
        where = f"on {', '.join(dict.fromkeys(slots))}, {share} run{'s' * (share > 1)} a GPU"
    else:
        where = f"with {f'1/{share} of a' if share > 1 else 'one'} GPU each"
    threads = threads_of(slots, launcher, threads)
    return f"placement: {counted} {where}, {threads} thread{'s' * (threads > 1)} each"


def contention(threads: int) -> str | None:
    """Returns a line where so many threads more than this process has now would wait for each other."""
    try:
        busy = os.getloadavg()[0]  # over the last minute
    except OSError:
        return None
    cores = available_cores()
    if busy < 0.5 or busy + threads <= cores + 1:
        return None
    return f"threads: {threads} wanted, and others keep {busy:.1f} of {cores} cores busy: times will vary, and more threads are slower"


def bind(device: str) -> None:
    """Makes a GPU the current one of this process, so that what names no device (random state, pinned memory) means it.

    A device that is not there is left to fail the work that uses it.
    """
    if not is_gpu(device):
        return
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(torch.device(device).index or 0)
