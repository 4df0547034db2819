"""As `test_every_key`, for the short keys of robustness.py and ablation.py: a run that can be planned, or one line."""

import copy
import math

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config import check_plain
from src.errors import UserError, shown
from src.experiments import ablation, robustness
from src.experiments.classify import library, points
from src.experiments.classify.compose import CONFIGS, EXPERIMENTS, Composed
from src.experiments.classify.published import translate

WRONG = [None, [1, 2], {"a": 1}, "text", True, -1, math.nan, 10**30]
SOLVES = {"delta", "size", "perturbation_size"}  # a number there is a problem to solve, which takes its time
SCRIPTS = {
    "robustness": (robustness, {"models": ["s4d"]}),
    "ablation": (ablation, {"baselines": ["s4d"], "perturbations": []}),
}


def unresolved(name):
    library.register_tables(EXPERIMENTS)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("config", [f"experiment=../{name}", "pipeline=digits", "d_model=8", "n_layers=1"])
    return OmegaConf.to_container(config, resolve=False)


@pytest.mark.parametrize("name", SCRIPTS)
def test_short_keys(name, monkeypatch):
    module, small = SCRIPTS[name]
    base, n, refused, several_lines = unresolved(name) | small, 0, 0, 0
    monkeypatch.setattr(module, "run_points", lambda runs, *_: [run.key for run in runs])
    for key in [key for key, value in base.items() if not isinstance(value, dict)]:
        for value in WRONG:
            if key in SOLVES and isinstance(value, (int, float)):
                continue
            monkeypatch.setattr(
                points,
                "compose_all",
                lambda words, multirun=False, key=key, value=value: composed(base, key, value, words),
            )
            n += 1
            try:
                module.main(["--seeds", "1"])
            except UserError as error:
                refused += "\n" not in str(error)
                several_lines += "\n" in str(error)
            except Exception as error:
                raise AssertionError(f"{key} = {shown(value)}: {type(error).__name__}: {error}") from error
    assert several_lines == 0
    assert n > 200
    assert refused > n / 2


def composed(base, key, value, words):
    raw = copy.deepcopy(base) | {key: value}
    try:
        plain = OmegaConf.to_container(OmegaConf.create(raw), resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from None
    check_plain(plain, "config")
    return [Composed("p1", translate(plain), tuple(words))]
