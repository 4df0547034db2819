"""`robustness.py` from end to end, small: results that can be recomputed, S4D = rank1 to the bit, resumption."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from src.errors import UserError
from src.experiments import robustness
from src.experiments.classify.compose import compose_all
from src.experiments.classify.config import parse
from src.experiments.classify.data import SplitBatches
from src.experiments.classify.layers import parse_layer
from src.experiments.classify.points import make_runs
from src.experiments.classify.run import prepare
from src.experiments.robustness import MODELS, NOISE_SEED, main, points, work
from src.experiments.robustness_probes import GROUPS, frequencies, layer_steps, probes
from src.kernels import DiagonalKernel
from src.linalg.legs_transfer import last_spike, pole_frequencies
from src.linalg.ptd import load_perturbation, random_perturbation
from src.sweep import Control, Interrupted, Run, RunFolder, collect
from tests.experiments.scripts import worked

ROOT = Path(__file__).parents[2]
TINY = ["--dataset", "digits", "--epochs", "2", "--d_model", "8", "--n_layers", "1", "--batch_size", "50"]
SWEEP = ["--seeds", "1", "--num_cpus", "1", "--wandb", "disabled", "--device", "cpu"]
SIZES = ["--set", "train_size=100", "val_size=20", "test_size=40"]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run_of(model: str = "s4d", **changes) -> Run:
    small = dict(epochs=2, d_model=8, n_layers=1, batch_size=50, train_size=100, val_size=20, test_size=40, noise="[]")
    words = [f"{key}={value}" for key, value in {**small, **changes}.items()]
    base = compose_all(["experiment=robustness", "pipeline=digits", f"models=[{model}]", *words])[0].config
    words = ["experiment=robustness", "pipeline=digits", *words]
    (run,) = make_runs("robustness", words, points({**base, "models": [model]}, [0]), ("models",))
    return run


def prepared(model: str = "s4d", **changes):
    return prepare(parse(run_of(model, **changes).config), torch.device("cpu"))


def train(out, run, control=None):
    return worked(work, RunFolder(out, run), control)


def test_both_models_in_one_command_and_the_second_time_nothing_is_done(tmp_path, capsys):
    words = [*TINY, *SWEEP, *SIZES, "--noise", "frequency,mask", "--out", str(tmp_path)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "s4d" in text
    assert "s4-ptd" in text
    folders = collect(tmp_path, "robustness")
    assert sorted(folder.config["asked"]["model"] for folder in folders) == ["s4-ptd", "s4d"]
    for folder in folders:
        result = folder.result()
        groups = [probe["group"] for probe in result["probes"]]
        assert groups == ["clean"] + ["frequency"] * 2 * len(frequencies(32, 17)) + ["mask"] * 3
        assert result["probes"][0]["accuracy"] == result["test/accuracy"] == result["test@last/accuracy"]
        at_spike = [p for p in result["probes"] if p["omega"] == result["omega"] and p["level"] == 0.1]
        assert at_spike[0]["accuracy"] == result["noisy/accuracy"]  # one mode, one seed of the draws
        assert len([row for row in folder.metrics() if "noisy/accuracy" in row]) == 2
    report = tmp_path / "robustness" / "report"
    assert {p.name for p in report.iterdir()} >= {"robustness.csv", "robustness-probes.csv", "robustness.md"}
    assert len(list(report.glob("*.png"))) == 3
    assert main(words) == 0
    assert "2 runs done (2 of them before)" in capsys.readouterr().out


def test_several_perturbations_tested_once_at_the_end_and_paired_by_image(tmp_path, capsys):
    """`test_every_epoch=false` saves the tests in between and changes no final figure; verdicts agree with the accuracies."""
    words = [*TINY, *SWEEP, *SIZES, "--noise", "none", "--models", "s4d,s4-ptd", "--perturbation", "rank1,random"]
    assert main([*words, "--out", str(tmp_path / "each")]) == 0
    assert main([*words, "test_every_epoch=false", "--out", str(tmp_path / "once")]) == 0
    found = {}
    for name in ("each", "once"):
        folders = collect(tmp_path / name, "robustness")
        found[name] = {tuple(f.config["asked"][k] for k in ("model", "perturbation")): f for f in folders}
    assert set(found["once"]) == {("s4d", None), ("s4-ptd", "rank1"), ("s4-ptd", "random")}
    for variant, once in found["once"].items():
        each, arrays = found["each"][variant].result(), once.load_arrays()
        for test in ("test", "noisy"):
            accuracy = once.result()[f"{test}@last/accuracy"]
            assert accuracy == each[f"{test}/accuracy"] == pytest.approx(arrays[f"{test}_right@last"].mean())
        assert "noisy/accuracy" not in once.result()
        assert not any("test/accuracy" in row for row in once.metrics())
    report = tmp_path / "once" / "robustness" / "report"
    with open(report / "robustness-losses.csv") as file:
        rows = list(csv.DictReader(file))
    assert {(row["model"], row["perturbation"]) for row in rows} == {
        ("s4d", "-"),
        ("s4-ptd", "rank1"),
        ("s4-ptd", "random"),
    }
    for row in rows:
        right = found["once"][row["model"], None if row["perturbation"] == "-" else row["perturbation"]].load_arrays()
        clean, noisy = right["test_right@last"], right["noisy_right@last"]
        assert float(row["only clean right"]) == (clean & ~noisy).sum()
        assert float(row["lost"]) == pytest.approx(100 * (clean.mean() - noisy.mean()), abs=0.01)
    with open(report / "robustness-pairs.csv") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_a_random_perturbation_is_another_one_for_each_seed():
    base = compose_all(["experiment=robustness", "models=[s4-ptd]", "perturbation=random"])[0].config
    seeds = [[w for w in point.words if "perturbation_seed" in w] for point in points(base, [3, 4])]
    assert seeds == [["model.layer.perturbation_seed=3"], ["model.layer.perturbation_seed=4"]]


def test_rank1_is_s4d_to_the_bit(tmp_path):
    s4d = train(tmp_path, run_of("s4d"))
    rank_one = train(tmp_path, run_of("s4-ptd", perturbation="rank1"))
    assert s4d.run.key != rank_one.run.key
    losses = [[row["train/loss"] for row in folder.metrics() if "train/loss" in row] for folder in (s4d, rank_one)]
    assert losses[0] == losses[1]
    assert s4d.result()["noisy/loss"] == rank_one.result()["noisy/loss"]


def test_s4d_has_the_kernel_of_the_s4d_limit_with_twice_its_B():
    keys = {"_name_": "s4-ptd", "d_state": 16, "perturbation": "rank1", "states": "pairs", "lr": 0.0}
    torch.set_default_dtype(torch.float64)
    try:
        ours = parse_layer(keys).make(3, 0.0, False, torch.Generator().manual_seed(0)).kernel
        legs = DiagonalKernel(3, 16, init="legs", lr=0.0)
        legs.inv_dt.copy_(ours.inv_dt)
        legs.C.data = ours.C.data.clone()
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(ours(100), 2 * legs(100), rtol=1e-9, atol=1e-12)


def test_noise_in_the_result_is_the_published_formula_on_the_trained_model(tmp_path):
    """Recomputed by hand: the mode is added in front of each layer of the saved model, with draws in the same order."""
    run = run_of("s4d", n_layers=2)
    folder = train(tmp_path, run)
    ready = prepare(parse(folder.config), torch.device("cpu"))
    splits, model = ready.splits, ready.model
    model.load_state_dict(RunFolder(tmp_path, run).load_state()["model"])
    model.eval()
    generator = torch.Generator().manual_seed(NOISE_SEED)
    right = total = 0
    with torch.no_grad():
        for x, y, _ in SplitBatches(splits.test, 50).iterate():
            h = model.tower.encoder(x)
            for block in model.tower.backbone.blocks:
                dt = block.layer.kernel.inv_dt.double().exp().log1p()  # softplus
                r = torch.rand(len(h), 1, h.shape[-1], generator=generator)
                wave = torch.cos(last_spike(32) * torch.arange(64.0).double()[:, None] * dt)
                h = block.norm(block.layer(h + 0.1 * r * wave.float()))
            right += (model.head(h.mean(1)).argmax(-1) == y).sum().item()
            total += len(y)
    assert folder.result()["noisy/accuracy"] == right / total


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    run = run_of("s4-ptd", noise="[mask]")
    whole = train(tmp_path / "whole", run)
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", run, Control(stopped=lambda: next(asked) == 2))
    assert RunFolder(tmp_path / "parts", run).status().step is not None
    parts = train(tmp_path / "parts", run)
    plain = lambda folder: {k: v for k, v in folder.result().items() if k != "epoch_seconds"}
    assert plain(parts) == plain(whole)


def test_an_interruption_among_the_probes_keeps_the_training(tmp_path):
    run = run_of(noise="[mask,white]")
    stopped = {"now": False}
    control = Control(stopped=lambda: stopped["now"])
    original = robustness.Probing.probes
    try:
        robustness.Probing.probes = lambda *args: stopped.update(now=True) or original(*args)
        with pytest.raises(Interrupted):
            train(tmp_path, run, control)
    finally:
        robustness.Probing.probes = original
    assert RunFolder(tmp_path, run).status().step == 4
    assert train(tmp_path, run).result()["steps"] == 4


@pytest.mark.parametrize(("name", "size"), [("solve", 0.1), ("random", 0.1), ("random", None), ("rank1", None)])
def test_every_named_perturbation_is_of_its_size(name, size):
    run = run_of("s4-ptd", n=4, perturbation=name, perturbation_size="null" if size is None else size)
    found = parse(run.config).layer.find()
    if size is not None:
        assert found.size == pytest.approx(size, rel=1e-3)
    assert run.config["model"]["layer"]["perturbation_size"] == size


@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_with_A_and_dt_frozen_or_free(model, tmp_path):
    frozen = prepared(model, perturbation="rank1").model
    names = {name.rpartition(".")[2] for name, _ in frozen.named_parameters()}
    assert not names & {"inv_dt", "log_dt", "A_real", "A_imag", "Lambda_re", "Lambda_im", "P"}
    assert "C" in names
    free = prepared(model, perturbation="rank1", ssm_lr=0.001).model
    assert {name.rpartition(".")[2] for name, _ in free.named_parameters()} & {"inv_dt", "log_dt"}
    steps = layer_steps(frozen)
    assert [dt.shape for _, dt in steps] == [(8,)]
    assert all(((dt >= 0.00099) & (dt <= 0.101)).all() for _, dt in steps)
    folder = train(tmp_path, run_of(model, perturbation="random", noise="[input]"))
    assert np.isfinite(folder.result()["test/loss"])


def test_s5_with_rank1_is_s5():
    plain, rank_one = prepared("s5"), prepared("s5-ptd", perturbation="rank1")
    x = next(SplitBatches(plain.splits.test, 10).iterate())[0]
    with torch.no_grad():
        torch.testing.assert_close(plain.model.eval()(x), rank_one.model.eval()(x), rtol=1e-4, atol=1e-5)


def test_published_spikes_are_computed():
    assert last_spike(32) == pytest.approx(325.4263, abs=1e-3)
    found = probes(GROUPS, 16, 5, (0.1,))
    omegas = {p.omega for p in found if p.group == "frequency"}
    assert set(pole_frequencies(16, 3)) <= omegas
    assert {p.group for p in found} == {"clean", *GROUPS}


def test_residual_prenorm_and_as_published_are_other_models(tmp_path, capsys):
    for words in (["--residual"], ["--prenorm"], ["--as_published"], []):
        assert main([*TINY, *SWEEP, *SIZES, "--dry_run", "--out", str(tmp_path), *words]) == 0
    keys = {line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("new")}
    assert len(keys) == 8
    plain, residual = (prepared(residual=r).model for r in ("false", "true"))
    assert [m.tower.backbone.blocks[0].residual for m in (plain, residual)] == [False, True]


def test_a_changed_file_is_another_run(tmp_path):
    path = tmp_path / "mine.mat"
    runs = []
    for seed in (0, 1):
        savemat(path, {"ptb": random_perturbation(32, 0.05, seed).E})
        runs.append(run_of("s4-ptd", perturbation=str(path)))
    assert runs[0].key != runs[1].key
    folder = RunFolder(tmp_path, runs[0])
    folder.path.mkdir(parents=True)
    with folder.locked():
        folder.start({})
        with pytest.raises(UserError, match="planned with"):
            work([folder], Control())


def test_both_published_layouts_load(tmp_path):
    found = load_perturbation(ROOT / "data" / "ptbHiPPO32.mat", 32)
    savemat(tmp_path / "ptb.mat", {"ptb": found.E.astype(complex)})
    savemat(tmp_path / "three.mat", {"Lam": np.diag(found.Lambda), "V": found.V, "Vinv": found.Vinv})
    hashes = [run_of("s4-ptd", perturbation=tmp_path / name).config["contents"] for name in ("ptb.mat", "three.mat")]
    assert all(found["perturbation"] for found in hashes)
    named = run_of("s4-ptd", perturbation=ROOT / "data" / "ptbHiPPO32.mat")
    assert named.config["contents"] == run_of("s4-ptd").config["contents"]


def test_evaluation_covers_the_whole_split_once():
    ready = prepared(test_size="null")
    assert len(ready.splits.test) == 359
    (x, y, _), *rest = SplitBatches(ready.splits.test, 359).iterate()
    assert not rest
    by_hand = (ready.model.eval()(x).argmax(-1) == y).float().mean().item()
    assert ready.evaluation("test")(ready.model)["accuracy"] == pytest.approx(by_hand)
