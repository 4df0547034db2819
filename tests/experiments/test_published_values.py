"""A published file means here what it means where it was published: composed values of 32 published experiments, as facts.

`published_values.yaml` holds the facts. Each published key must have the published value under its own name or under the name that it has
here, or stand in one of the two lists below with the reason why not.
"""

import shutil
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from src.errors import UserError
from src.experiments.classify import compose, library
from src.experiments.classify.compose import compose_all
from src.experiments.classify.config import parse
from src.experiments.classify.published import translate
from src.kernels.parameters import complex128

FACTS = yaml.safe_load((Path(__file__).parent / "published_values.yaml").read_text())
EXPERIMENTS = FACTS["experiments"]

# keys that say nothing about the numbers of a run, or nothing that the suite could do otherwise
SAYS_NOTHING = {
    "dataset.__l_max": "a length for the layer's l_max",
    "dataset.n_workers": "processes that tokenise",
    "dataset.append_bos": "no begin symbol in either",
    "dataset.append_eos": "the end symbol is always there",
    "dataset.max_vocab": "above the size of each vocabulary",
    "dataset.cutout": "off in both",
    "dataset.random_erasing": "off in both",
    "dataset.sequential": "images are sequences",
    "dataset.pool": "1 in both",
    "dataset.mfcc": "raw clips",
    "dataset.dropped_rate": "nothing is dropped",
    "dataset.length": "clips of one second",
    "decoder._name_": "the task says it",
    "decoder.d_model": "the head is d_model wide in both",
    "decoder.nli": "the features are x, y, x - y, x * y in both",
    "decoder.use_lengths": "text has lengths in both",
    "encoder": "the data say it",
    "loader.pin_memory": "placement",
    "loader.train_resolution": "the sampling rate of the data",
    "model._name_": "there is one backbone",
    "model.bidirectional": "the layer's key decides",
    "model.decoder": "none in both",
    "model.encoder": "none in both",
    "model.layer.bottleneck": "none in both",
    "model.layer.deterministic": "a random C in both",
    "model.layer.drop_kernel": "none in both",
    "model.layer.gate": "none in both",
    "model.layer.gate_act": "of a gate",
    "model.layer.initializer": "none in both",
    "model.layer.layer": "a convolution by FFT in both",
    "model.layer.measure": "old name of init, unused",
    "model.layer.mult_act": "of a gate",
    "model.layer.rank": "1 is the least rank that legs allows, which is what S4 has here",
    "model.layer.verbose": "prints",
    "model.layer.wd": "dt, A and B do not decay in both",
    "model.layer.weight_norm": "none in both",
    "model.pool._name_": "of pooling",
    "model.pool.expand": "of pooling",
    "model.pool.stride": "no pooling in both",
    "model.track_norms": "prints",
    "model.transposed": "a layout in memory",
    "task.loss": "cross-entropy in both",
    "task.metrics": "accuracy in both",
    "task.torchmetrics": "none in both",
    "train.debug": "off in both",
    "train.disable_dataset": "off in both",
    "train.ignore_warnings": "prints",
    "train.layer_decay._name_": "none in both",
    "train.layer_decay.decay": "of no layer decay",
    "train.post_init_hook._name_": "none in both",
    "train.pretrained_model_path": "none in both",
    "train.pretrained_model_state_hook._name_": "none in both",
    "train.pretrained_model_strict_load": "of no pretrained model",
    "train.state.mode": "no state passes between batches in both",
    "train.state.n_context": "the same",
    "train.state.n_context_eval": "the same",
    "train.test": "the suite always measures the test split at the end",
    "train.track_grad_norms": "prints",
    "train.validate_at_start": "off in both",
    "trainer.accelerator": "`device` decides",
    "trainer.devices": "torchrun decides",
    "trainer.enable_model_summary": "prints",
}


class Different(NamedTuple):
    key: str  # of the suite
    suite: Any
    published: Any
    reason: str


DELIBERATE = {
    "loader.eval_resolutions": Different(
        "loader.eval_resolutions", "absent", [1, 2], "no second test at half the sampling rate"
    ),
    "trainer.log_every_n_steps": Different("trainer.log_every", 50, 10, "rows of the log; no number of a run"),
}
# what a file says by the words of its defaults list, not by a key
OF_THE_FILES = ("model.layer._name_", "loader.eval_resolutions", "scheduler.mode")
LAYERS = {"nplr": {"s4"}, "diag": {"s4d", "s4-ptd"}}


def flat(config, prefix=""):
    found = {}
    for key, value in config.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


def nested(values):
    config = {}
    for key, value in values.items():
        *parents, leaf = key.split(".")
        section = config
        for name in parents:
            section = section.setdefault(name, {})
        section[leaf] = value
    return config


def published(name):
    """All that the published experiment composes to."""
    experiment = EXPERIMENTS[name]
    words = experiment["words"]
    layer = words["layer"] or words["model"].replace("base", "s4")
    values = (
        FACTS["base"]
        | FACTS["pipeline"][words["pipeline"]]
        | FACTS["layer"][layer]
        | FACTS["scheduler"][words["scheduler"]]
    )
    if "model.layer.lr" in experiment["values"]:
        values = {key: value for key, value in values.items() if not key.startswith("model.layer.lr.")}
    values |= experiment["values"]
    values["model.layer.tie_dropout"] = values["model.tie_dropout"]
    if values["model.layer.n_ssm"] == "${..d_model}":
        values["model.layer.n_ssm"] = values["model.d_model"]
    return values


def as_file(name, values):
    """An experiment file in the published language."""
    words = EXPERIMENTS[name]["words"]
    defaults = [{"/pipeline": words["pipeline"]}, {"/model": words["model"]}]
    if words["layer"]:
        defaults.append({"override /model/layer": words["layer"]})
    if words["scheduler"] != "plateau":
        defaults.append({"override /scheduler": words["scheduler"]})
    return "# @package _global_\n" + yaml.safe_dump({"defaults": defaults, **nested(values)}, sort_keys=False)


@pytest.fixture(scope="module")
def dropped_in(tmp_path_factory):
    """`configs/` with the file of every published experiment in it."""
    root = shutil.copytree(compose.CONFIGS, tmp_path_factory.mktemp("own") / "configs")
    folder = root / "experiment" / "lra" / "mine"
    folder.mkdir()
    for name in EXPERIMENTS:
        (folder / f"{file_name(name)}.yaml").write_text(as_file(name, EXPERIMENTS[name]["values"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "CONFIGS", root)
        patch.setattr(compose, "EXPERIMENTS", root / "experiment")
        yield root


def file_name(name):
    return name.replace(" ", "-").replace("/", "-")


@cache
def from_file(name):
    return composed(f"experiment=lra/mine/{file_name(name)}")


def composed(*words):
    return compose_all(words)[0].config


# published key -> does the suite's flat config, or its schedule, say the same in its own words?
SAYS_OTHERWISE = {
    "decoder.activation": lambda suite, _, value: suite["task.activation"] == value,
    "dataset._name_": lambda suite, _, value: suite["dataset._name_"].replace("pathx", "pathfinder") == value,
    "dataset.tokenize": lambda suite, _, value: suite.get("dataset.tokenize", False) is value,
    "dataset.permute": lambda suite, _, value: suite.get("dataset.permute") is value,
    "model.layer._name_": lambda suite, _, value: value == "s4",  # mode says which
    "model.layer.disc": lambda suite, _, value: (
        suite["model.layer.disc"] in (value, None)
    ),  # null is zoh for a diagonal SSM
    "model.layer.force_real": lambda suite, _, value: suite["model.layer.is_real"] is value,
    "model.layer.mode": lambda suite, _, value: suite["model.layer._name_"] in LAYERS[value],
    "model.layer.postact": lambda suite, _, value: value in (None, suite["model.layer.final_act"]),
    "model.layer.tie_dropout": lambda suite, _, value: suite["model.tie_dropout"] is value,
    "scheduler.mode": lambda _, schedule, value: schedule.mode == value,
    "task._name_": lambda suite, _, value: suite["task._name_"] == task_of(suite),
    "train.interval": lambda _, schedule, value: schedule.interval == value,
    "train.name": lambda suite, _, value: value in (None, suite["wandb.name"]),
}


def task_of(suite):
    return "retrieval" if suite["dataset._name_"] == "aan" else "classification"


def says_the_same(suite, schedule, key, value):
    if key in SAYS_OTHERWISE:
        return SAYS_OTHERWISE[key](suite, schedule, value)
    if key == "dataset.val_split" and suite["dataset._name_"] == "imdb":  # validates on the test split
        return value == 0.0 and suite["dataset.protocol"] == "lra" and key not in suite
    if key.startswith("model.layer.lr.") and "model.layer.lr" in suite:
        return suite["model.layer.lr"] == value
    return suite[key] == value


def check(config, expected):
    """Every published value is in the composed config, or its key is in a list above."""
    suite, schedule = flat(config), parse(config).schedule()
    for key, value in expected.items():
        if key in DELIBERATE:
            assert suite.get(DELIBERATE[key].key, "absent") == DELIBERATE[key].suite
        elif key not in SAYS_NOTHING:
            assert says_the_same(suite, schedule, key, value), f"{key} = {value} there"


def test_the_facts_are_of_32_experiments():
    assert len(EXPERIMENTS) == 32
    assert sum("own" in experiment for experiment in EXPERIMENTS.values()) == 14


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_published_file_means_what_it_means_where_it_was_published(name, dropped_in):
    check(from_file(name), published(name))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_published_file_starts_from_the_published_B(name, dropped_in):
    """No published file names B: S4 and S4D have the clipped one, S4-PTD has V^-1 B_H."""
    layer = from_file(name)["model"]["layer"]
    assert layer["B_init"] == ("exact" if layer["_name_"] == "s4-ptd" else "published")


@pytest.mark.parametrize(
    ("words", "clipped"),
    [
        (["model=s4"], True),
        (["model=base", "model.layer.mode=diag"], True),
        (["model=s4d", "model.layer.init=legs"], True),
        (["model=s4", "model.layer.B_init=exact"], False),
        (["model=s4d-legs"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_say_which_B_a_model_starts_from(words, clipped):
    """The largest |B| of LegS with N = 64: 2 in the imaginary part where it is clipped, else that of HiPPO or its half."""
    layer = parse(composed(*words)).layer
    B = complex128(layer.make(4, 0.0, False, torch.Generator().manual_seed(0)).kernel.B.detach())
    assert (B.imag.abs().max().item() == pytest.approx(2.0)) is clipped


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_keys_of_the_published_base_files_are_taken_at_their_defaults(name, dropped_in):
    """The config stays what it is, whichever of them a file spells out."""
    short = from_file(name)
    whole = nested({key: value for key, value in published(name).items() if key not in OF_THE_FILES})
    again = translate(OmegaConf.to_container(OmegaConf.merge(short, whole)))
    same = {
        "trainer.log_every": 50,
        "train.interval": short["train"]["interval"],
        "dataset._name_": short["dataset"]["_name_"],
    }
    assert {**flat(again), **same} == flat(short)


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if "own" in EXPERIMENTS[name]])
def test_the_suites_own_experiment_has_the_published_values(name):
    config = composed(f"experiment={EXPERIMENTS[name]['own']}")
    check(config, published(name))
    assert config["reference"]["source"]


def test_values_that_are_published_say_where_they_come_from():
    for name, body in library.table_experiments(compose.EXPERIMENTS):
        reference = body.get("reference", {})
        assert "TASK" not in str(body)
        assert reference.get("source") or not reference.get("paper"), name
        if name.startswith("lra/s4-") and "PTD" not in name:
            assert reference["source"].startswith("state-spaces v4")
            assert not reference.get("recalled")
        if "memory" in reference.get("source", "") and reference.get("paper"):
            assert reference["recalled"]


def test_a_run_prints_what_is_from_memory():
    lines = parse(composed("experiment=sequential/s5-mnist")).reference.lines()
    assert "99.65 % published (from memory, not confirmed)" in lines[0]
    assert lines[1] == "values: from memory of S5's paper, not confirmed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["model.layer.gate=4"],
            "model.layer.gate = 4: this suite has no gated SSMs; only the published null is taken",
        ),
        (["model.layer.rank=2"], "a measure has the least rank that it allows"),
        (["model.layer.mode=ema"], "unknown mode 'ema'"),
        (["model.layer.mode=nplr", "model/layer=s4d"], "is S4 and the layer is s4d; use `model/layer=s4`"),
        (["model.layer.tie_dropout=false"], "set model.tie_dropout"),
        (["model.layer.deterministic=true"], "no deterministic C"),
        (["decoder._name_=retrieval"], "has the decoder sequence"),
        (["encoder=embedding"], "has the encoder linear"),
        (["trainer.devices=4"], "torchrun"),
        (["pipeline=imdb", "decoder.use_lengths=false"], "padding is never read as data"),
        (["pipeline=cifar", "dataset.permute=hilbert"], "no permuted CIFAR"),
        (["model.layer.mod=diag"], "unknown key 'model.layer.mod'"),
        (["model=mega"], "no file 'mega' in configs/model; expected one of: base, "),
        (["pipeline=wt103"], "no file 'wt103' in configs/pipeline; expected one of: aan, base, cifar, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_other_values_of_published_keys_are_one_line(words, message):
    with pytest.raises(UserError, match=message) as caught:
        composed(*words)
    assert "\n" not in str(caught.value)
    assert "did you mean 'model.layer.mode'" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["model.layer.mode=diag"], "model.layer._name_", "s4d"),
        (["model.layer.mode=diag"], "model.layer.init", "legs"),
        (["model.layer.measure=fourier"], "model.layer.init", "fourier"),
        (["model.layer.postact=id"], "model.layer.final_act", "id"),
        (["trainer.precision=16"], "trainer.precision", "fp16"),
        (["trainer.accelerator=cpu"], "device", "cpu"),
        (["pipeline=imdb", "dataset.val_split=0.2"], "dataset.protocol", "holdout"),
        (["pipeline=imdb", "dataset.val_split=0.0"], "dataset.protocol", "lra"),
        (["model=base"], "model.layer._name_", "s4"),
        (["pipeline=cifar", "model=s4"], "dataset._name_", "cifar"),
        (["pipeline=imdb", "model/layer=s4d"], "model.layer.init", "diag-lin"),
        (["pipeline=mnist", "model=s4"], "dataset.permute", True),
        ([], "dataset.permute", False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_published_spellings(words, key, value):
    assert flat(composed(*words))[key] == value


@pytest.mark.parametrize("model", ["s5", "s5-PTD"])
def test_s5_centres_pathfinder_and_decays_biases_and_norms(model):
    """As S5's own code, which P1's S5-PTD is a fork of, and unlike state-spaces: its reader and its AdamW have no such choice."""
    for task in ("pathfinder", "pathx"):
        assert composed(f"experiment=lra/{model}-{task}")["dataset"]["center"] is True
    grouping = composed(f"experiment=lra/{model}-listops")["train"]["optimizer_param_grouping"]
    assert grouping == {"bias_weight_decay": True, "normalization_weight_decay": True}


def test_every_lra_experiment_says_what_an_epoch_costs():
    for name, body in library.table_experiments(compose.EXPERIMENTS):
        if name.startswith("lra/"):
            assert "of one CPU thread" in body["reference"].get(
                "epoch_cost", composed(f"experiment={name}")["reference"]["epoch_cost"]
            )
