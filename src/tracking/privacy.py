"""What must not leave the machine or stay in a record: secrets of a command line, and where a user's home is."""

import os
import re
from pathlib import Path
from typing import Any

HIDDEN = "***"
_NAME = r"(.*[+~_.-])?(key|apikey|token|secret|password|passwd|pwd|auth|authorization|credentials?)"
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_SECRET_VALUE = re.compile(r"[0-9a-fA-F]{32,}|wandb_v\d+_\w+|[A-Za-z0-9_]{40,}")
_USER_AND_PASSWORD = re.compile(r"[^\s/:@=]*:[^\s/@]+@")  # of https://user:password@host
_CREDENTIAL = re.compile(r"\b(bearer|basic|token)[ :]+\S+", re.IGNORECASE)  # of a header
_HOMES = re.compile(r"(?<![\w.-])/(home/[^/\s]+|Users/[^/\s]+|root)(?=/|$)")


def hide_secrets(words: list[str]) -> list[str]:
    """Returns the command line without values that are named or look like secrets, or are some in os.environ."""
    secrets = {value for name, value in os.environ.items() if _SECRET_NAME.fullmatch(name) and len(value) >= 8}
    hidden: list[str] = []
    for word in words:
        before = hidden[-1] if hidden else ""
        if before.startswith("-") and _SECRET_NAME.fullmatch(before) and not word.startswith("-"):
            word = HIDDEN
        name, equals, value = word.partition("=")
        if equals and value and _SECRET_NAME.fullmatch(name):
            word = f"{name}={HIDDEN}"
        for secret in secrets:
            word = word.replace(secret, HIDDEN)
        word = _USER_AND_PASSWORD.sub(f"{HIDDEN}@", word)
        word = _CREDENTIAL.sub(rf"\1 {HIDDEN}", word)
        hidden.append(_SECRET_VALUE.sub(HIDDEN, word))
    return hidden


def hide_homes(value: Any) -> Any:
    """Returns a plain value in which a home folder, in any of its texts, is `~`: a path there names its user."""
    if isinstance(value, dict):
        return {key: hide_homes(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [hide_homes(item) for item in value]
    if not isinstance(value, str):
        return value
    home = _home()
    return _HOMES.sub("~", re.sub(rf"(?<![\w.-]){re.escape(home)}(?=/|$|\s)", "~", value) if home else value)


def _home() -> str | None:
    try:
        home = str(Path.home())
    except RuntimeError:  # no HOME and no entry of the user
        return None
    return home if len(home) > 1 else None
