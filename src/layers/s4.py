"""S4: y = mixer(K * u + D u), a time-invariant SSM per channel, for whichever kernel is given (arXiv 2111.00396).

Bidirectional layers use a kernel of two halves. The second sees the strict future, as in the published S4 code:

    y_t = sum_{j>=0} K0[j] u_{t-j} + sum_{j>=0} K1[j] u_{t+1+j} + D u_t.

The convolution, the recurrence and D are computed in float32 (float64 if the parameters are) also under autocast. On a GPU,
autocast's half-precision activations enter the convolution as they are and its result leaves in their dtype, rounded once.
"""

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..kernels import DiscreteSystem, Kernel
from ..ops.fftconv import fftconv
from ..ops.precision import full_precision
from .contract import NO_STEP
from .mixer import Mixer
from .padding import zero_padding


class S4Block(nn.Module):
    """One layer of S4, S4D, S4-PTD or S4D-Real: the kernel decides which.

    Args:
        kernel: from H channels to `kernel.channels` output channels each (twice as many if bidirectional).
        bidirectional: see above; such a layer has no state and no `step`.
        skip: with the term D u.
        activation, final_act, dropout, tie_dropout: see `Mixer`.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        bidirectional: bool = False,
        skip: bool = True,
        activation: str | None = "gelu",
        final_act: str | None = "glu",
        dropout: float = 0.0,
        tie_dropout: bool = False,
    ):
        super().__init__()
        if bidirectional and kernel.channels % 2:
            raise UserError(
                f"a bidirectional layer needs a kernel with an even number of channels, got {kernel.channels}"
            )
        self.kernel, self.bidirectional = kernel, bidirectional
        self.C = kernel.channels // 2 if bidirectional else kernel.channels
        self.D = nn.Parameter(torch.randn(self.C, kernel.H)) if skip else None
        self.mixer = Mixer(self.C * kernel.H, kernel.H, activation, final_act, dropout, tie_dropout)

    def extra_repr(self) -> str:
        return f"bidirectional={self.bidirectional}"

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x: (B, L, H). The state that is returned is the one after each sequence's last valid step.

        Raises:
            ValueError: a state is given to, or wanted from, a bidirectional layer.
        """
        if state is not None or return_state:
            self._check_causal()
        keep = x.is_cuda and x.dtype.itemsize < 4 and torch.is_autocast_enabled(x.device.type)
        with full_precision(x):
            u = zero_padding(x, lengths).to(x.dtype if keep else self.kernel.inv_dt.dtype).transpose(1, 2)
            y = self._convolve(u)
            if state is not None:
                y = y + self.kernel.response(state, u.shape[-1])
            if return_state:
                start = self.default_state(len(u)) if state is None else state
                state = self._state_after(u, start, lengths)
        y = self.mixer(y.flatten(1, 2).transpose(1, 2).contiguous())  # gelu's gradient is slow on strided input
        return (y, state) if return_state else y

    def _convolve(self, u: Tensor) -> Tensor:
        """u: (B, H, L). Returns K * u + D u, (B, C, H, L); D is added to the kernel, where it is the entry of lag 0."""
        K = self.kernel(u.shape[-1])
        past, future = (K[: self.C], K[self.C :]) if self.bidirectional else (K, None)
        if self.D is not None:
            past = past + nn.functional.pad(self.D[..., None], (0, u.shape[-1] - 1))
        return fftconv(u, past, future)

    def _state_after(self, u: Tensor, state: Tensor, lengths: Tensor | None) -> Tensor:
        """u: (B, H, L). Sequences of one length go together; each is cut to its own length."""
        u = u.to(self.kernel.inv_dt.dtype)
        if lengths is None:
            return self.kernel.forward_state(u, state)
        after = torch.empty_like(state)
        for length in lengths.unique():
            rows = lengths == length
            after = after.index_put((rows,), self.kernel.forward_state(u[rows, :, :length], state[rows]))
        return after

    def step(self, x: Tensor, state: Tensor, system: DiscreteSystem | None = None) -> tuple[Tensor, Tensor]:
        """One time step: x (B, H), the state before it, a kept `discrete()`. Returns y (B, H) and the next state."""
        self._check_causal()
        with full_precision(x):
            u = x.to(self.kernel.inv_dt.dtype)
            y, state = self.kernel.step(u, state, system)
            y = y if self.D is None else y + self.D * u[:, None]
        return self.mixer(y.flatten(1)), state

    def discrete(self) -> DiscreteSystem:
        """Returns the matrices of one step."""
        self._check_causal()
        return self.kernel.discrete()

    def default_state(self, *batch: int) -> Tensor:
        """Returns the zero state, (*batch, H, N)."""
        self._check_causal()
        return self.kernel.default_state(*batch)

    def _check_causal(self) -> None:
        if self.bidirectional:
            raise ValueError(NO_STEP)
