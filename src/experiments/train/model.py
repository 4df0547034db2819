"""From a config and the shape of its data to the model and what trains it."""

from dataclasses import asdict

import torch
from torch import nn

from src.dataloaders import Splits
from src.dataloaders.base import Batch
from src.engine import Ema, TrainState, class_measures, load_weights, make_optimizer, read_checkpoint, weights_in
from src.engine.optim import Group, parameter_groups
from src.engine.rng import seed_all
from src.engine.tally import Measures
from src.experiments.train.config import RetrievalTask, TrainConfig
from src.models import Classifier, ResidualBackbone, Retrieval, Tower


def build_model(config: TrainConfig, splits: Splits) -> nn.Module:
    """Returns the model with the weights that the seed draws, or those of `train.ckpt`.

    Raises:
        UserError: a layer that cannot be built, or weights of another model.
    """
    m = config.model
    seed_all(config.train.seed)
    generator = torch.Generator().manual_seed(config.train.seed)
    layers = [config.layer.make(m.d_model, m.dropout, m.tie_dropout, generator) for _ in range(m.n_layers)]
    backbone = ResidualBackbone(
        layers,
        m.d_model,
        prenorm=m.prenorm,
        norm=m.norm,
        dropout=m.dropout,
        tie_dropout=m.tie_dropout,
        residual=m.residual is not None,
        final_norm=m.final_norm,
        norm_momentum=m.norm_momentum,
    )
    if splits.vocabulary is None:
        encoder = nn.Linear(splits.d_input, m.d_model)
    else:
        encoder = nn.Embedding(
            len(splits.vocabulary), m.d_model, padding_idx=0 if splits.vocabulary[0] == "<pad>" else None
        )
    tower = Tower(encoder, backbone, config.decoder.mode)
    if isinstance(config.task, RetrievalTask):
        model = Retrieval(tower, splits.n_classes, config.task.activation)
    else:
        model = Classifier(tower, splits.n_classes)
    if config.train.ckpt is not None:
        load_weights(model, weights_in(read_checkpoint(config.train.ckpt)))
    return model


def check_layer(config: TrainConfig) -> None:
    """Builds one layer and throws it away, so that what is impossible is said before data are read.

    Raises:
        UserError: the layer cannot be built.
    """
    config.layer.make(config.model.d_model, 0.0, False, torch.Generator().manual_seed(0))


def groups_of(config: TrainConfig, model: nn.Module) -> list[Group]:
    """Returns the optimizer's groups."""
    options = config.optimizer_options
    return parameter_groups(model, options.lr, options.weight_decay, **asdict(config.grouping))


def start(config: TrainConfig, model: nn.Module, groups: list[Group]) -> TrainState:
    """Returns the state before the first step."""
    rest = {k: v for k, v in asdict(config.optimizer_options).items() if k not in ("lr", "weight_decay")}
    optimizer = make_optimizer(config.optimizer, groups, **rest)
    ema = Ema(model, config.train.ema) if config.train.ema else None
    return TrainState(model, optimizer, config.schedule(), ema)


def objective(model: nn.Module, batch: Batch) -> Measures:
    """Cross-entropy and accuracy of a batch; padding is the model's affair."""
    return class_measures(model(batch.x, lengths=batch.lengths), batch.y)
