"""How far a run is, as a share of what it was given: what each experiment's config says of its length."""

from typing import Any

Rows = list[dict[str, Any]]


def share_done(experiment: str, config: dict[str, Any], step: int, rows: Rows) -> float | None:
    """Returns the share in 0..1 that is done; None where the config does not say how long the run is.

    Args:
        step: the last step that is known, of the log or of the saved state.
        rows: of the log.
    """
    total, done = _length(experiment, config, step, rows)
    return min(1.0, done / total) if total else None


def _length(experiment: str, config: dict[str, Any], step: int, rows: Rows) -> tuple[float | None, float]:
    """(how long the run is, how far it is), in steps or in epochs."""
    if experiment.startswith("selectivity"):
        train, data = config["train"], config["dataset"]
        steps = train["num_epochs"] * (data["epoch_size"] // train["batch_size"])
        return min(steps, train["max_steps"] or steps), step
    if experiment.startswith("theory"):
        return config.get("num_epochs"), step
    if experiment.startswith("train-"):
        trainer = config.get("trainer", {})
        if trainer.get("max_steps"):
            return trainer["max_steps"], step
        return trainer.get("max_epochs"), _epochs(rows, step)
    return (config["steps"], step) if "steps" in config else (config.get("epochs"), _epochs(rows, step))


def _epochs(rows: Rows, step: int) -> float:
    """Epochs done; within the first ones it is counted by the steps that an epoch took."""
    ended = [row for row in rows if "epoch" in row]
    if not ended:
        return 0.0
    last = ended[-1]
    return last["epoch"] + (step - last["step"]) * last["epoch"] / last["step"] if last["step"] else last["epoch"]
