"""One process, or many started by torchrun: every function here does the right thing in both, so that the loop is one.

torchrun sets RANK, LOCAL_RANK and WORLD_SIZE. Tensors go over gloo on CPUs and over nccl on GPUs. Plain values go over gloo always, so
that the question "does any process want to stop?" waits for no GPU.
"""

import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import EXIT_FAILED, run_door
from ..variables import is_started_by_torchrun

Value = TypeVar("Value")


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Joins the processes that torchrun started, and leaves them at the end; does nothing in a process of its own.

    Args:
        device: this process's own; a GPU has its number.

    Raises:
        UserError: WORLD_SIZE is set, and not by torchrun.
    """
    if not is_started_by_torchrun() or dist.is_initialized():
        yield
        return
    if device.type == "cuda":
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    try:
        yield
        dist.barrier()  # the first to leave would pull down connections that the others still use
    except BaseException as error:
        if device.type == "cuda":
            _leave_at_once(error)
        raise
    finally:
        gc.collect()  # DistributedDataParallel is part of reference cycles; outliving its group it aborts the process
        dist.destroy_process_group()


def _leave_at_once(error: BaseException) -> NoReturn:
    """Says what happened, as a script's door does, and ends this process without taking anything down.

    The others wait in a collective that this process will not join. Taking nccl down would wait for them, and torchrun ends them only
    when this process is gone.
    """

    def fail() -> NoReturn:
        raise error

    code = EXIT_FAILED
    try:
        run_door(fail)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else EXIT_FAILED)


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
    """Returns the model itself, or its DistributedDataParallel wrapper (mean of the gradients over the processes).

    Buffers are not exchanged in every step: training does not read the running statistics, and `same_buffers` makes them equal before
    something does.
    """
    if world_size() == 1:
        return model
    ids = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, broadcast_buffers=False)
