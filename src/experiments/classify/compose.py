"""Words of the command line and the YAML files in `configs/` -> plain configs, by Hydra's composition alone.

Hydra composes and parses overrides; it opens no log, changes no folder and prints no traceback: what a user got wrong becomes one line.
"""

import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override, Transformer
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from ...config import check_no_resolver, check_plain, load_yaml
from ...config.grid import check_size
from ...config.own_code import TARGET
from ...config.words import key_of, parse_word, swept_values
from ...config.yaml import without_resolvers
from ...errors import UserError, did_you_mean
from ...resources import resource
from . import library, published
from .other_layer import foreign_keys
from .own_sections import KERNEL, SECTIONS, is_own

CONFIGS = resource("configs")
EXPERIMENTS = CONFIGS / "experiment"
_COULD_NOT_OVERRIDE = re.compile(r"Could not override '([^']+)'")


@dataclass(frozen=True)
class Composed:
    """One config of plain values, and the words that made it."""

    experiment: str
    config: dict[str, Any]
    words: tuple[str, ...]


def compose_all(words: Sequence[str], multirun: bool = False) -> list[Composed]:
    """Returns one config, or with `multirun` one for each point of the grid that comma-separated values span.

    Raises:
        UserError: an unknown key, file or option (with a suggestion), a file that is not YAML, or a value with commas without `multirun`.
    """
    points = [[_resolve_experiment(word) for word in _data(point)] for point in _points(words, multirun)]
    library.register_tables(EXPERIMENTS)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with without_resolvers():
            return [_compose(point) for point in points]


def experiments() -> list[str]:
    """Returns the names that `experiment=` takes, such as lra/s4-PTD-cifar."""
    return library.names(EXPERIMENTS)


def _points(words: Sequence[str], multirun: bool) -> Iterator[list[str]]:
    """The grid of single-valued words."""
    axes = [_axis(word, _parse(word), multirun) for word in words]
    check_size(axes)
    return map(list, itertools.product(*axes))


def _parse(word: str) -> Override:
    override = parse_word(word)
    if re.match(r"hydra\b", override.key_or_group):
        raise UserError(f"'{word}': runs are kept in runs/<experiment>/<hash of the config>; set out=FOLDER instead")
    return override


def _axis(word: str, override: Override, multirun: bool) -> list[str]:
    if not override.is_sweep_override():
        return [word]
    if not multirun:
        raise UserError(f"'{word}': several values; add -m for one run each, or write a list as [a,b]")
    values = swept_values(word, override)
    return [f"{override.get_key_element()}={Transformer.str(value)}" for value in values]


def _data(words: Sequence[str]) -> list[str]:
    """`dataset=NAME` names a pipeline, which holds the data set; `dataset=file` alone is the experiment for one's own file."""
    has_experiment = any(word.startswith("experiment=") for word in words)
    own = "pipeline=file" if has_experiment else "experiment=own"
    return [own if word == "dataset=file" else re.sub("^dataset=", "pipeline=", word) for word in words]


def _resolve_experiment(word: str) -> str:
    """`experiment=` also takes a file: with its suffix, or anywhere (relative to the working folder or to `configs/`)."""
    key, _, name = word.partition("=")
    if key.lstrip("+") != "experiment":
        return word
    if name.removesuffix(".yaml") in experiments():
        return word.removesuffix(".yaml")
    for file in (Path(name), CONFIGS / name, CONFIGS / f"{name}.yaml"):
        if file.suffix == ".yaml" and file.is_file():
            if "hydra" in load_yaml(file, resolve=False):  # reading it also says in one line what Hydra could not read
                raise UserError(
                    f"{file}: a section 'hydra' has no effect here; take it out, and set out=FOLDER for the place of runs"
                )
            up = [".."] * len(EXPERIMENTS.resolve().parts[1:])  # Hydra takes no absolute path
            return f"{key}={'/'.join([*up, *file.resolve().with_suffix('').parts[1:]])}"
    raise UserError(f"'{word}': no such experiment{_close(name, experiments())}")


def _compose(words: Sequence[str]) -> Composed:
    try:
        config = compose("config", overrides=_overrides(words), return_hydra_config=True)
        choices = config.hydra.runtime.choices
        experiment = Path(str(choices.experiment))
        with open_dict(config):
            del config["hydra"]
        written = OmegaConf.to_container(config, resolve=False)
        _check_resolvers(written)
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        if any(key_of(word) in ("model", "model/layer") for word in words):
            _choose_layer(plain, written, str(choices["model/layer"]), words)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise UserError(_explain(error, words)) from None
    except RecursionError:
        raise UserError("config: is nested too deeply, or holds itself") from None
    except (
        ValueError,
        TypeError,
        OverflowError,
        AttributeError,
        AssertionError,
    ) as error:  # what YAML or Hydra cannot convert
        raise UserError(f"config: {_first_line(error)}") from None
    check_plain(plain, "config")
    try:
        name = Path("/", *experiment.parts).resolve().relative_to(CONFIGS.resolve()).as_posix()
    except ValueError:
        name = experiment.name if ".." in experiment.parts else experiment.as_posix()
    return Composed(name, _translated(plain), tuple(words))


def _overrides(words: Sequence[str]) -> list[str]:
    """The words as Hydra takes them: keys that no file here has are added, and own code takes the place of what its section held."""
    known, keys = published.known_keys(), [key_of(word) for word in words]
    sections = [section for section in SECTIONS if f"{section}.{TARGET}" in keys]
    free = (*(f"{section}." for section in sections), KERNEL)
    added = lambda word: word.partition("=")[0] in known or word.startswith(free)
    overrides = [f"++{word}" if added(word) else word for word in words]
    return (
        [*(f"~{section}" for section in sections if not _is_own(section, words)), *overrides] if sections else overrides
    )


def _is_own(section: str, words: Sequence[str]) -> bool:
    """Whether files alone name own code there, whose keys then stay."""
    config = compose("config", overrides=[word for word in words if not word.startswith(f"{section}.")])
    return is_own(OmegaConf.to_container(OmegaConf.select(config, section), resolve=False))


def _translated(plain: dict[str, Any]) -> dict[str, Any]:
    """In this suite's keys; what belongs to own code is not ours to translate."""
    model, task = plain.get("model"), plain.get("task")
    layer = model.get("layer") if isinstance(model, dict) else None
    own_layer, own_task = is_own(layer), is_own(task)
    rest = {key: value for key, value in plain.items() if not (own_task and key == "task")}
    if own_layer:
        rest["model"] = {key: value for key, value in model.items() if key != "layer"}
    rest = published.translate(rest)
    if own_layer:
        rest["model"]["layer"] = layer
    return rest | ({"task": task} if own_task else {})


def _choose_layer(plain: dict[str, Any], written: dict[str, Any], chosen: str, words: Sequence[str]) -> None:
    """Takes out what the experiment says about its own layer, where words chose another; `written` has interpolations as they stand."""
    instead_of = _layer_of(tuple(word for word in words if key_of(word) == "experiment"), CONFIGS)
    model, folder = plain["model"], CONFIGS / "model" / "layer"
    if isinstance(model, dict) and isinstance(model.get("layer"), dict) and not is_own(model["layer"]):
        foreign = foreign_keys(written["model"]["layer"], folder, chosen, instead_of, words)
        model["layer"] = {key: value for key, value in model["layer"].items() if key not in foreign}


@lru_cache(maxsize=64)
def _layer_of(experiment: tuple[str, ...], configs: Path) -> str:
    """The file of an experiment's own layer; a sweep asks once."""
    return str(
        compose("config", overrides=list(experiment), return_hydra_config=True).hydra.runtime.choices["model/layer"]
    )


def _check_resolvers(value: Any, key: str = "") -> None:
    if isinstance(value, str):
        check_no_resolver(value, key)
    for name, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _check_resolvers(item, f"{key}.{name}" if key else str(name))


def _explain(error: Exception, words: Sequence[str]) -> str:
    """One line for whatever Hydra says in many."""
    unknown = _COULD_NOT_OVERRIDE.search(str(error))
    if unknown:
        if unknown[1] == "dataset":
            return "dataset is set by its pipeline: pipeline=digits, dataset.train_size=1000"
        rest = [word for word in words if key_of(word) != unknown[1]]
        return f"unknown key '{unknown[1]}'{_suggest_key(unknown[1], rest)}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = _group_and_name(str(error.missing_cfg_file))
        if group == "model" and name in library.names(CONFIGS / "model" / "layer"):
            return f"no file '{name}' in configs/model; the layer of that name is model/layer={name}"
        if (CONFIGS / group).is_dir():
            own = [option for option in library.names(CONFIGS / group) if "/" not in option]
            return f"no file '{name}' in configs/{group}{did_you_mean(name, own)}"
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"{error.problem_mark.name} line {error.problem_mark.line + 1}: not valid YAML ({error.problem})"
    cause = f" ({_first_line(error.__cause__)})" if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return f"config: {_first_line(error)}{cause}"


def _group_and_name(path: str) -> tuple[str, str, str]:
    """'model/layer/s4x' -> ('model/layer', '/', 's4x'), the group being the longest folder that is there."""
    group, slash, name = path.strip("/").rpartition("/")
    while group and not (CONFIGS / group).is_dir():
        group, _, more = group.rpartition("/")
        name = f"{more}/{name}"
    return group, slash, name


def _suggest_key(key: str, words: Sequence[str]) -> str:
    """The end of the line about an unknown key: the nearest of the keys that the config does have."""
    try:
        config = compose("config", overrides=list(words))
    except (HydraException, OmegaConfBaseException):
        return ""
    keys = list(_flat_keys(config))
    near = did_you_mean(key, keys)
    if "did you mean" in near:
        return near
    parent = key.rpartition(".")[0]
    siblings = [name.removeprefix(f"{parent}.") for name in keys if name.rpartition(".")[0] == parent]
    return did_you_mean(key.rpartition(".")[2], siblings or config)


def _flat_keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in config:
        yield f"{prefix}{name}"
        if isinstance(config._get_node(name), DictConfig) and config[name] is not None:
            yield from _flat_keys(config[name], f"{prefix}{name}.")


def _close(name: str, options: Sequence[str]) -> str:
    end = did_you_mean(name, options)
    return end if "did you mean" in end or len(options) < 12 else "; see `python -m train --help` for the list"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
