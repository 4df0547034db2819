"""Hashes of what a run reads, for its key: a file that changed makes another run."""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...linalg.ptd import Perturbation


def content_hash(perturbation: Perturbation) -> str:
    """Returns 12 hex digits that name E, to 9 significant digits, whatever file it came from."""
    return _hash_of(perturbation.E.astype(complex).tobytes())


@lru_cache(maxsize=64)  # a sweep asks for the same few E again and again, and writing numbers as text is slow
def _hash_of(E: bytes) -> str:
    text = "\n".join(f"{x.real:.9e} {x.imag:.9e}" for x in np.frombuffer(E, complex))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def file_hash(path: str | Path, kind: str = "file") -> str:
    """Returns 12 hex digits that name the content of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except FileNotFoundError:
        raise UserError(f"{path}: no such {kind}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
