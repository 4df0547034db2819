"""`make gpu`: all that a GPU's owner can tell us in a quarter of an hour, as one page, docs/results/gpu.md.

Parts run one after the other in processes of their own, each under a time limit: a part that fails or hangs is written down with its last
lines and the others go on. The card's numbers of a theory sweep and of a training run are compared with the CPU's of the same commands.
"""

import importlib.util
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..config.command_line import SuggestingParser
from ..errors import UserError, run_door
from ..files import check_file
from ..resources import command, import_root, module
from ..tables import Table
from ..tracking.environment import device_environment

PAGE = Path("docs/results/gpu.md")
TAIL = 25  # lines of a failed part that the page keeps
THEORY = ["train_theory.py", "--seeds", "2", "--num_epochs", "20000", "--wandb", "disabled", "--set", "lr=1e-4", "N=32"]
TRAIN = ["-m", "train", "experiment=smoke/digits", "trainer.max_epochs=3", "wandb=null"]
AGREES = 0.05  # relative: 20,000 steps in another order of sums; a wrong kernel is off by far more


@dataclass(frozen=True)
class Outcome:
    """What a part came to.

    Attributes:
        passed: it ended in time and found nothing wrong.
        text: Markdown of what it found, or its last lines.
        seconds: how long it took.
    """

    passed: bool
    text: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Part:
    """One thing to find out: `find(folder, seconds)` writes what it likes into a folder of its own within a time limit."""

    name: str
    why: str  # what it tells, in a few words
    find: Callable[[Path, float], Outcome]
    seconds: float


def call(words: Sequence[str], folder: Path, seconds: float) -> Outcome:
    """Runs a command of this repository; its output goes to `folder`/log.txt. Passed is exit code 0."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    with log.open("a") as file:
        try:
            ended = subprocess.run(
                [sys.executable, *words], cwd=import_root(), stdout=file, stderr=file, timeout=seconds
            )
            code = str(ended.returncode)
        except subprocess.TimeoutExpired:
            code = f"none: stopped after {seconds:.0f} s"
    lines = log.read_text(errors="replace").splitlines()[-TAIL:]
    failed = f"exit code {code}: `python {' '.join(words)}`"
    return Outcome(code == "0", "\n".join(lines) if code == "0" else "\n".join([failed, "", "```", *lines, "```"]))


def tests(folder: Path, seconds: float) -> Outcome:
    """Every test that is marked for a GPU."""
    got = call(["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"], folder, seconds)
    return Outcome(got.passed, got.text.splitlines()[-1] if got.passed else got.text)


def speed(folder: Path, seconds: float) -> Outcome:
    """The tables of `bench gpu`, with the card's limits beside them."""
    page = folder / "tables.md"
    got = call(["-m", module("bench"), "gpu", "--quick", "--out", str(page)], folder, seconds)
    return Outcome(got.passed, page.read_text().split("-->", 1)[1].rpartition("<!--")[0] if got.passed else got.text)


def theory(device: str) -> Callable[[Path, float], Outcome]:
    """Returns the part that trains a short theory sweep on a device and on the CPU and compares the losses."""

    def find(folder: Path, seconds: float) -> Outcome:
        rows, end = [], time.monotonic() + seconds
        for field in ("real", "complex"):
            outs = {where: folder / f"{field}-{where}" for where in ("card", "cpu")}
            for where, out in outs.items():
                words = [
                    *THEORY,
                    "--experiment",
                    field,
                    "--out",
                    str(out),
                    "--device",
                    device if where == "card" else "cpu",
                ]
                got = call(words, folder, max(1.0, end - time.monotonic()))
                if not got.passed:
                    return got
            rows += compare(outs["card"], outs["cpu"], "loss", field)
        return judged(rows)

    return find


def graph(device: str) -> Callable[[Path, float], Outcome]:
    """Returns the part that trains a small model as a captured graph and step by step, and compares their losses."""

    def find(folder: Path, seconds: float) -> Outcome:
        captured, eager, end = folder / "graph", folder / "eager", time.monotonic() + seconds
        for out, own in ((captured, [f"trainer.cuda_graph={str(device != 'cpu').lower()}"]), (eager, [])):
            got = call([*TRAIN, f"device={device}", f"out={out}", *own], folder, max(1.0, end - time.monotonic()))
            if not got.passed:
                return got
        return judged(compare(captured, eager, "train/loss", "smoke/digits"))

    return find


def compare(one: Path, other: Path, number: str, name: str) -> list[dict[str, str]]:
    """Returns a row for each run of two sweeps of the same settings, in the order of their labels."""
    rows = []
    for a, b in zip(results(one), results(other), strict=True):
        x, y = a["result"][number], b["result"][number]
        difference = abs(x - y) / max(abs(y), 1e-12)
        row = {
            "run": f"{name}: {a['label']}",
            number: f"{x:.4g}",
            "compared with": f"{y:.4g}",
            "difference": f"{difference:.1e}",
        }
        rows.append(row | {"agrees": "yes" if difference <= AGREES else "NO"})
    return rows


def results(out: Path) -> list[dict]:
    """Returns the results below a folder, by label."""
    return sorted(
        (json.loads(path.read_text()) for path in out.rglob("result.json")), key=lambda result: result["label"]
    )


def judged(rows: list[dict[str, str]]) -> Outcome:
    """Passed, if there are rows and all agree."""
    return Outcome(bool(rows) and all(row["agrees"] == "yes" for row in rows), table(rows))


def peers(folder: Path, seconds: float) -> Outcome:
    """Our operations beside others' CUDA kernels, where those are installed."""
    if all(importlib.util.find_spec(name) is None for name in ("mamba_ssm", "structured_kernels")):
        return Outcome(
            True,
            "Neither mamba-ssm nor state-spaces' extension (structured_kernels) is installed here.",
        )
    page = folder / "peers.md"
    got = call(["-m", module("bench.card_peers"), str(page)], folder, seconds)
    return Outcome(got.passed, page.read_text() if got.passed else got.text)


def parts(device: str = "cuda") -> list[Part]:
    """Returns what is to be found out on a device; their limits add up to a quarter of an hour."""
    return [
        Part("GPU tests", "every kernel, forward and backward, against float64 references", tests, 300),
        Part("Theory sweep", "the same runs on the card and on the CPU", theory(device), 180),
        Part("Captured graph", "training steps repeated as a CUDA graph against steps one by one", graph(device), 120),
        Part("Speed", "each operation fused and plain beside the card's limits", speed, 240),
        Part("Peers", "mamba-ssm and state-spaces' extension, where they are installed", peers, 60),
    ]


def find_out(what: Sequence[Part], folder: Path, say: Callable[[str], None] = print) -> dict[str, Outcome]:
    """Does the parts one after the other; what goes wrong in one is its outcome."""
    found = {}
    for part in what:
        say(f"{part.name}: {part.why} (at most {part.seconds:.0f} s)")
        place, started = folder / part.name.lower().replace(" ", "-"), time.perf_counter()
        place.mkdir(parents=True, exist_ok=True)
        try:
            outcome = part.find(place, part.seconds)
        except Exception as error:  # a part may break in any way; the others go on
            outcome = Outcome(False, f"{type(error).__name__}: {error}")
        found[part.name] = Outcome(outcome.passed, outcome.text, time.perf_counter() - started)
        say(f"{part.name}: {'passed' if outcome.passed else f'FAILED, see {place}'}, {found[part.name].seconds:.0f} s")
    return found


def page(found: dict[str, Outcome], machine: str) -> str:
    """Returns the whole page."""
    summary = [
        {"part": name, "outcome": "passed" if outcome.passed else "**failed**", "seconds": f"{outcome.seconds:.0f}"}
        for name, outcome in found.items()
    ]
    lines = ["# On a GPU", "", f"Made by `make gpu`. {machine}", "", table(summary)]
    for name, outcome in found.items():
        lines += ["", f"## {name}", "", outcome.text.strip()]
        if not outcome.passed:
            lines += [
                "",
                "This part failed. To report it, send this page and the folder of logs that the command named.",
            ]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[dict[str, str]]) -> str:
    """Returns rows of equal keys as Markdown."""
    return Table(list(rows[0]), [list(row.values()) for row in rows]).markdown() if rows else "nothing was found"


def machine(device: str = "cuda") -> str:
    """One line about the card, its driver and the versions."""
    about = device_environment(device)["gpu"]
    shown = [f"{name.replace('_', ' ')} {value}" for name, value in about.items() if value not in (None, [], {})]
    return f"{'; '.join(shown)}; torch {torch.__version__}, Python {platform.python_version()}."


def main(argv: Sequence[str] | None = None) -> int:
    """Finds everything out on the first CUDA device and writes the page; exit code 1 where a part failed."""
    parser = SuggestingParser(prog=command("bench.card"), description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PAGE, help=f"the page (default: {PAGE})")
    parser.add_argument(
        "--logs", type=Path, default=Path("runs/gpu"), help="a folder for logs and runs (default: runs/gpu)"
    )
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    if not torch.cuda.is_available():
        raise UserError("make gpu needs a CUDA device and torch finds none here; `make test` runs what needs none")
    if not (import_root() / "train_theory.py").is_file():
        raise UserError("make gpu runs the scripts and tests of a clone of the repository; call it there")
    check_file(args.out)
    found = find_out(parts(), args.logs / time.strftime("%Y%m%d-%H%M%S"))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page(found, machine()))
    print(f"written: {args.out}")
    return 0 if all(outcome.passed for outcome in found.values()) else 1


if __name__ == "__main__":
    run_door(main)
