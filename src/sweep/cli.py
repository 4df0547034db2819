"""The options that every sweep script has."""

import argparse
import re

from ..config.command_line import SuggestingParser
from ..config.grid import MOST_RUNS
from ..errors import did_you_mean, shown
from ..tracking.wandb_choice import MODES
from .devices import Gpus, available_cores
from .sweep import LAUNCHERS

__all__ = [
    "SuggestingParser",
    "add_common_arguments",
    "add_gpu_arguments",
    "gpu_list",
    "positive_int",
    "seed_list",
]

DEVICES = ("auto", "cpu", "cuda")
_WORDS = ("out", "device", "num_cpus", "seeds", "launcher", "gpus", "runs_per_gpu", "project_name")  # also key=value


def add_common_arguments(
    parser: SuggestingParser, *, seeds: str = "3", project_name: str, as_published: bool = True
) -> None:
    """Adds the options that all scripts share; `key=value` words may stand beside them.

    Args:
        seeds: the default of --seeds, in the words of the command line.
        project_name: the default of --project_name (the W&B project).
        as_published: with --as_published.
    """
    parser.options_as_words = _WORDS
    add = parser.add_argument
    add(
        "--device",
        type=device_name,
        default="auto",
        metavar="|".join(DEVICES),
        help="where to compute (default: auto, cuda if there is one; cuda:1 is cuda with --gpus 1)",
    )
    add(
        "--num_cpus",
        type=positive_int,
        default=min(4, available_cores()),
        metavar="N",
        help="worker processes on the CPU, each one run at a time (default: %(default)s); on GPUs they do not count",
    )
    add_gpu_arguments(parser)
    add_threads_argument(parser)
    add(
        "--seeds",
        type=seed_list,
        default=seed_list(seeds),
        metavar="K|LIST",
        help=f"K: the seeds 0..K-1; a list such as 0,3,7: these (default: {seeds})",
    )
    add("--out", default="runs", metavar="FOLDER", help="where results go (default: runs)")
    add("--dry_run", action="store_true", help="print what would be done, and what is done already, and stop")
    add("--retry_failed", action="store_true", help="do failed runs again, from their last checkpoint")
    add(
        "--launcher",
        choices=LAUNCHERS,
        default="process",
        help="this machine, or a Ray cluster (RAY_ADDRESS)",
    )
    add("--wandb", choices=MODES, default="auto", help="Weights & Biases; auto: online with a key and a network")
    add("--project_name", default=project_name, metavar="NAME", help="the W&B project (default: %(default)s)")
    add(
        "--set",
        "--overrides",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="another way to write key=value words, which can also stand alone",
    )
    if as_published:
        add("--as_published", action="store_true", help="as the published code where it differs from its paper")


def add_gpu_arguments(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Adds the options that say which GPUs a sweep uses and how; `prefix` opens their help."""
    parser.add_argument(
        "--gpus",
        type=gpu_list,
        metavar="auto|LIST",
        help=f"{prefix}the GPUs to use, as torch counts them, such as 0 or 0,2 (default: auto, all of them)",
    )
    parser.add_argument(
        "--runs_per_gpu",
        type=positive_int,
        default=1,
        metavar="K",
        help=f"{prefix}runs at a time on each GPU (default: 1); there are GPUs x K workers",
    )


def device_name(text: str) -> str:
    """Returns a device that pick_devices knows: auto, cpu, cuda, or one of several cards as cuda:1."""
    if text not in DEVICES and not re.fullmatch(r"cuda:\d+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a choice{did_you_mean(text, DEVICES)}")
    return text


def add_threads_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says how many CPU threads a run has."""
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="CPU threads of each run (default: OMP_NUM_THREADS, or 1 on a CPU, where more gain little and lose much when others compute)",
    )


def positive_int(text: str) -> int:
    """Returns a whole number of at least 1 that at most 15 digits."""
    if not re.fullmatch(r"\d{1,15}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {shown(text)}")
    return int(text)


def seed_list(text: str) -> tuple[int, ...]:
    """Returns the seeds 0..k-1 for "k", and those listed for "0,3,7"; a list of one is written "7,"."""
    if re.fullmatch(r"\d{1,9}", text) and 1 <= int(text) <= MOST_RUNS:
        return tuple(range(int(text)))
    if not re.fullmatch(r"\d{1,10}(,\d{1,10})*,?", text) or "," not in text:
        raise argparse.ArgumentTypeError(f"expected how many seeds (3) or which (0,3,7 or 7,), got {shown(text)}")
    seeds = [int(word) for word in text.rstrip(",").split(",")]
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"a seed is listed twice in '{text}'")
    return tuple(seeds)


def gpu_list(text: str) -> Gpus:
    """Returns the word "auto", or the numbers of a list such as "0,2"."""
    if text == "auto":
        return "auto"
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"expected auto or which GPUs (0 or 0,2), got {shown(text)}")
    gpus = tuple(int(word) for word in text.split(","))
    if len(set(gpus)) < len(gpus):
        raise argparse.ArgumentTypeError(f"a GPU is listed twice in '{text}'; more runs on one are --runs_per_gpu")
    return gpus
