"""Whether Weights & Biases (W&B) gets a copy of the logs: decided once, before a sweep starts, without a prompt."""

import contextlib
import importlib.util
import netrc
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import UserError, did_you_mean

MODES = ("auto", "online", "offline", "disabled")
_DEFAULT_HOST = "https://api.wandb.ai"
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class WandbChoice:
    """The decided mode, "online", "offline" or "disabled", and the project."""

    mode: str = "disabled"
    project: str | None = None


def choose_wandb(mode: str, project: str | None = None) -> WandbChoice:
    """Returns what `mode` comes to on this machine, and prints one line about it where that is not simply what was asked for.

    auto: online if a key is configured (WANDB_API_KEY or netrc) and the host answers within 2 s, else disabled;
    WANDB_MODE=offline or disabled in the environment is respected.

    Raises:
        UserError: an unknown mode, or one that cannot be had: wandb is not installed, or online without a key.
    """
    if mode not in MODES:
        raise UserError(f"--wandb {mode} is unknown{did_you_mean(mode, MODES)}")
    if mode == "auto":
        return WandbChoice(_choose_automatically(project), project)
    if mode == "disabled":
        return WandbChoice("disabled", project)
    if importlib.util.find_spec("wandb") is None:
        raise UserError(f"--wandb {mode} needs the package wandb: pip install wandb, or use --wandb disabled")
    if mode == "online" and not has_key():
        raise UserError("--wandb online needs a key: run `wandb login` or set WANDB_API_KEY, or use --wandb offline")
    if mode == "online" and not host_answers():
        print(f"W&B: {_host()} does not answer; runs are written offline, upload them with `wandb sync`")
        return WandbChoice("offline", project)
    return WandbChoice(mode, project)


def _choose_automatically(project: str | None) -> str:
    wish = os.environ.get("WANDB_MODE", "online")
    if wish in ("offline", "disabled"):
        reason = f"WANDB_MODE={wish}"
    elif importlib.util.find_spec("wandb") is None:
        wish, reason = "disabled", "the package is not installed"
    elif not has_key():
        wish, reason = "disabled", "no key is configured"
    elif not host_answers():
        wish, reason = "disabled", f"{_host()} does not answer"
    else:  # before anything is sent
        print(f"W&B: online, project {project or 'uncategorized'} (a key is configured)", flush=True)
        return "online"
    print(f"W&B: {'off' if wish == 'disabled' else wish} ({reason}); the local logs are complete")
    return wish


def has_key() -> bool:
    """Tells whether a W&B key is in the environment or in the user's netrc file; never reads more than that."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    for path in _netrc_files():
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            return netrc.netrc(path).authenticators(urlsplit(_host()).netloc) is not None
    return False


def _netrc_files() -> list[Path]:
    named = os.environ.get("NETRC")
    if named:
        return [Path(named)]
    try:
        return [Path.home() / ".netrc", Path.home() / "_netrc"]
    except RuntimeError:  # neither HOME nor an entry in passwd
        return []


def host_answers() -> bool:
    """Tells whether the W&B host answers within 2 s, name lookup included, through the proxies that are configured."""
    answers = []

    def ask() -> None:
        try:
            urllib.request.urlopen(_host(), timeout=_ANSWER_SECONDS).close()
            answers.append(True)
        except urllib.error.HTTPError:  # an answer, if not a kind one
            answers.append(True)
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    return bool(answers)


def _host() -> str:
    return os.environ.get("WANDB_BASE_URL", _DEFAULT_HOST).rstrip("/")
