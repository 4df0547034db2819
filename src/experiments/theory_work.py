"""What a worker of the theory experiment does, and what a step of it costs.

A run logs a row about every 1/500 of its steps, saves its state every 20 seconds, and ends with errors and parameter magnitudes
evaluated in float64 from the definition.
"""

import time
from dataclasses import asdict

import numpy as np

from ..config import build
from ..cost import StepCost, peak_memory
from ..ops.announce import announce_compilation
from ..sweep import Control, Interrupted, Run, RunFolder
from ..theory.config import TheoryConfig
from ..theory.fit import make_fit
from ..theory.polar import impulse_response, magnitudes
from ..theory.state import Fit, FitState
from ..theory.targets import target

ROWS = 500  # logged rows of a run
SAVE_SECONDS = 20.0
MEASURED_SECONDS = 0.03  # of a step, before the runs begin


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains the runs of `folders`, one on the CPU or several of one shape on a GPU, and ends each with `finish` or `fail`."""
    trainings = [_Training(folder) for folder in folders]
    control.resumed(sum(t.state.step for t in trainings))
    for step in sorted({t.state.step for t in trainings}):  # a batch stands at one step
        _train([t for t in trainings if t.state.step == step], control)


class _Training:
    """A run's config and state, with the folder they are kept in."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.config = build(TheoryConfig, folder.config, where=str(folder.path))
        plain = folder.load_state()
        self.state = FitState.start(self.config) if plain is None else FitState.from_plain(plain)
        self.seconds = 0.0 if plain is None else float(plain["seconds"])

    def save(self) -> None:
        self.folder.save_state({**self.state.to_plain(), "seconds": self.seconds})

    def log(self, loss: float) -> None:
        size, c = magnitudes(self.state.theta, self.state.signs), self.config
        lr = c.lr * 0.5 * (1 + np.cos(np.pi * (self.state.step - 1) / c.num_epochs))
        self.folder.log.log(self.state.step, loss=loss, min_loss=self.state.best_loss, lr=float(lr), **asdict(size))


def _train(trainings: list[_Training], control: Control) -> None:
    """Advances the runs together, chunk by chunk; the chunks lie on one grid however often the run is interrupted."""
    configs = [t.config for t in trainings]
    epochs, chunk = configs[0].num_epochs, max(1, configs[0].num_epochs // ROWS)
    fit, backend = make_fit(configs, [t.state for t in trainings], control.device)
    saved, step = time.monotonic(), trainings[0].state.step
    while step < epochs:
        count = min(chunk - step % chunk, epochs - step)
        started = time.perf_counter()
        losses = fit.advance(count)
        seconds = time.perf_counter() - started
        step += count
        _record(fit, trainings, losses, seconds)
        control.advance(count * len(trainings))
        live = [t for t in trainings if t.folder.ended is None]
        if not live:
            return
        stop = control.stop()
        if stop or time.monotonic() - saved > SAVE_SECONDS:
            for training in live:
                training.save()
            saved = time.monotonic()
        if stop:
            raise Interrupted
    for training in trainings:
        if training.folder.ended is None:
            _finish(training, backend)


def _record(fit: Fit, trainings: list[_Training], losses: np.ndarray, seconds: float) -> None:
    """Logs the runs that are healthy; ends those whose loss is not a number any more."""
    for training, state, loss in zip(trainings, fit.states, losses, strict=True):
        if training.folder.ended is not None:
            continue
        training.state = state
        training.seconds += seconds / len(trainings)
        if np.isfinite(loss):
            training.log(float(loss))
        else:
            lr = training.config.lr
            text = f"the loss is {loss} before step {state.step} of {training.config.num_epochs}; lr = {lr:g} is too large?"
            training.folder.fail(FloatingPointError(text))


def _finish(training: _Training, backend: str) -> None:
    """Judges the last and the best parameters in float64 and writes the result."""
    c, state = training.config, training.state
    phi = target(c.task_name, c.L, c.seed)
    last, best = (impulse_response(theta, state.signs, c.L) for theta in (state.theta, state.best_theta))
    result = {
        **_errors(last, phi, "loss", "l1", ""),
        **_errors(best, phi, "min_loss", "l1", "_at_min"),
        "min_loss_step": state.best_step,
        **asdict(magnitudes(state.theta, state.signs)),
        **{f"{k}_at_min": x for k, x in asdict(magnitudes(state.best_theta, state.signs)).items()},
        "num_parameters": state.theta.size,
        "steps": c.num_epochs,
        "seconds": training.seconds,
        "steps_per_second": c.num_epochs / training.seconds,
        "backend": backend,
        "backends": {"theory": backend},
    }
    training.folder.save_arrays(target=phi, response=last, response_at_min=best)
    training.save()
    training.folder.finish(result)


def _errors(K: np.ndarray, phi: np.ndarray, squared: str, l1: str, suffix: str) -> dict[str, float]:
    """Squared L2 error (||phi||_2 = 1, so the zero map has 1), and the L1 error as it is and relative to the zero map's."""
    raw = float(np.abs(K - phi).sum())
    return {
        squared: float(((K - phi) ** 2).sum()),
        f"{l1}{suffix}": raw / float(np.abs(phi).sum()),
        f"{l1}_raw{suffix}": raw,
    }


def step_cost(run: Run) -> StepCost:
    """Measured with as many steps as a few hundredths of a second hold; workers find the code that this compiles."""
    announce_compilation()
    config = build(TheoryConfig, run.config)
    fit, _ = make_fit([config], [FitState.start(config)], "cpu")
    fit.advance(1)
    count, seconds = 8, 0.0
    while seconds < MEASURED_SECONDS and count < config.num_epochs:
        count *= 4
        started = time.perf_counter()
        fit.advance(count)
        seconds = time.perf_counter() - started
    return StepCost(seconds / count if seconds else 1e-5, peak_memory())
