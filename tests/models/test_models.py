"""Whole models: recurrence = convolution, chunks, padding, precision, checkpoints, and a task they learn."""

import pytest
import torch
from torch import nn

from src.errors import UserError
from src.kernels import DiagonalKernel, DPLRKernel, ptd_kernel
from src.layers import S5, S4Block, S5Block, S5Options
from src.layers.s5_init import normal_eigenbasis, perturbed_eigenbasis
from src.models import Classifier, ResidualBackbone, Retrieval, Tower
from tests.layers.ssm_cases import ALL, BIDIRECTIONAL, CAUSAL, H, perturbed

SHAPES = {  # ways to build a backbone; the last is that of the published robustness experiment
    "prenorm, batch, pool": ({"prenorm": True, "norm": "batch"}, "pool"),
    "postnorm, layer, pool": ({"prenorm": False, "norm": "layer"}, "pool"),
    "prenorm, layer, last": ({"prenorm": True, "norm": "layer", "final_norm": False}, "last"),
    "postnorm, batch, last": ({"prenorm": False, "norm": "batch"}, "last"),
    "no residual": ({"prenorm": False, "norm": "layer", "residual": False, "dropout": 0.1}, "pool"),
}


def tower(layer: str, shape: str, tokens: int | None = None, n_layers: int = 2) -> Tower:
    options, mode = SHAPES[shape]
    encoder = nn.Linear(2, H) if tokens is None else nn.Embedding(tokens, H, padding_idx=0)
    backbone = ResidualBackbone([ALL[layer](dropout=0.0) for _ in range(n_layers)], H, **options)
    return Tower(encoder, backbone, mode)


def make(layer: str, shape: str = "prenorm, batch, pool", dtype: torch.dtype = torch.float64, **options) -> Classifier:
    """Returns a seeded classifier in evaluation mode, with batch statistics that are not the initial ones."""
    torch.manual_seed(0)
    model = Classifier(tower(layer, shape, **options), 3).to(dtype).eval()
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 2.0)
    return model


def every_prefix(model, x, state):
    """The logits after each step, (B, L, classes), and the last state."""
    system, logits = model.discrete(), []
    for x_t in x.unbind(-2 if x.is_floating_point() else -1):
        y, state = model.step(x_t, state, system)
        logits.append(y)
    return torch.stack(logits, 1), state


@pytest.mark.parametrize("layer", CAUSAL)
@pytest.mark.parametrize("shape", SHAPES)
def test_step_equals_convolution(layer, shape):
    """At every prefix in float64, at the end in float32; running mean pooling included."""
    x = torch.randn(2, 20, 2, dtype=torch.float64)
    with torch.no_grad():
        model = make(layer, shape)
        logits, _ = every_prefix(model, x, model.default_state(2))
        for t in (1, 2, 20):
            assert torch.allclose(logits[:, t - 1], model(x[:, :t]), atol=1e-10, rtol=1e-10)
        model, x = make(layer, shape, torch.float32), x.float()
        assert torch.allclose(every_prefix(model, x, model.default_state(2))[0][:, -1], model(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layer", CAUSAL)
@pytest.mark.parametrize("shape", ["prenorm, batch, pool", "prenorm, layer, last"])
def test_chunks_equal_the_whole_then_steps_go_on(layer, shape):
    model = make(layer, shape)
    x = torch.randn(1, 40, 2, dtype=torch.float64, requires_grad=True)
    whole = model(x)
    state = None
    for chunk in x[:, :35].split([7, 1, 27], dim=1):
        logits, state = model(chunk, state, return_state=True)
    stepped, _ = every_prefix(model, x[:, 35:], state)
    assert torch.allclose(stepped[:, -1], whole, atol=1e-10)
    logits = model(x[:, 35:], state)
    assert torch.allclose(logits, whole, atol=1e-10)
    (direct,), (chunked,) = (torch.autograd.grad(y.square().sum(), x) for y in (whole, logits))
    assert torch.allclose(chunked, direct, atol=1e-10)


@pytest.mark.parametrize("layer", BIDIRECTIONAL)
def test_bidirectional_step_raises_with_the_reason(layer):
    model = make(layer, dtype=torch.float32)
    for use in (lambda: model.default_state(1), model.discrete, lambda: model(torch.ones(1, 3, 2), return_state=True)):
        with pytest.raises(ValueError, match="inputs still to come"):
            use()


@pytest.mark.parametrize("layer", ["S4 both ways", "S5 both ways", "S4-PTD real E", "S5-PTD"])
@pytest.mark.parametrize("shape", SHAPES)
def test_padding_changes_nothing_in_training(layer, shape):
    """Logits, every gradient and the running statistics do not depend on how much padding there is or what is in it."""
    lengths, x = torch.tensor([4, 9, 1]), torch.randn(3, 30, 2, dtype=torch.float64)
    runs = []
    for L, scale in ((9, 1.0), (30, 1e3)):
        model = make(layer, shape).train()
        model.tower.backbone.apply(lambda m: setattr(m, "p", 0.0) if hasattr(m, "p") else None)
        batch = x[:, :L].clone()
        for b, length in enumerate(lengths):
            batch[b, length:] *= scale
        logits = model(batch, lengths=lengths)
        logits.sin().sum().backward()
        runs.append([logits, *(p.grad for p in model.parameters()), *model.buffers()])
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-10) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("layer", ALL)
def test_a_padded_batch_equals_its_sequences_one_by_one(layer):
    for shape in ("prenorm, batch, pool", "postnorm, batch, last"):
        model = make(layer, shape)
        lengths, x = torch.tensor([4, 9, 1]), torch.randn(3, 9, 2, dtype=torch.float64)
        together = model(x, lengths=lengths)
        alone = torch.cat([model(x[b : b + 1, :length]) for b, length in enumerate(lengths)])
        assert torch.allclose(together, alone, atol=1e-11)


@pytest.mark.parametrize("layer", ALL)
def test_autocast_stays_finite_and_close(layer):
    model = make(layer, dtype=torch.float32).train()
    x = torch.randn(4, 50, 2)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(x)
    logits.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        assert (logits - make(layer, dtype=torch.float32).train()(x)).abs().max() < 0.05


@pytest.mark.parametrize("layer", ALL)
def test_trained_at_one_length_runs_at_another(layer):
    model, other = make(layer, dtype=torch.float32).train(), make(layer, dtype=torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model(torch.randn(4, 64, 2)).square().sum().backward()
    optimizer.step()
    other.load_state_dict(model.eval().state_dict())
    for L in (100, 1):
        x = torch.randn(1, L, 2)
        assert torch.equal(other(x), model(x))
    assert not any(p.is_complex() for p in model.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize("layer", ALL)
def test_on_a_gpu(layer):
    """Logits and gradients of a padded batch are those of the CPU."""
    x, lengths, runs = torch.randn(3, 30, 2, dtype=torch.float64), torch.tensor([4, 30, 1]), []
    for device in ("cpu", "cuda"):
        model = make(layer).to(device).train()
        logits = model(x.to(device), lengths=lengths.to(device))
        logits.sin().sum().backward()
        runs.append([logits.cpu(), *(p.grad.cpu() for p in model.parameters())])
    assert all(torch.allclose(a, b, rtol=1e-8, atol=1e-9) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("layer", ["S4", "S5 both ways"])
def test_retrieval_compares_one_tower_with_itself(layer):
    torch.manual_seed(0)
    model = Retrieval(tower(layer, "prenorm, batch, pool", tokens=9)).double().eval()
    x, lengths = torch.randint(1, 9, (3, 2, 11)), torch.tensor([[4, 11], [1, 2], [11, 11]])
    logits = model(x, lengths=lengths)
    assert logits.shape == (3, 2)
    for b in range(3):
        first, second = (model.tower(x[b : b + 1, k, : lengths[b, k]]) for k in range(2))
        features = torch.cat([first, second, first - second, first * second], 1)
        assert torch.allclose(logits[b : b + 1], model.head(features), atol=1e-12)
    if layer in CAUSAL:
        stepped, state = every_prefix(model, x, model.default_state(3))
        assert torch.allclose(stepped[:, -1], model(x), atol=1e-11)
        _, chunked = model(x, return_state=True)
        assert torch.allclose(chunked.pool.total, state.pool.total)


def test_tokens_and_their_padding():
    model = make("S4D legs", tokens=5)
    x = torch.tensor([[1, 2, 3, 0, 0], [4, 4, 4, 4, 1]])
    logits = model(x, lengths=torch.tensor([3, 5]))
    assert torch.allclose(logits[:1], model(x[:1, :3]))
    logits.sum().backward()
    assert not model.tower.encoder.weight.grad[0].any()


def test_unknown_decoder_mode_gets_a_suggestion():
    with pytest.raises(UserError, match="did you mean 'pool'"):
        Tower(nn.Linear(1, H), ResidualBackbone([], H), "pol")


DT = {"dt_min": 0.01, "dt_max": 0.5}  # steps that fit a sequence of 10
LEARNERS = {
    "S4": lambda: S4Block(DPLRKernel(32, d_state=16, **DT)),
    "S4D": lambda: S4Block(DiagonalKernel(32, d_state=16, **DT)),
    "S4-PTD": lambda: S4Block(ptd_kernel(perturbed(16), 32, **DT)),
    "S5": lambda: S5Block(S5(32, normal_eigenbasis(16), 2, S5Options(**DT))),
    "S5-PTD": lambda: S5Block(S5(32, perturbed_eigenbasis(perturbed(16)), 2, S5Options(**DT))),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learns_to_recall(name):
    """The class is the token that came 6 steps before the last of 10, one of 4: chance is 1/4."""
    torch.manual_seed(0)
    backbone = ResidualBackbone([LEARNERS[name]() for _ in range(2)], 32)
    model = Classifier(Tower(nn.Embedding(5, 32, padding_idx=0), backbone, "last"), 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(200):
        x = torch.randint(1, 5, (32, 10))
        loss = nn.functional.cross_entropy(model(x), x[:, 3] - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = torch.randint(1, 5, (500, 10))
    accuracy = (model.eval()(x).argmax(1) == x[:, 3] - 1).float().mean().item()
    assert accuracy > 0.8, accuracy
