"""Where a run computes: "auto" takes a CUDA device when there is one that works, and says so in one line."""

import os

import torch

from src.errors import UserError, did_you_mean


def choose_device(name: str = "auto") -> torch.device:
    """Returns the device for "auto", "cpu", "cuda" or "cuda:<i>", and makes it this process's current one.

    Under torchrun "auto" and "cuda" mean the GPU numbered LOCAL_RANK, so that each process has its own.

    Raises:
        UserError: an unknown name, a CUDA device that is not there, or one GPU for all processes of torchrun.
    """
    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise UserError(f"unknown device '{name}'{did_you_mean(name, ('auto', 'cpu', 'cuda'))}")
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        build = f"this torch ({torch.__version__}) sees no CUDA device"
        raise UserError(f"device '{name}': {build}; use device=cpu, or install a CUDA build of torch")
    local_rank, count = os.environ.get("LOCAL_RANK"), torch.cuda.device_count()
    if index and local_rank is not None and int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > 1:
        raise UserError(f"device '{name}': processes of torchrun take a GPU each; use device=cuda")
    number = int(index or local_rank or 0)
    if number >= count:
        more = ", counted from 0" if index else f" for the processes of torchrun; use --nproc_per_node={count}"
        raise UserError(f"device '{name}': there are {count} CUDA devices{more}")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def describe_device(device: torch.device) -> str:
    """Returns the line that a run prints about its device."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"device: {device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    return f"device: cpu ({torch.get_num_threads()} threads)"
