"""Run folders of a made-up theory sweep, written as plain files in the layout that sweeps write."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from src.sweep import Run
from src.theory.targets import target

REAL = {
    "seed": 0,
    "N": 16,
    "complex_option": False,
    "L": 12,
    "task_name": "delay",
    "opt": "adam",
    "num_epochs": 1000,
    "lr": 1e-4,
    "r_min": 0.0,
    "zero_grad": True,
    "dtype": "float32",
}
COMPLEX = {**REAL, "N": 12, "complex_option": True}
STEPS = [250, 500, 750, 1000]


def write_run(out: Path, error: float, *, state: str = "done", **config: Any) -> Path:
    """Writes the folder of one run; a finished one misses its target by the factor sqrt(error), so that its squared error is `error`."""
    config = {**(COMPLEX if config.get("complex_option") else REAL), **config}
    experiment = "theory-complex" if config["complex_option"] else "theory-real"
    run = Run(experiment, config)
    folder = out / experiment / run.key
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    status = {
        "state": state,
        "step": 1000,
        "message": "ValueError: loss is NaN" if state == "failed" else "",
        "label": "a run",
    }
    (folder / "status.json").write_text(json.dumps(status))
    curve = [1.0, 0.5 * (1 + error), 1.1 * error, 1.5 * error]
    rows = [
        {"step": s, "loss": x, "min_loss": x, "max_B": 1, "max_C": 1, "max_CB": 0.1 * s, "w_l1": 0.02 * s}
        for s, x in zip(STEPS, curve, strict=True)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if state == "done":
        write_result(folder, run, error)
    return folder


def write_result(folder: Path, run: Run, error: float) -> None:
    phi = target(run.config["task_name"], run.config["L"], run.config["seed"])
    response = (1 - np.sqrt(error)) * phi
    l1_raw = float(np.abs(response - phi).sum())
    result = {
        "loss": 1.5 * error,
        "min_loss": error,
        "min_loss_step": 750,
        "l1": 1.2 * float(np.sqrt(error)),
        "l1_at_min": float(np.sqrt(error)),
        "l1_raw": 1.2 * l1_raw,
        "l1_raw_at_min": l1_raw,
        "n_max_CB": 1.6 * run.config["N"],
        "n_max_CB_at_min": 1.5 * run.config["N"],
        "w_l1_at_min": 15.0,
        "seconds": 2.5,
    }
    record = {"experiment": run.experiment, "key": run.key, "result": result}
    (folder / "result.json").write_text(json.dumps(record))
    np.savez(folder / "arrays.npz", target=phi, response=response, response_at_min=response)
