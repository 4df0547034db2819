"""The Mamba language model of P2's selectivity experiments (arXiv 2410.14067, Appendix F.3): tokens to logits.

Embedding, residual Mamba blocks with RMS norm before each and after the last, and the embedding again as the output
map. The paper does not say whether the embedding is trained; the published code keeps it frozen at random. Here it is
trained by default, as in the language model that the paper builds on, and starts at N(0, 1) as in both. Tied, that
start has a loss of about 60; `embedding_std` 0.02 starts at chance and learns in far fewer steps.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.dropout import Dropout
from ..layers.mamba import mamba_block
from ..layers.s6 import Selective
from ..layers.ssm_type import SSMType
from .backbone import ResidualBlock
from .mamba_config import MambaConfig


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean(x^2) + eps) * weight, with the signature of the other norms."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x: (..., H)."""
        return super().forward(x)


class MambaLM(nn.Module):
    """From tokens (B, L) to logits (B, L, vocab_size)."""

    def __init__(self, config: MambaConfig):
        super().__init__()
        self.config = config
        H = config.d_model
        embedding = config.embedding_std * torch.randn(config.vocab_size, H)
        self.embedding = nn.Embedding.from_pretrained(embedding, freeze=not config.train_embedding)
        self.head = None if config.tie_embedding else nn.Linear(H, config.vocab_size, bias=False)
        self.blocks = nn.ModuleList(
            ResidualBlock(_block(config), RMSNorm(H, eps=1e-5), Dropout(), prenorm=True, residual=True)
            for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(H, eps=1e-5)

    def forward(
        self, tokens: Tensor, state: list[Any] | None = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, list[Any]]:
        """Returns logits (B, L, vocab_size), or (logits, state) to go on from."""
        x, states = self.embedding(tokens), []
        for i, block in enumerate(self.blocks):
            x = block(x, None if state is None else state[i], lengths, return_state)
            if return_state:
                x, after = x
                states.append(after)
        logits = self._logits(x)
        return (logits, states) if return_state else logits

    def step(self, token: Tensor, state: list[Any], system: None = None) -> tuple[Tensor, list[Any]]:
        """One time step: token (B,) to logits (B, vocab_size) and the next state."""
        x, states = self.embedding(token), []
        for block, before in zip(self.blocks, state, strict=True):
            x, after = block.step(x, before)
            states.append(after)
        return self._logits(x), states

    def _logits(self, x: Tensor) -> Tensor:
        return F.linear(self.norm(x), self.embedding.weight if self.head is None else self.head.weight)

    @torch.no_grad()
    def generate(
        self, prompt: Tensor, n: int, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Returns (B, n), what follows `prompt` (B, L): the likeliest tokens, or samples at a positive temperature."""
        logits, state = self(prompt, return_state=True)
        logits, tokens = logits[:, -1], []
        for i in range(n):
            if i > 0:
                logits, state = self.step(tokens[-1], state)
            if temperature > 0:
                probabilities = torch.softmax(logits / temperature, -1)
                tokens.append(torch.multinomial(probabilities, 1, generator=generator).squeeze(1))
            else:
                tokens.append(logits.argmax(-1))
        return torch.stack(tokens, 1) if tokens else prompt[:, :0]

    def default_state(self, *batch: int) -> list[Any]:
        """Returns the state before the first token."""
        return [block.layer.default_state(*batch) for block in self.blocks]

    def trainable_parameters(self) -> int:
        """Returns how many numbers training changes."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


def _block(config: MambaConfig) -> nn.Module:
    ssm_type = SSMType(config.ssm_type)
    twice = config.halve_state_twice and ssm_type is SSMType.S6_COMPLEX
    return mamba_block(
        config.d_model,
        ssm_type,
        d_state=config.d_state // 2 if twice else config.d_state,
        expand=config.expand,
        d_conv=config.d_conv,
        selective=Selective(config.B_is_selective, config.C_is_selective, config.dt_is_selective),
        dt_min=config.dt_min,
        dt_max=config.dt_max,
        D_init=config.D_init,
        constant_dt=config.constant_dt,
        gate=config.s4d_gate,
        backend=config.backend,
    )
