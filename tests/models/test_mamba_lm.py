"""The language model: published sizes, step mode, generation, options by name; and that it learns."""

from itertools import product

import pytest
import torch

from src.errors import UserError
from src.models.mamba_config import MambaConfig, as_published
from src.models.mamba_lm import MambaLM
from src.tasks.token_scores import accuracies, token_loss
from src.tasks.tokens import Copy

TYPES = ("S6-Real", "S6-Complex", "S4D-Real", "S4D-Complex")


@pytest.mark.parametrize(("ssm_type", "count"), [("S6-Real", 65_472), ("S6-Complex", 59_328)])
def test_published_parameter_counts(ssm_type, count):
    assert MambaLM(as_published(MambaConfig(ssm_type))).trainable_parameters() == count


def test_both_fields_have_as_many_parameters():
    for mix in product([True, False], repeat=3):
        switches = dict(zip(("B_is_selective", "C_is_selective", "dt_is_selective"), mix, strict=True))
        assert len({MambaLM(MambaConfig(kind, **switches)).trainable_parameters() for kind in TYPES[:2]}) == 1
    assert len({MambaLM(MambaConfig(kind)).trainable_parameters() for kind in TYPES[2:]}) == 1


@pytest.mark.parametrize("ssm_type", TYPES)
def test_steps_equal_the_parallel_mode(ssm_type):
    """Float32, the published size, 200 tokens: to 1e-5 of the largest logit."""
    torch.manual_seed(0)
    model, tokens = MambaLM(MambaConfig(ssm_type)), torch.randint(16, (2, 200))
    with torch.no_grad():
        parallel, last = model(tokens, return_state=True)
        state, logits = model.default_state(2), []
        for token in tokens.unbind(1):
            y, state = model.step(token, state)
            logits.append(y)
        assert (torch.stack(logits, 1) - parallel).abs().max() <= 1e-5 * parallel.abs().max()
        for got, want in zip(state, last, strict=True):
            torch.testing.assert_close(tuple(got), tuple(want), rtol=1e-4, atol=1e-5)


def test_state_carries_gradients():
    torch.manual_seed(0)
    model, tokens = MambaLM(MambaConfig("S6-Complex", d_model=16, d_state=4)).double(), torch.randint(16, (2, 30))
    parameters = list(model.parameters())
    loss = lambda logits: (logits**2).sum()
    whole = torch.autograd.grad(loss(model(tokens)), parameters)
    first, state = model(tokens[:, :13], return_state=True)
    parts = torch.autograd.grad(loss(first) + loss(model(tokens[:, 13:], state)), parameters)
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize("ssm_type", TYPES)
def test_generation_continues_the_prompt(ssm_type):
    """Each generated token is the likeliest one after everything before it, computed in one pass."""
    torch.manual_seed(0)
    model, prompt = MambaLM(MambaConfig(ssm_type, d_model=16, tie_embedding=False)).double(), torch.randint(16, (3, 10))
    new = model.generate(prompt, 6)
    assert new.shape == (3, 6)
    logits = model(torch.cat([prompt, new], 1))
    assert torch.equal(logits[:, 9:-1].argmax(-1), new)
    assert (new != prompt[:, -1:]).any()  # a tied model at its start repeats the last token
    assert model.generate(prompt, 0).shape == (3, 0)
    draws = [model.generate(prompt, 6, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_embedding_options():
    names = lambda config: {name for name, p in MambaLM(config).named_parameters() if p.requires_grad}
    assert "embedding.weight" in names(MambaConfig())
    assert "embedding.weight" not in names(as_published(MambaConfig()))
    assert "head.weight" in names(MambaConfig(tie_embedding=False))
    torch.manual_seed(0)
    assert MambaLM(MambaConfig(vocab_size=2000, embedding_std=0.1)).embedding.weight.std().item() == pytest.approx(
        0.1, rel=0.02
    )


def test_published_options():
    torch.manual_seed(0)
    published, ours = (
        MambaLM(config) for config in (as_published(MambaConfig("S6-Complex")), MambaConfig("S6-Complex"))
    )
    assert published.blocks[0].layer.ssm.N == 4
    assert ours.blocks[0].layer.ssm.N == 8
    assert published.blocks[0].layer.ssm.D.std() > 0.5
    assert ours.blocks[0].layer.ssm.D.std() == 0
    assert MambaLM(as_published(MambaConfig("S6-Real"))).blocks[0].layer.ssm.N == 16
    assert MambaLM(as_published(MambaConfig("S6-Real"))).blocks[0].layer.ssm.D.std() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ssm_type": "S6-complex"}, "did you mean 'S6-Complex'"),
        ({"n_layers": 0}, "n_layers"),
        ({"d_model": -1}, "d_model"),
    ],
)
def test_misuse_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        MambaConfig(**options)


@pytest.mark.parametrize("ssm_type", ["S6-Real", "S6-Complex"])
def test_learns_a_short_copy(ssm_type):
    """200 steps of a delay of 4 among 3 symbols: far above chance on held-out examples."""
    torch.manual_seed(0)
    task = Copy(symbols=3, delay=4, extra=12)
    model = MambaLM(MambaConfig(ssm_type, d_model=32))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(200):
        batch = task.batch(0, step, 16)
        optimizer.zero_grad()
        token_loss(model(batch.inputs), batch.targets).backward()
        optimizer.step()
    held_out = task.held_out(0, 200)
    with torch.no_grad():
        assert accuracies(model(held_out.inputs), held_out.targets).token > 0.95
