"""ListOps expressions by the rule of LRA's generator (Tay et al., arXiv 2011.04006).

A node above depth 10 is an operator with probability 1/4, else a value 0-9; an operator is one of four and has 2 to 10 arguments.
An expression is kept when 500 < length < 2000, an operator counting 2 (itself and its `]`) and a value 1. No expression occurs twice.
"""

import hashlib
import random
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ...errors import UserError
from ..listops import FILES, HEADER, SIZES
from .shards import open_record, run_shards, write_whole

MAX_DEPTH, OPERATOR_P, MAX_ARGS = 10, 0.25, 10
MIN_LENGTH, MAX_LENGTH = 500, 2000
SHARD = 500
PARTS = ".parts"
OPERATORS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: _twice_median(values) // 2,  # int(median): the mean of the middle two, rounded down
    "[SM": lambda values: sum(values) % 10,
}


@dataclass(frozen=True)
class Request:
    """A set to make: sizes of the splits and the seed."""

    seed: int = 0
    train: int = SIZES["train"]
    val: int = SIZES["val"]
    test: int = SIZES["test"]

    def __post_init__(self):
        if min(self.train, self.val, self.test) < 1:
            raise UserError(f"listops: sizes {self.train} / {self.val} / {self.test} must be at least 1")

    @property
    def total(self) -> int:
        """Number of expressions."""
        return self.train + self.val + self.test


class _TooLong(Exception):
    """The expression has reached MAX_LENGTH: whatever follows, it will be dropped."""


def example(seed: int, index: int, attempt: int = 0) -> tuple[str, int]:
    """Returns expression number `index` of a seed and its value.

    Args:
        attempt: counted up for an expression that turned out to be a repetition.
    """
    rng = random.Random(f"listops {seed} {index} {attempt}")
    while True:
        words: list[str] = []
        try:
            value, length = _grow(rng, 1, 0, words)
        except _TooLong:
            continue
        if length > MIN_LENGTH:
            return " ".join(words), value


def _grow(rng: random.Random, depth: int, length: int, words: list[str]) -> tuple[int, int]:
    """Appends a random node to `words`; returns its value and the length of the whole expression so far."""
    if depth == MAX_DEPTH or rng.random() > OPERATOR_P:
        if length + 1 >= MAX_LENGTH:
            raise _TooLong
        value = int(10 * rng.random())
        words.append(str(value))
        return value, length + 1
    n_args = 2 + int((MAX_ARGS - 1) * rng.random())
    operator = list(OPERATORS)[int(len(OPERATORS) * rng.random())]
    words.append("( " * (n_args + 1) + operator)
    length, values = length + 2, []
    for _ in range(n_args):
        value, length = _grow(rng, depth + 1, length, words)
        values.append(value)
        words.append(")")
    words.append("] )")
    return OPERATORS[operator](values), length


def _twice_median(values: list[int]) -> int:
    ordered, n = sorted(values), len(values)
    return ordered[(n - 1) // 2] + ordered[n // 2]


def generate(folder: Path, request: Request, workers: int) -> None:
    """Writes the three files into `folder`; a run that was stopped goes on where it was.

    Raises:
        UserError: the folder holds another set.
    """
    open_record(folder, {"generator": "listops", "format": 1, **asdict(request)})
    if all((folder / file).is_file() for file in FILES.values()):
        return
    parts = folder / PARTS
    parts.mkdir(exist_ok=True)
    n_shards = -(-request.total // SHARD)
    missing = [shard for shard in range(n_shards) if not (parts / f"{shard}.tsv").is_file()]
    run_shards(partial(_write_shard, parts, request), missing, workers, "listops")
    _merge(folder, parts, request, n_shards)
    shutil.rmtree(parts)


def _write_shard(parts: Path, request: Request, shard: int) -> None:
    indices = range(shard * SHARD, min((shard + 1) * SHARD, request.total))
    lines = (f"{source}\t{value}\n" for source, value in (example(request.seed, index) for index in indices))
    write_whole(parts / f"{shard}.tsv", "".join(lines).encode())


def _merge(folder: Path, parts: Path, request: Request, n_shards: int) -> None:
    """Puts the parts in order into the three files; a repetition is replaced by a new draw."""
    seen: set[bytes] = set()
    shards = (parts / f"{shard}.tsv" for shard in range(n_shards))
    lines = (line for shard in shards for line in shard.read_text(encoding="ascii").splitlines(keepends=True))
    index = 0
    for file, size in zip(FILES.values(), (request.train, request.val, request.test), strict=True):
        scratch = parts / file
        with open(scratch, "w", encoding="ascii", newline="\n") as out:
            out.write(f"{HEADER}\n")
            for _ in range(size):
                out.write(_distinct(next(lines), request.seed, index, seen))
                index += 1
        scratch.replace(folder / file)


def _distinct(line: str, seed: int, index: int, seen: set[bytes]) -> str:
    attempt = 0
    while (digest := hashlib.blake2b(line.encode(), digest_size=16).digest()) in seen:
        attempt += 1
        line = "{}\t{}\n".format(*example(seed, index, attempt))
    seen.add(digest)
    return line
