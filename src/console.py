"""`ssm-experiments COMMAND ...`: every script and tool of the package behind one word; the scripts of the repository do the same."""

import importlib
import sys

from .errors import UserError, did_you_mean, run_door
from .resources import module

COMMANDS = {  # word: (module of its `main(argv) -> int`, what it does)
    "theory": (
        "experiments.theory",
        "P2's theory experiments: can a real or complex diagonal SSM learn an impulse response",
    ),
    "selectivity": ("experiments.selectivity", "P2's Mamba experiments: real against complex, parts selective or not"),
    "robustness": ("experiments.robustness", "P1's robustness test: noise at the spikes of S4D"),
    "ablation": ("experiments.ablation", "P1's ablation: the size of the perturbation"),
    "train": ("experiments.train", "Long Range Arena, sequential images, your data: experiment=lra/s4-PTD-cifar"),
    "sinusoid": ("experiments.sinusoid", "P1's sinusoids: interpolation and extrapolation in frequency"),
    "data": ("dataloaders.__main__", "data sets: list, prepare, check"),
    "report": ("report.__main__", "tables and figures of finished runs"),
    "perturbation": ("linalg.ptd.__main__", "solve for a perturbation of HiPPO"),
    "export": ("export", "take a trained model away: weights, config, step form"),
    "bench": ("bench.__main__", "speed tables on this machine"),
}
SHORT = {"prepare": ["data", "prepare"]}  # a word that stands for several


def main(argv: list[str] | None = None) -> int:
    """Hands the words behind the first to the command that it names.

    Raises:
        UserError: there is no such command.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return 0
    words[:1] = SHORT.get(words[0], words[:1])
    if words[0] not in COMMANDS:
        raise UserError(f"unknown command '{words[0]}'{did_you_mean(words[0], [*COMMANDS, *SHORT])}")
    target = COMMANDS[words[0]][0]
    try:
        loaded = importlib.import_module(module(target))
    except ModuleNotFoundError as error:
        raise missing_extra(error) from None
    return loaded.main(words[1:])


def missing_extra(error: ModuleNotFoundError) -> Exception:
    """Returns the line that says which extra brings a package that is not installed; other errors as they are."""
    extras = dict.fromkeys(("hydra", "matplotlib", "jinja2", "PIL"), "experiments")
    extras |= {"wandb": "wandb", "ray": "ray", "safetensors": "export"}
    extra = extras.get((error.name or "").partition(".")[0])
    if extra is None:
        return error
    return UserError(f"{error.name} is not installed; pip install 'ssm-experiments[{extra}]'")


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, (_, what) in COMMANDS.items()]
    return "usage: ssm-experiments COMMAND ...\n\n" + "\n".join(lines) + "\n\nssm-experiments COMMAND --help says more."


def run() -> None:
    """The console command of an installed package."""
    run_door(main)
