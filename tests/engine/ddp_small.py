"""Run by torchrun: trains the small network in every process and writes what process 0 ends with.

`torchrun --nproc_per_node=2 -m tests.engine.ddp_small OUT MODE [DEVICE]`, MODE one of train, resume, stop, fail; DEVICE is cpu or cuda.
"""

import signal
import sys
from pathlib import Path

import torch

from src.engine import (
    Evaluation,
    Plan,
    TensorBatches,
    choose_device,
    classification,
    distributed,
)
from src.errors import EXIT_INTERRUPTED
from src.stop import Interrupted, StopSignals
from tests.engine.ports import FileStore, fit
from tests.engine.small import CPU, data, network, start


def train(batch_size: int, device: torch.device = CPU, **ports):
    """8 steps of 2 x 8 (or 16) samples in float64, without dropout; the evaluation set does not divide by 2."""
    state = start(network(dropout=0.0, norm=False).double().to(device), decay=0.9)
    x, y = data(n=75)
    x_test, y_test = data(n=37, seed=1)
    validation = Evaluation(TensorBatches((x_test.double(), y_test), 5), classification, device)
    plan = Plan(max_epochs=2, accumulate_grad_batches=1, gradient_clip_val=0.4, log_every=2, save_steps=3)
    source = TensorBatches((x.double(), y), batch_size, seed=3, drop_last=False)
    evaluators = {"val": validation}
    lines = ports.pop("say", lambda line: None)
    result = fit(
        state, source, classification, plan, device, evaluators=evaluators, final=evaluators, say=lines, **ports
    )
    return state, result


def main(out: Path, mode: str, where: str = "cpu") -> int:
    torch.set_num_threads(1)
    device = choose_device(where)
    rows = []

    signals = StopSignals()

    def advance(n_steps: int) -> None:
        if mode == "stop" and len(rows) == 1 and not signals.asked():
            signal.raise_signal(signal.SIGTERM)  # in process 0 alone
        if mode == "fail" and len(rows) == 1:
            raise ValueError("process 0 fails alone")

    with distributed.process_group(device), signals:
        try:
            state, result = train(
                8,
                device,
                log=lambda step, **row: rows.append(row),
                store=FileStore(out, "ddp"),
                stop=signals.asked,
                advance=advance,
            )
        except Interrupted:
            return EXIT_INTERRUPTED
        if distributed.is_main():
            torch.save(
                {"weights": state.weights(), "final": result.final, "last": result.last, "rows": rows}, out / "end.pt"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
