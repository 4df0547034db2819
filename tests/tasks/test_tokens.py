"""The token tasks against their definition, written out token by token; streams of data; metrics."""

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.tasks.token_scores import accuracies, token_loss
from src.tasks.tokens import HELD_OUT, Copy, InductionHead

TASKS = [
    Copy(),
    Copy(delay=5, extra=9, symbols=16),
    InductionHead(),
    InductionHead(h=6, context=31),
    InductionHead(symbols=3, h=2),
]


def check_copy(task, inputs, targets):
    for t in range(task.length):
        assert targets[t] == (inputs[t - task.delay] if t >= task.delay else -100)


def check_induction_head(task, inputs, targets):
    h, mark = task.h, task.mark
    marks = [t for t in range(len(inputs)) if inputs[t] == 0]
    assert len(marks) == 2
    assert marks[1] == mark
    assert marks[0] + h < mark
    copied = [inputs[marks[0] + 1 + i] for i in range(h)]
    for i in range(h):
        assert targets[mark + i] == copied[i]
        if i < h - 1:
            assert inputs[mark + 1 + i] == copied[i]
    assert all(target == -100 for target in targets[:mark])


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_every_example_fits_the_definition(task):
    batch = task.batch(0, 0, 50)
    assert batch.inputs.shape == batch.targets.shape == (50, task.length)
    assert batch.inputs.dtype == torch.int64
    check = check_copy if isinstance(task, Copy) else check_induction_head
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        check(task, inputs, targets)


def test_published_sizes():
    assert (Copy().length, Copy().vocab_size, InductionHead().length, InductionHead().vocab_size) == (128, 16, 384, 16)
    assert ((Copy().batch(0, 0, 1).targets != -100).sum(), (InductionHead().batch(0, 0, 1).targets != -100).sum()) == (
        64,
        128,
    )
    assert (Copy(symbols=16).vocab_size, InductionHead(symbols=16).vocab_size) == (16, 17)


@pytest.mark.parametrize(("symbols", "tokens"), [(15, range(1, 16)), (16, range(16))])
def test_tokens_of_the_copy_are_uniform(symbols, tokens):
    """Chi-squared over 128,000 tokens: below the 1 - 1e-6 quantile (62 at 15 degrees of freedom)."""
    counts = np.bincount(Copy(symbols=symbols).batch(0, 0, 1000).inputs.flatten(), minlength=16)
    drawn = counts[list(tokens)]
    assert drawn.sum() == 128_000
    assert (((drawn - drawn.mean()) ** 2) / drawn.mean()).sum() < 62


def test_place_of_the_first_mark_is_uniform():
    """All 128 places from 0 to 127 occur; chi-squared below the 1 - 1e-6 quantile (211 at 127 degrees of freedom)."""
    inputs = InductionHead().batch(0, 0, 12_800).inputs
    counts = np.bincount((inputs == 0).int().argmax(1), minlength=128)
    assert len(counts) == 128
    assert (((counts - 100) ** 2) / 100).sum() < 211


@pytest.mark.parametrize("task", TASKS[:3:2], ids=str)
def test_a_batch_is_a_function_of_seed_and_step(task):
    same = [task.batch(3, 7, 4) for _ in range(2)]
    assert torch.equal(same[0].inputs, same[1].inputs)
    others = [task.batch(3, 8, 4), task.batch(4, 7, 4), task.batch(3, 7, 4, HELD_OUT), task.held_out(3, 4)]
    for other in others:
        assert (other.inputs == same[0].inputs).float().mean() < 0.3


def test_no_batch_repeats_another():
    seen = {
        Copy().batch(seed, step, 1, stream).inputs.numpy().tobytes()
        for seed in range(3)
        for step in range(100)
        for stream in (0, 1)
    }
    assert len(seen) == 600


def test_held_out_has_a_thousand_examples():
    assert Copy().held_out(0).inputs.shape == (1000, 128)


@pytest.mark.parametrize(("task", "check"), [(Copy(), check_copy), (InductionHead(h=16), check_induction_head)])
def test_other_lengths(task, check):
    for length in (65, 128, 1024):
        longer = task.at_length(length)
        assert longer.length == length
        batch = longer.batch(0, 0, 3)
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            check(longer, inputs, targets)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Copy().at_length(64),
        lambda: InductionHead().at_length(256),
        lambda: InductionHead(h=8, context=8),
        lambda: Copy(delay=0),
        lambda: InductionHead(symbols=0),
    ],
)
def test_no_room_is_refused(make):
    with pytest.raises(UserError):
        make()


def test_loss_and_accuracies_count_scored_steps_only():
    targets = torch.tensor([[-100, 1, 2, 0], [-100, 2, 2, 1]])
    logits = torch.full((2, 4, 3), -50.0)
    guesses = torch.tensor([[2, 1, 2, 0], [0, 2, 1, 1]])
    logits.scatter_(2, guesses[..., None], 50.0)
    got = accuracies(logits, targets)
    assert [float(value) for value in got] == pytest.approx([5 / 6, 1 / 2, 1, 1])
    assert float(token_loss(logits, targets)) == pytest.approx(100 / 6)
    assert float(token_loss(torch.zeros(2, 4, 3), targets)) == pytest.approx(np.log(3))


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_chance_level(task):
    """A guess among the symbols is right as often as `chance` says, to five standard deviations."""
    batch = task.held_out(1, 400)
    scored = batch.targets != -100
    guesses = task.batch(2, 0, 400).inputs.roll(1, 0)
    drawn = guesses[scored & (guesses != 0)] if task.symbols < 16 else guesses[scored]
    right = (
        drawn == batch.targets[scored & (guesses != 0)] if task.symbols < 16 else drawn == batch.targets[scored]
    ).float()
    assert abs(right.mean() - task.chance) < 5 * (task.chance / len(right)) ** 0.5
