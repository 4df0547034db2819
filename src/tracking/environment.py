"""Where a result came from: versions, machine, commit and command line; never the host's name and never a secret."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from .privacy import hide_secrets

_FOLDER = Path(__file__).resolve().parent
_PACKAGES = ("torch", "numpy", "scipy", "numba")


def environment() -> dict[str, Any]:
    """Returns a plain dict that is safe to publish beside a result."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": _git_state(),
        "command": hide_secrets(sys.argv),
    }


def device_environment(device: str) -> dict[str, Any]:
    """Returns what `environment` cannot know: the device of one run, and the card, driver and visible cards where it is a GPU.

    Asked for in the process that computes there: naming a card initialises CUDA. For the CPU nothing is imported.

    Args:
        device: "cpu", "cuda", "cuda:1", ...
    """
    if not device.startswith("cuda"):
        return {"device": device}
    import torch

    gpu: dict[str, Any] = {
        "torch_cuda": torch.version.cuda,
        "driver": _driver(),
        "visible_devices": _without_serials(os.environ.get("CUDA_VISIBLE_DEVICES")),
    }
    if not torch.cuda.is_available():
        return {"device": device, "gpu": gpu}
    card = torch.cuda.get_device_properties(device)
    gpu |= {"name": card.name, "memory_gib": round(card.total_memory / 2**30, 1)}
    gpu |= {"capability": f"{card.major}.{card.minor}", "count": torch.cuda.device_count()}
    return {"device": f"{device}, {card.name}", "gpu": gpu}


def _driver() -> str | None:
    """The version of NVIDIA's kernel driver, as Linux tells it."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", Path("/proc/driver/nvidia/version").read_text())
    except OSError:
        return None
    return found and found[1]


def _without_serials(visible: str | None) -> str | None:
    """A card's full UUID names one machine in the world; eight of its digits tell the cards of a machine apart."""
    return visible and re.sub(r"((?:GPU|MIG)-[0-9a-f]{8})[-0-9a-f]*", r"\1", visible)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git_state() -> dict[str, Any] | None:
    """The commit of this suite and whether tracked files differ from it; None outside a git checkout."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changes is None else {"commit": commit, "dirty": bool(changes)}


def _git(*words: str) -> str | None:
    try:
        answer = subprocess.run(["git", *words], cwd=_FOLDER, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
