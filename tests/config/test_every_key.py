"""A value of every wrong kind at every key of every config of the five scripts: a run that can be planned, or one line.

Everything happens in this process: the file that a script reads is replaced by its content with one value changed, and what would start
runs takes their keys instead.
"""

import copy
import datetime
import math

import pytest

from src.config import check_plain, load_yaml
from src.errors import UserError, shown
from src.experiments import selectivity, theory
from src.experiments.classify.compose import compose_all
from src.experiments.classify.config import parse
from src.experiments.classify.published import translate
from src.linalg.ptd import rank1
from src.sweep.run import Run


def nest(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


WRONG = [
    *(
        None,
        [],
        [1, 2],
        {},
        {"a": 1},
        {1: 2},
        "text",
        "",
        True,
        False,
        b"\xff",
        datetime.date(2024, 1, 1),
        nest(50),
        {"a": nest(50)},
    ),
    *(-1, 0, 1.5, -0.5, math.nan, math.inf, -math.inf, 10**30, -(10**30), 10**5000, 1e308, 1e-320),
]
STEPS = "~scheduler.num_training_steps"  # which the experiment's own schedule takes and another one refuses
WARMUP = "~scheduler.num_warmup_steps"
TRAIN = {
    "digits": ["experiment=smoke/digits"],
    "s5-PTD": ["experiment=lra/s5-PTD-aan", "scheduler=cosine", STEPS, WARMUP],
    "s4-PTD": ["experiment=lra/s4-PTD-imdb", "optimizer=sgd", "scheduler=multistep", STEPS, WARMUP],
    "s4": ["experiment=sequential/s4-sc35", "scheduler=plateau", "optimizer=adam", STEPS, WARMUP],
    "pathx": ["experiment=lra/s4d-pathx", "scheduler=constant_warmup", STEPS],
}


def paths(config, above=()):
    """Every place in mappings and lists, at every depth."""
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        yield (*above, key)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*above, key))


def changed(config, path, value):
    """A copy with another value at a place; what is not on the way there is shared."""
    if not path:
        return value
    config = copy.copy(config)
    if len(path) == 1 and isinstance(config, dict):
        config[path[0]] = value
    else:
        config[path[0]] = changed(config[path[0]], path[1:], value)
    return config


def cases(config):
    for path in paths(config):
        for value in WRONG:
            yield ".".join(map(str, path)), value, changed(config, path, value)
    for path in [(), *(path for path in paths(config) if isinstance(at(config, path), dict))]:
        for key in ("no_such_key", "", 7, None, 1.5, "a.b"):
            yield f"{'.'.join(map(str, path))}+{key}", 1, changed(config, (*path, key), 1)


def at(config, path):
    for key in path:
        config = config[key]
    return config


def hold(what, config, plan):
    """Every case is planned or refused in one readable line; returns how many there were and how many were refused."""
    plan(config)  # as it stands nothing is refused: so what is refused is refused for its one value
    before, n, refused = copy.deepcopy(config), 0, 0
    for key, value, wrong in cases(config):
        n += 1
        try:
            plan(wrong)
        except UserError as error:
            refused += 1
            text = str(error)
            assert "\n" not in text, (key, shown(value), text)
            assert 0 < len(text) < 700, (key, shown(value), text)
        except Exception as error:
            raise AssertionError(f"{key} = {shown(value)}: {type(error).__name__}: {error}") from error
    assert config == before, "planning changes the config that it is given"
    print(f"{what}: {n:,} cases held, {refused:,} of them refused in a line")
    return n, refused


def read(config):
    """The content of a file, as far as a file can hold it."""
    check_plain(config, "a.yaml")
    return copy.deepcopy(config)


def plan_train(config):
    check_plain(config, "config")
    config = parse(translate(config))
    Run("train", config.plain).key  # noqa: B018


@pytest.mark.parametrize("name", TRAIN)
def test_train(name, monkeypatch, tmp_path):
    """A size of E that nobody asked for yet would be a minute of solving for each: another E stands in for its solution."""
    monkeypatch.setenv("SSM_CACHE", str(tmp_path))
    monkeypatch.setattr("src.linalg.ptd.named.solve", lambda spec, progress=None: rank1(spec.n))
    n, refused = hold(f"train.py, {name}", compose_all(TRAIN[name])[0].config, plan_train)
    assert n > 1500
    assert 0.7 * n < refused < 0.98 * n


def planner(module, argv, monkeypatch):
    """Plans the runs of a script whose config file holds what is asked for, and compiles nothing for them."""
    monkeypatch.setattr(module, "warm_up", lambda: None, raising=False)
    monkeypatch.setattr(module, "run_script", lambda runs, *_, **__: [run.key for run in runs])

    def plan(config):
        monkeypatch.setattr(module, "load_yaml", lambda path: read(config))
        module.main(argv)

    return plan


@pytest.mark.parametrize("experiment", ["real", "complex"])
def test_theory(experiment, monkeypatch):
    config = load_yaml(theory.CONFIGS / f"theory_{experiment}.yaml")
    config["sweep"] = {"N": [4], "lr": [0.1, 0.01]}
    plan = planner(theory, ["--experiment", experiment, "--seeds", "1", "--dry_run"], monkeypatch)
    n, refused = hold(f"train_theory.py, {experiment}", config, plan)
    assert n > 400
    assert 0.5 * n < refused < 0.98 * n


@pytest.mark.parametrize(("task", "grid"), [("delay", "compare_real_complex"), ("induction", "ablation")])
def test_selectivity(task, grid, monkeypatch):
    config = load_yaml(selectivity.CONFIGS / f"{task}.yaml")
    if grid == "ablation":
        config["sweep"][grid] = dict(list(config["sweep"][grid].items())[:2])
    plan = planner(selectivity, ["--config", f"{task}.yaml", f"--{grid}", "--dry_run"], monkeypatch)
    n, refused = hold(f"train_selectivity.py, {task}, --{grid}", config, plan)
    assert n > 900
    assert 0.5 * n < refused < 0.98 * n
