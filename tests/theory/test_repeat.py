"""Repeating a recorded step equals calling it; on a GPU the recording is a CUDA graph."""

import numpy as np
import pytest
import torch

from src.theory.batched import BatchedFit
from src.theory.config import TheoryConfig
from src.theory.repeat import BLOCK, WARM_UP, Repeated, as_cuda_graph
from src.theory.state import FitState


class Recorder:
    """Stands for a graph: `record` runs the action once on a copy of the world, counts, and replays what it saw: an addition."""

    def __init__(self) -> None:
        self.value, self.recorded, self.replays, self.recording = 0, [], [], False

    def step(self) -> None:
        self.value += 1

    def record(self, action):
        before = self.value
        action()
        steps, self.value = self.value - before, before
        self.recorded.append(steps)

        def replay():
            self.value += steps
            self.replays.append(steps)

        return replay


def test_counts_are_made_of_blocks_and_single_steps():
    world = Recorder()
    repeat = Repeated(world.step, world.record)
    for count in (1, 2 * BLOCK + WARM_UP + 1, 0, 3, BLOCK):
        before = world.value
        repeat(count)
        assert world.value - before == count
    assert sorted(world.recorded) == [1, BLOCK]  # each once
    assert world.replays == [BLOCK, BLOCK, 1, 1, 1, 1, 1, BLOCK]


def test_nothing_is_recorded_for_the_first_steps():
    world = Recorder()
    Repeated(world.step, world.record)(WARM_UP)
    assert (world.value, world.recorded) == (WARM_UP, [])


def configs(complex_option, L=11):
    shape = dict(N=7, complex_option=complex_option, L=L, num_epochs=90, r_min=0.5, BC_std=0.3, task_name="random")
    return [
        TheoryConfig(**shape, opt=opt, lr=lr, zero_grad=zero, seed=seed)
        for seed, (opt, lr, zero) in enumerate([("adam", 1e-2, True), ("adamw", 1e-3, False), ("radam", 3e-3, True)])
    ]


def buffers(fit):
    return {name: value for name, value in vars(fit).items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("complex_option", [False, True])
def test_a_step_works_in_place(complex_option):
    """What a graph needs: every tensor stays where it is, and all that a step changes is in the tensors of the fit."""
    runs = configs(complex_option)
    fit, other = (BatchedFit(runs, [FitState.start(c) for c in runs], torch.device("cpu")) for _ in range(2))
    places = {name: value.data_ptr() for name, value in buffers(fit).items()}
    fit.advance(5)
    assert {name: value.data_ptr() for name, value in buffers(fit).items()} == places
    for name, value in buffers(other).items():
        value.copy_(buffers(fit)[name])
    np.testing.assert_array_equal(fit.advance(5), other.advance(5))
    torch.testing.assert_close(fit.theta, other.theta, rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("complex_option", [False, True])
def test_a_captured_graph_equals_the_steps_from_the_host(complex_option):
    runs, device = configs(complex_option), torch.device("cuda", 0)
    graph, host = (
        BatchedFit(runs, [FitState.start(c) for c in runs], device, captured=captured) for captured in (True, False)
    )
    for count in (1, 50, 19, 20):
        np.testing.assert_allclose(graph.advance(count), host.advance(count), rtol=1e-5)
        torch.testing.assert_close(graph.theta, host.theta, rtol=1e-5, atol=1e-6)
    assert [s.step for s in graph.states] == [90] * 3


@pytest.mark.gpu
def test_a_recording_does_not_run_the_action():
    x = torch.zeros(3, device="cuda")
    replay = as_cuda_graph(x.device)(lambda: x.add_(1))
    assert x.tolist() == [0, 0, 0]
    replay()
    replay()
    assert x.tolist() == [2, 2, 2]
