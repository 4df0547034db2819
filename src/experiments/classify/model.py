"""From a config and the shape of its data to the model and what trains it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from ...dataloaders import Splits
from ...engine import Ema, TrainState, load_weights, make_optimizer, weights_in
from ...engine.optim import Group, parameter_groups
from ...engine.state import seed_all
from ...models import Classifier, ResidualBackbone, Retrieval, Tower
from ...tracking.checkpoint import read_checkpoint
from .config import TrainConfig
from .own import OwnTask
from .sections import RetrievalTask


@dataclass(frozen=True)
class DataShape:
    """What a model knows of its data.

    Attributes:
        n_outputs: classes, or 1 where a number is learned.
        d_input: numbers a step; None where a step is a token.
        tokens: size of the vocabulary; `padded`: its token 0 is padding.
    """

    n_outputs: int
    d_input: int | None
    tokens: int | None = None
    padded: bool = False

    @classmethod
    def of(cls, splits: Splits, n_outputs: int | None = None) -> "DataShape":
        """Returns the shape of a data set; `n_outputs` is a task's own number of outputs."""
        words, n_outputs = splits.vocabulary, n_outputs or splits.n_classes or 1
        if words is None:
            return cls(n_outputs, splits.d_input)
        return cls(n_outputs, None, len(words), words[0] == "<pad>")

    @classmethod
    def of_weights(cls, weights: Mapping[str, Tensor]) -> "DataShape":
        """Returns the shape that trained weights were made for."""
        n_outputs = next(len(tensor) for name, tensor in reversed(weights.items()) if name.startswith("head."))
        encoder = weights["tower.encoder.weight"]
        if "tower.encoder.bias" in weights:
            return cls(n_outputs, encoder.shape[1])
        return cls(n_outputs, None, len(encoder))


def build_model(config: TrainConfig, shape: DataShape) -> nn.Module:
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
        residual=bool(m.residual),
        final_norm=m.final_norm,
        norm_momentum=m.norm_momentum,
    )
    if shape.tokens is None:
        encoder = nn.Linear(shape.d_input, m.d_model)
    else:
        encoder = nn.Embedding(shape.tokens, m.d_model, padding_idx=0 if shape.padded else None)
    tower = Tower(encoder, backbone, config.decoder.mode)
    if isinstance(config.task, RetrievalTask):
        model = Retrieval(tower, shape.n_outputs, config.task.activation)
    else:
        model = Classifier(tower, shape.n_outputs)
    if config.train.ckpt is not None:
        load_weights(model, weights_in(read_checkpoint(config.train.ckpt)))
    return model


def check_layer(config: TrainConfig) -> None:
    """Builds one layer (and a task of the user's) and throws it away, so that what is impossible is said before data are read.

    Raises:
        UserError: the layer cannot be built, or own code breaks its contract.
    """
    config.layer.make(config.model.d_model, 0.0, False, torch.Generator().manual_seed(0))
    if isinstance(config.task, OwnTask):
        config.task.make()


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
