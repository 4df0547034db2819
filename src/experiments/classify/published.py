"""The configuration language of the published experiments (state-spaces v4, which both papers use) put into this suite's keys.

A published file may name any key of the base files that it was written for. What such a key means here is one of four things, and
each has its table: another name (`OLD_NAMES`), nothing that changes a number (`WITHOUT_EFFECT`), a feature that the suite lacks, so
that only the published default is right (`LACKING`), or a choice that is spelt differently (the functions below). A key that is in
none of them means the same here, or is an error of `config.parse`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...errors import UserError, did_you_mean

Config = dict[str, Any]
TEXT = ("imdb", "listops", "aan")

# old name -> name; null means that the old name was not used
OLD_NAMES = {
    "model.layer.measure": "model.layer.init",
    "model.layer.postact": "model.layer.final_act",
    "model.layer.force_real": "model.layer.is_real",
    "decoder.activation": "task.activation",
    "train.name": "wandb.name",
    "trainer.log_every_n_steps": "trainer.log_every",
}

WITHOUT_EFFECT = (
    *(
        "callbacks",
        "tolerance",
        "loader.pin_memory",
        "dataset.__l_max",
        "dataset.n_workers",
        "model.track_norms",
        "model.transposed",
    ),
    *(
        "model.layer.l_max",
        "model.layer.transposed",
        "model.layer.verbose",
        "model.pool._name_",
    ),  # a kernel has the length of its input
    *(
        "train.ignore_warnings",
        "train.test",
        "train.track_grad_norms",
        "train.layer_decay.decay",
    ),  # the test split is always measured
    *("train.pretrained_model_strict_load", "trainer.enable_model_summary", "trainer.track_grad_norm"),
    *("wandb.group", "wandb.job_type", "wandb.save_dir", "wandb.id"),
)


class Lacking(NamedTuple):
    """A published feature that is not here: the values that do without it, and what is said of the others."""

    values: tuple[Any, ...]
    why: str


def _no(feature: str, *values: Any) -> Lacking:
    return Lacking(values, f"this suite has no {feature}")


_GPUS = "several GPUs train with `torchrun --nproc_per_node=N train.py`"
LACKING = {
    "model._name_": _no("another backbone than the residual stack", "model"),
    "model.bidirectional": _no("a bidirectional backbone; model.layer.bidirectional is the layer's", False),
    "model.encoder": _no("encoders inside the backbone", None),
    "model.decoder": _no("decoders inside the backbone", None),
    "model.pool.stride": _no("pooling between layers", 1, None),
    "model.pool.pool": _no("pooling between layers", 1, None),
    "model.pool.expand": _no("pooling between layers", 1, None),
    "model.layer.rank": Lacking((1, None), "a measure has the least rank that it allows"),
    "model.layer.gate": _no("gated SSMs", None),
    "model.layer.gate_act": _no("gated SSMs", "id", None),
    "model.layer.bottleneck": _no("a bottleneck around the SSM", None),
    "model.layer.mult_act": _no("an activation after a gate", None, "id"),
    "model.layer.hyper_act": _no("a multiplicative output of the SSM", None),
    "model.layer.initializer": _no("other initialisers of the output map", None),
    "model.layer.weight_norm": _no("weight normalisation", False),
    "model.layer.layer": _no("another inner layer", "fftconv"),
    "model.layer.drop_kernel": _no("dropout of the kernel", 0.0),
    "model.layer.deterministic": _no("deterministic C", False),
    "model.layer.dt_tie": _no("a step of its own for each state", True),
    "model.layer.wd": _no("weight decay of dt, A and B", 0.0, None),
    "dataset.append_bos": _no("a begin symbol", False, None),
    "dataset.append_eos": Lacking((True,), "every sequence keeps its end symbol"),
    "dataset.max_vocab": Lacking((135, 20, 100, None), "every symbol of the data is kept"),
    "dataset.cutout": _no("cutout", False),
    "dataset.random_erasing": _no("random erasing", False),
    "dataset.sequential": _no("images in two dimensions", True),
    "dataset.pool": _no("pooled images", 1),
    "dataset.mfcc": _no("MFCC features", False),
    "dataset.dropped_rate": _no("dropped samples", 0.0),
    "dataset.length": _no("clips of another length", 16000),
    "decoder.d_model": Lacking((None,), "the head is d_model wide"),
    "decoder.nli": _no("the head without differences and products of the documents", True),
    "decoder.use_lengths": Lacking((True,), "padding is never read as data"),
    "loader.train_resolution": _no("training at another sampling rate", 1),
    "loader.eval_resolutions": _no("evaluation at another sampling rate", 1, [1], None),
    "task.loss": _no("another loss", "cross_entropy"),
    "task.metrics": _no("another metric than accuracy", ["accuracy"], "accuracy"),
    "task.torchmetrics": _no("other metrics", None),
    "train.debug": _no("a debugging mode", False),
    "train.disable_dataset": _no("training without data", False),
    "train.validate_at_start": _no("validation before the first step", False),
    "train.pretrained_model_path": Lacking((None,), "a run starts from train.ckpt"),
    "train.pretrained_model_state_hook._name_": _no("hooks on loaded weights", None),
    "train.post_init_hook._name_": _no("hooks on the model", None),
    "train.layer_decay._name_": _no("learning rates that decay with depth", None),
    "train.state.mode": _no("a state that passes between batches", None, "none"),
    "train.state.n_context": _no("a state that passes between batches", 0, None),
    "train.state.n_context_eval": _no("a state that passes between batches", 0, None),
    "trainer.devices": Lacking(
        (
            1,
            [0],
            "auto",
            None,
        ),
        _GPUS,
    ),
    "trainer.gpus": Lacking(
        (
            0,
            1,
            None,
        ),
        _GPUS,
    ),
    "trainer.strategy": Lacking(
        (
            "auto",
            None,
        ),
        _GPUS,
    ),
}

MODES = {"nplr": "s4", "dplr": "s4", "s4": "s4", "diag": "s4d", "s4d": "s4d"}  # model.layer.mode -> layer
PRECISIONS = {
    32: "fp32",
    16: "fp16",
    "32": "fp32",
    "16": "fp16",
    "bf16": "bf16",
    "16-mixed": "fp16",
    "bf16-mixed": "bf16",
}


def translate(config: Mapping[str, Any]) -> Config:
    """Returns the config in this suite's keys; what it does not know stays as it is.

    Raises:
        UserError: a published key asks for what the suite does not have.
    """
    config = _copied(config)
    for choice in _CHOICES:
        choice(config)
    for key in WITHOUT_EFFECT:
        _pop(config, key)
    for key, lacking in LACKING.items():
        value = _pop(config, key, default=_ABSENT)
        if value is not _ABSENT and not any(_equal(value, known) for known in lacking.values):
            raise UserError(f"{key} = {value}: {lacking.why}; only the published {_text(lacking.values[0])} is taken")
    for key, name in OLD_NAMES.items():
        value = _pop(config, key)
        if value is not None:
            _set(config, name, value)
    return config


def known_keys() -> tuple[str, ...]:
    """Returns the keys of the tables and of the choices, which a word of the command line may set though no file here has them."""
    return (*OLD_NAMES, *WITHOUT_EFFECT, *LACKING, *_KEYS_OF_CHOICES)


def _layer_mode(config: Config) -> None:
    """`mode: diag` makes S4 diagonal; the init that the file has is kept, as there."""
    mode, layer = _pop(config, "model.layer.mode"), _get(config, "model.layer._name_")
    if mode is None:
        return
    if not isinstance(mode, str) or mode not in MODES:
        raise UserError(f"model.layer.mode: unknown mode '{mode}'{did_you_mean(str(mode), MODES)}")
    if layer == "s4":
        _set(config, "model.layer._name_", MODES[mode])
    elif MODES[mode] == "s4":
        raise UserError(f"model.layer.mode = {mode} is S4 and the layer is {layer}; use `model/layer=s4`")


def _same_as_model(config: Config) -> None:
    """A layer's dropout is the model's."""
    for key in ("dropout", "tie_dropout"):
        value, model = _pop(config, f"model.layer.{key}"), _get(config, f"model.{key}")
        if value is not None and value != model:
            raise UserError(
                f"model.layer.{key} = {value}, and model.{key} = {model}: this suite has one of both; set model.{key}"
            )


def _task(config: Config) -> None:
    """The published task is `base`; its decoder and its encoder follow from the data."""
    name = _get(config, "dataset._name_")
    if _get(config, "task._name_") in ("base", "multiclass_classification"):
        _set(config, "task._name_", "retrieval" if name == "aan" else "classification")
    decoder, own = _pop(config, "decoder._name_"), "retrieval" if name == "aan" else "sequence"
    if decoder not in (own, None):
        raise UserError(f"decoder._name_ = {decoder}: the data set {name} has the decoder {own}")
    encoder = _pop(config, "encoder")
    own = "embedding" if name in TEXT or _get(config, "dataset.tokenize") is True else "linear"
    if encoder not in (own, None):
        raise UserError(
            f"encoder = {encoder}: the data set {name} has the encoder {own}: tokens are embedded, numbers mapped linearly"
        )
    if decoder == "sequence" and own == "linear":  # fixed lengths: nothing to use
        _pop(config, "decoder.use_lengths")


def _imdb_split(config: Config) -> None:
    """A published `val_split: 0.0` validates on the test split; any other holds examples out."""
    if _get(config, "dataset._name_") != "imdb":
        return
    share = _get(config, "dataset.val_split", default=_ABSENT)
    if share is None or share is _ABSENT or _equal(share, 0.0):
        _pop(config, "dataset.val_split")
    elif _get(config, "dataset.protocol") == "lra":
        _set(config, "dataset.protocol", "holdout")


def _same_data(config: Config) -> None:
    """`tokenize: false` of Pathfinder and `permute: null` of CIFAR are what there is."""
    name = _get(config, "dataset._name_")
    for sets, key, value, what in (
        (("pathfinder", "pathx", "listops", "aan"), "dataset.tokenize", False, "pixels as tokens"),
        (("cifar",), "dataset.permute", None, "permuted CIFAR"),
    ):
        if name in sets:
            found = _pop(config, key, default=value)
            if found != value:
                raise UserError(
                    f"{key} = {found}: this suite has no {what}; only the published {_text(value)} is taken"
                )


def _hardware(config: Config) -> None:
    """An accelerator is a device; a precision of 16 or 32 bits has a name."""
    if _pop(config, "trainer.accelerator") == "cpu" and config.get("device") == "auto":
        config["device"] = "cpu"
    precision = _get(config, "trainer.precision")
    if isinstance(precision, (int, str)) and precision in PRECISIONS:
        _set(config, "trainer.precision", PRECISIONS[precision])


_CHOICES: tuple[Callable[[Config], None], ...] = (
    _layer_mode,
    _same_as_model,
    _task,
    _imdb_split,
    _same_data,
    _hardware,
)
_KEYS_OF_CHOICES = (
    *(
        "model.layer.mode",
        "model.layer.dropout",
        "model.layer.tie_dropout",
        "decoder._name_",
        "encoder",
        "trainer.accelerator",
    ),
    *("dataset.tokenize", "dataset.permute"),
)
_ABSENT = object()


def _copied(value: Any) -> Any:
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _parent(config: Config, key: str) -> tuple[Any, str]:
    *parents, leaf = key.split(".")
    section: Any = config
    for name in parents:
        section = section.get(name) if isinstance(section, dict) else None
    return section, leaf


def _get(config: Config, key: str, default: Any = None) -> Any:
    section, leaf = _parent(config, key)
    return section.get(leaf, default) if isinstance(section, dict) else default


def _set(config: Config, key: str, value: Any) -> None:
    section, leaf = _parent(config, key)
    if isinstance(section, dict):
        section[leaf] = value


def _pop(config: Config, key: str, default: Any = None) -> Any:
    """Takes the key out, and the section that it leaves empty."""
    section, leaf = _parent(config, key)
    if not isinstance(section, dict) or leaf not in section:
        return default
    value = section.pop(leaf)
    if not section and "." in key:
        _pop(config, key.rpartition(".")[0])
    return value


def _equal(value: Any, known: Any) -> bool:
    """As YAML: 0 is 0.0, but neither is false."""
    return value == known and isinstance(value, bool) == isinstance(known, bool)


def _text(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
