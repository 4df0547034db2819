"""What a worker of the selectivity experiment does: a run's training and tests; what a step of it costs, and how large its models are.

Training sees a fresh batch every step; accuracy is measured on held-out examples from a stream that training never draws from: 1,000 for
testing, other 200 after each epoch to follow the run.
"""

from collections.abc import Mapping

import torch
from torch import nn

from ..cost import StepCost
from ..engine import (
    Evaluation,
    GeneratedBatches,
    Plan,
    Ratio,
    Staged,
    TensorBatches,
    TrainState,
    fit,
    make_optimizer,
    parameter_groups,
    run_ports,
)
from ..engine.evaluate import Objective
from ..engine.measure import training_cost
from ..engine.state import seed_all, undisturbed
from ..models.mamba_lm import MambaLM
from ..ops.announce import announce_compilation
from ..ops.backend import chosen
from ..sweep import Control, Run, RunFolder
from ..tasks.tokens import HELD_OUT, TokenBatch, TokenTask
from .selectivity_config import SelectivityConfig, from_plain

STAGE = 64  # batches that a GPU is sent in one copy: they are small
FOLLOWED = 200  # held-out examples after each epoch


def work(folders: list[RunFolder], control: Control) -> None:
    """Trains one run and ends it with its held-out accuracies."""
    (folder,) = folders
    config, device = from_plain(folder.config), torch.device(control.device)
    seed_all(config.seed)
    model = MambaLM(config.model).to(device)
    optimizer = make_optimizer("adam", parameter_groups(model, config.train.lr))
    task, batch_size = config.dataset.task(), config.train.batch_size
    scored = scored_steps(task)
    fresh = GeneratedBatches(
        lambda seed, step: task.batch(seed, step, batch_size), config.dataset.epoch_size // batch_size, config.seed
    )
    followed = task.batch(config.seed, 1, FOLLOWED, HELD_OUT, device)
    result = fit(
        TrainState(model, optimizer),
        Staged(fresh, device, STAGE),
        scores(scored),
        Plan(
            max_epochs=config.train.num_epochs,
            max_steps=config.train.max_steps,
            log_every=200,
        ),
        device,
        evaluators={"val": _evaluation(followed, scored, device)},
        final={"test": _evaluation(task.held_out(config.seed, config.test_size, device), scored, device)},
        enough=lambda row: config.train.stop_on_loss is not None and row["train/loss"] < config.train.stop_on_loss,
        ports=run_ports(folder, control),
    )
    folder.finish(
        {
            **{f"test/{name}": value for name, value in _plain(result.final, "test@last/").items()},
            **{f"test_at_best_val/{name}": value for name, value in _plain(result.final, "test@best-val/").items()},
            "steps": result.steps,
            "trainable_parameters": model.trainable_parameters(),
            "chance": task.chance,
            "backends": chosen() | ({"selective scan": config.model.backend} if config.model.backend else {}),
            "extrapolation": {str(length): _at_length(model, config, length, device) for length in config.lengths},
        }
    )


def scores(scored: int) -> Objective:
    """Returns the objective that judges the last `scored` steps: loss, token and sequence accuracy, first and last token."""

    def measure(model: nn.Module, batch: TokenBatch) -> dict[str, Ratio]:
        logits, targets = model(batch.inputs)[:, -scored:], batch.targets[:, -scored:]
        loss = nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="sum")
        right, n = logits.argmax(-1) == targets, len(targets)
        return {
            "loss": Ratio(loss, targets.numel()),
            "accuracy": Ratio(right.sum(), targets.numel()),
            "sequence_accuracy": Ratio(right.all(1).sum(), n),
            "first_token_accuracy": Ratio(right[:, 0].sum(), n),
            "last_token_accuracy": Ratio(right[:, -1].sum(), n),
        }

    return measure


def scored_steps(task: TokenTask) -> int:
    """Returns how many steps at the end of an input are judged."""
    return int((task.batch(0, 0, 1).targets != -100).sum())


def _evaluation(batch: TokenBatch, scored: int, device: torch.device, size: int = 50) -> Evaluation:
    return Evaluation(_TokenBatches(batch, size), scores(scored), device)


class _TokenBatches(TensorBatches):
    """Held-out examples as `TokenBatch`es, in order."""

    def __init__(self, batch: TokenBatch, size: int) -> None:
        super().__init__(batch, size)

    def iterate(self, epoch: int = 0, start: int = 0):
        return (TokenBatch(*rows) for rows in super().iterate(epoch, start))


def _at_length(model: nn.Module, config: SelectivityConfig, length: int, device: torch.device) -> dict[str, float]:
    """Accuracies on inputs of another length; fewer examples where they are long, so that each length costs about the same."""
    task = config.dataset.task()
    size = max(16, min(config.test_size, config.test_size * task.length // length))
    longer = task.at_length(length)
    batch = longer.held_out(config.seed, size, device)
    return {
        "examples": size,
        **_evaluation(batch, scored_steps(longer), device, max(1, min(50, 2**15 // length)))(model),
    }


def _plain(final: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in final.items() if name.startswith(prefix)}


def step_cost(run: Run) -> StepCost:
    """Measures a step of a run on this CPU."""
    announce_compilation()
    config, device = from_plain(run.config), torch.device("cpu")
    task = config.dataset.task()
    objective = scores(scored_steps(task))
    with undisturbed():
        model = MambaLM(config.model)
    return training_cost(model, objective, lambda size: task.batch(0, 0, size), config.train.batch_size, device)


def models(configs: Mapping[str, SelectivityConfig]) -> list[str]:
    """Returns one line a model: its parameters, so that real and complex can be compared; and the chance level."""
    lines = [f"{label}: {_size(c)}" for label, c in configs.items()]
    chance = next(iter(configs.values())).dataset.task().chance
    return [*lines, f"chance level: {100 * chance:.2f} % of the tokens"]


def _size(config: SelectivityConfig) -> str:
    try:
        return f"{MambaLM(config.model).trainable_parameters():,} trainable parameters"
    except (MemoryError, RuntimeError):  # the run will record it; others may fit
        return "more parameters than the memory holds here"
