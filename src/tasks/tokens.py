"""The token tasks of P2's selectivity experiments (arXiv 2410.14067, Appendix F.3): copy and induction head.

Copy (delay t): x_1, x_2, ... random tokens, the target at a step is the input of t steps before; scored where there
is one.

    x1 x2 ... x_t | x_{t+1} ... x_2t      ->      .  .  ...  .  | x1 ... x_t

Induction head (h): p random tokens, 0, the h tokens X, random tokens up to step 2h, 0, then X without its last token;
the target at a step is the next input; scored on the last h steps, where it is X.

    p random | 0 | X1 ... Xh | random | 0 | X1 ... X_{h-1}      ->      ... | X1 ... Xh

The place p of the first 0 is uniform over those that leave room for X. As published, tokens are 1..15 and 0 is kept
for the induction head's mark; the paper speaks of 16 symbols: `symbols=16`.

Every batch is a function of (seed, step) alone (a counter-based generator), so a resumed run sees the data of an
uninterrupted one, no batch of a run repeats another, and held-out examples come from streams that training never
draws from.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from ..errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TRAINING, HELD_OUT = 0, 1  # streams of data; they never meet


class TokenBatch(NamedTuple):
    """B sequences; a target of -100 is not scored."""

    inputs: "Tensor"  # (B, L) int64
    targets: "Tensor"  # (B, L) int64


@dataclass(frozen=True)
class TokenTask:
    """What the tasks share. Subclasses set the shape of an example and fill it.

    Attributes:
        symbols: number of symbols that are drawn at random.
    """

    symbols: int = 15

    def batch(
        self, seed: int, step: int, size: int, stream: int = TRAINING, device: "torch.device | str" = "cpu"
    ) -> TokenBatch:
        """Returns the batch of one step; the same arguments always give the same batch."""
        import torch  # a config asks its task for sizes only, and does not wait for it

        bits = np.random.Philox(key=[seed, stream], counter=[0, step, 0, 0])
        inputs, targets = self.examples(np.random.Generator(bits), size)
        return TokenBatch(torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device))

    def held_out(self, seed: int, size: int = 1000, device: "torch.device | str" = "cpu") -> TokenBatch:
        """Returns the fresh examples that accuracy is measured on (the paper: 1000)."""
        return self.batch(seed, 0, size, HELD_OUT, device)

    def examples(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets, (size, length) int64."""
        raise NotImplementedError

    def at_length(self, length: int) -> Self:
        """Returns the same task on inputs of another length.

        Raises:
            UserError: the length has no room for the task.
        """
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Length of an input."""
        raise NotImplementedError

    @property
    def vocab_size(self) -> int:
        """Number of different tokens, the mark included."""
        raise NotImplementedError

    @property
    def chance(self) -> float:
        """Token accuracy of a guess."""
        return 1 / self.symbols


@dataclass(frozen=True)
class Copy(TokenTask):
    """Attributes: delay: t. extra: scored steps after the first t; the paper's input length 2t means extra = t."""

    delay: int = 64
    extra: int = 64

    def __post_init__(self) -> None:
        _at_least(1, symbols=self.symbols, delay=self.delay, extra=self.extra)

    def examples(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        first = self.vocab_size - self.symbols
        inputs = rng.integers(first, self.vocab_size, (size, self.length))
        targets = np.full_like(inputs, -100)
        targets[:, self.delay :] = inputs[:, : -self.delay]
        return inputs, targets

    def at_length(self, length: int) -> "Copy":
        if length <= self.delay:
            raise UserError(f"a copy with delay {self.delay} needs inputs longer than that, got length {length}")
        return replace(self, extra=length - self.delay)

    @property
    def length(self) -> int:
        return self.delay + self.extra

    @property
    def vocab_size(self) -> int:
        return max(self.symbols, 16)


@dataclass(frozen=True)
class InductionHead(TokenTask):
    """Attributes: h: tokens to repeat. context: step of the second mark; None is 2h."""

    h: int = 128
    context: int | None = None

    def __post_init__(self) -> None:
        _at_least(1, symbols=self.symbols, h=self.h)
        _at_least(self.h + 1, context=self.mark)

    def examples(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        h, mark = self.h, self.mark
        sequence = np.zeros((size, mark + 1 + h), np.int64)
        sequence[:, :mark] = rng.integers(1, self.symbols + 1, (size, mark))
        place = rng.integers(0, mark - h, size)[:, None]
        rows = np.arange(size)[:, None]
        sequence[:, mark + 1 :] = sequence[rows, place + 1 + np.arange(h)]
        sequence[rows, place] = 0
        targets = sequence[:, 1:].copy()
        targets[:, :-h] = -100
        return sequence[:, :-1], targets

    def at_length(self, length: int) -> "InductionHead":
        if length <= 2 * self.h:
            raise UserError(
                f"an induction head of {self.h} tokens needs inputs of at least {2 * self.h + 1}, got {length}"
            )
        return replace(self, context=length - self.h)

    @property
    def mark(self) -> int:
        """Step of the second mark, counted from 0."""
        return 2 * self.h if self.context is None else self.context

    @property
    def length(self) -> int:
        return self.mark + self.h

    @property
    def vocab_size(self) -> int:
        return max(self.symbols + 1, 16)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}")
