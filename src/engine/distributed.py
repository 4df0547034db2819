"""One process, or many started by torchrun: every function here does the right thing in both, so that the loop is one.

torchrun sets RANK, LOCAL_RANK and WORLD_SIZE; processes talk over gloo on CPUs and over nccl on GPUs.
"""

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Value = TypeVar("Value")


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Joins the processes that torchrun started, and leaves them at the end; does nothing in a process of its own."""
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        dist.barrier()  # the first to leave would pull down connections that the others still use
    finally:
        gc.collect()  # DistributedDataParallel is part of reference cycles; outliving its group it aborts the process
        dist.destroy_process_group()


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """True in the one process that logs, prints and saves."""
    return rank() == 0


def gather(value: Value) -> list[Value]:
    """Returns the plain `value` of every process, in order of rank, to every process."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast(value: Value) -> Value:
    """Returns process 0's plain `value` to every process."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def sum_(x: Tensor) -> Tensor:
    """Adds the tensor x of all processes, in place; waits for no device."""
    if world_size() > 1:
        dist.all_reduce(x)
    return x


def same_buffers(model: nn.Module) -> None:
    """Gives every process the buffers of process 0 (running statistics differ, as each process saw other batches)."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def data_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """Returns the model itself, or its DistributedDataParallel wrapper (mean of the gradients over the processes)."""
    if world_size() == 1:
        return model
    return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
