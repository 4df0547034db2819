"""What `train.py` does with composed configs: one run here, a sweep of runs (-m), or the evaluation of a checkpoint (train.mode=test)."""

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from ..config.words import key_of
from ..cost import Shorter
from ..engine import choose_device, distributed
from ..engine.device import autocast, slowness
from ..errors import EXIT_FAILED, EXIT_INTERRUPTED, UserError
from ..report import train as report
from ..report.index import IndexPage
from ..report.options import Options
from ..report.reporters import REPORTERS, TRAIN
from ..resources import module
from ..stop import StopSignals
from ..sweep import Control, Interrupted, Run, survey
from ..sweep.devices import contention, pick_devices
from ..sweep.faults import out_of_memory
from ..sweep.folder import RunFolder
from ..sweep.job import Job, Note, Outcome, Settings, run_job
from ..sweep.lock import check_writable
from ..sweep.script import run_script, say_cost
from ..tracking import device_environment, environment
from ..tracking.wandb_choice import WandbChoice, choose_wandb
from ..variables import is_started_by_torchrun
from .classify.compose import Composed
from .classify.config import TrainConfig, parse
from .classify.cost import RunCosts
from .classify.model import check_layer
from .classify.run import Prepared, prepare, train


def start(composed: Sequence[Composed], args: argparse.Namespace) -> int:
    """Does what the options ask of the configs; returns the exit code of the script."""
    configs = [_parsed(one, args) for one in composed]
    if args.cfg:  # shown, not run: own code is not imported
        print("\n---\n".join(OmegaConf.to_yaml(OmegaConf.create(one.config)).rstrip() for one in composed))
        return 0
    runs = [_run(one, config) for one, config in zip(composed, configs, strict=True)]
    if args.multirun:
        return _sweep(runs, configs, args)
    if args.gpus is not None or args.runs_per_gpu > 1:
        raise UserError("--gpus and --runs_per_gpu are of -m; one run takes device=cuda:1, or many GPUs with torchrun")
    if args.dry_run:
        todo = survey(runs, configs[0].out)
        print("\n".join([*todo.lines(), f"{len(runs)} runs: {todo.summary()}"]), flush=True)
        costs = RunCosts()
        say_cost(todo, costs.steps, costs.of_step, costs.alike, 1, Shorter("trainer.max_steps=100", 100))
        return 0
    if args.threads:
        torch.set_num_threads(args.threads)
    device = choose_device(configs[0].device)
    busy = contention(torch.get_num_threads()) if device.type == "cpu" and not is_started_by_torchrun() else None
    if busy:
        print(f"{busy}; --threads 1 is safe" if torch.get_num_threads() > 1 else busy, flush=True)
    autocast(device, configs[0].trainer.precision)  # says at once what this device cannot
    with distributed.process_group(device):
        if configs[0].train.mode == "test":
            return _evaluate(configs[0], device)
        return _train_here(runs[0], configs[0], device)


def _parsed(one: Composed, args: argparse.Namespace) -> TrainConfig:
    """The checked config; options go before its keys `out`, `device` and `wandb`."""
    config = parse(one.config)
    if not (args.cfg and config.own_code):
        check_layer(config)
    wandb = {"mode": args.wandb or config.wandb.mode, "project": args.project_name or config.wandb.project}
    return replace(
        config, out=args.out or config.out, device=args.device or config.device, wandb=replace(config.wandb, **wandb)
    )


def _run(one: Composed, config: TrainConfig) -> Run:
    changes = [word for word in one.words if key_of(word) not in ("experiment", "wandb", "out", "device")]
    if config.train.ckpt:  # its folder's name is that of the run it came from
        started = "train.ckpt=" + "/".join(Path(config.train.ckpt).parts[-2:])
        changes = [started if key_of(word) == "train.ckpt" else word for word in changes]
    label = config.wandb.name or " ".join([one.experiment, *changes])
    name = re.sub(r"[^\w.-]+", "-", one.experiment)
    return Run(f"{TRAIN}{name}", config.plain, label)


def _wandb(config: TrainConfig) -> WandbChoice:
    if config.wandb.entity is not None:
        os.environ.setdefault("WANDB_ENTITY", config.wandb.entity)
    return choose_wandb(config.wandb.mode, config.wandb.project)


def _say_slowness(configs: list[TrainConfig], devices: list[str]) -> None:
    """Says what the runs of a sweep, which are silent, would say of the device at their precision."""
    for precision in sorted({config.trainer.precision for config in configs}):
        warning = slowness(torch.device(devices[0]), precision)
        if warning:
            print(warning, flush=True)


def _sweep(runs: list[Run], configs: list[TrainConfig], args: argparse.Namespace) -> int:
    config = configs[0]
    if is_started_by_torchrun():
        raise UserError("-m and torchrun do not go together: a sweep starts its own processes")
    if config.train.mode == "test":
        raise UserError("-m trains; evaluate one checkpoint at a time")
    devices = pick_devices(config.device, args.gpus, args.launcher)
    if not args.dry_run:
        _say_slowness(configs, devices)
        _wandb(config)
    costs = RunCosts()
    folders = sorted({Path(config.out) / run.experiment for run in runs})
    args.out, args.wandb, args.project_name = config.out, config.wandb.mode, config.wandb.project
    return run_script(
        runs,
        module("experiments.classify.run:work"),
        args,
        steps=costs.steps,
        report=lambda folder: REPORTERS[TRAIN](folders, Options.of(args, runs)),
        page=IndexPage(config.out),
        devices=devices,
        cost=costs.of_step,
        alike=costs.alike,
        shorter=Shorter("trainer.max_steps=100", 100),
    )


def _evaluate(config: TrainConfig, device: torch.device) -> int:
    prepared = prepare(config, device)
    measured = {split: prepared.evaluation(split)(prepared.model) for split in ("val", "test")}
    if distributed.is_main():
        print(f"{config.train.ckpt} on {config.dataset}; {prepared.splits.note}")
        for split, values in measured.items():
            print(f"{split}: " + ", ".join(f"{name} {value:.6g}" for name, value in values.items()))
    return 0


def _train_here(run: Run, config: TrainConfig, device: torch.device) -> int:
    """Trains in this process (or, under torchrun, these): process 0 owns the folder."""
    folder, say = RunFolder(config.out, run), print if distributed.is_main() else (lambda line: None)
    if distributed.broadcast(folder.status().state) == "done":
        say(f"{folder.path}: done before; delete the folder to do it again")
        say(report.of_folders([folder]).text())
        return 0
    try:
        prepared = prepare(config, device)
    except (MemoryError, RuntimeError) as error:
        if distributed.world_size() > 1:
            raise
        return _record_failure(folder, error, device)
    if distributed.is_main():
        check_writable(folder.path.parents[1])
        print("\n".join([f"run: {folder.path}", *prepared.lines()]), flush=True)
    with StopSignals("stopping after this step (once more to stop at once)", ends=True) as signals:
        if not distributed.is_main():
            return _follow(prepared, Control(str(device), stopped=signals.asked))
        page = IndexPage(config.out)
        control = Control(str(device), send=lambda progress: page.refresh(), stopped=signals.asked)
        code = _train_in_folder(folder, prepared, control)
        _write(page)
        return code


def _record_failure(folder: RunFolder, error: Exception, device: torch.device) -> int:
    """A run whose model cannot be built, for lack of memory most often, has failed like any other."""
    check_writable(folder.path.parents[1])
    with folder.locked():
        folder.start(environment() | device_environment(str(device)))
        message = folder.fail(out_of_memory(error, Control(str(device))) or error)
    print(f"failed: {message}; traceback: {folder.path / 'traceback.txt'}")
    return EXIT_FAILED


def _write(page: IndexPage) -> None:
    if page.write():
        print(f"All runs: {page.path}")


def _follow(prepared: Prepared, control: Control) -> int:
    """What every process but the first does: trains along, if process 0 has the folder, and stops when any is asked to."""
    if distributed.broadcast(False):
        try:
            train(prepared, None, control)
        except Interrupted:
            return EXIT_INTERRUPTED
    return 0


def _train_in_folder(folder: RunFolder, prepared: Prepared, control: Control) -> int:
    config, outcomes = prepared.config, []

    def work(folders: list[RunFolder], control: Control) -> None:
        distributed.broadcast(True)  # the other processes wait for it
        result = train(prepared, folders[0], control, say=_say, progress=True, resume=config.train.resume == "auto")
        folders[0].finish(result)

    def note(message: Any) -> None:
        if isinstance(message, Note):
            print(message.text)
        if isinstance(message, Outcome):
            outcomes.append(message)

    settings = Settings("", folder.path.parents[1], environment(), retry_failed=True, wandb=_wandb(config))
    run_job(work, Job(0, (folder.run,)), settings, control, note)
    outcome = outcomes[0]
    if outcome.state in ("locked", "skipped"):
        distributed.broadcast(False)
        raise UserError(f"{folder.path} is in use by {outcome.message or 'another process'}")
    if outcome.state == "interrupted":
        print(f"stopped with the state saved; the same command continues: {folder.path}")
        return EXIT_INTERRUPTED
    if outcome.state == "failed":
        print(f"failed: {outcome.message}; traceback: {folder.path / 'traceback.txt'}")
        if distributed.world_size() > 1:
            raise SystemExit(EXIT_FAILED)  # at once: the other processes may be waiting for this one
        return EXIT_FAILED
    print(f"{report.of_folders([folder]).text()}\nresult and curves: {folder.path}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
