"""Sequence layers: S4 (one time-invariant layer for every kernel) and S5, with what stands around their cores.

The shape legend of the whole suite:

    B  batch             L  time steps          H  channels (d_model)      N  states of one channel
    P  states of S5      J  diagonal blocks     n  states of one block     C  output channels of a kernel

A sequence is (B, L, H) at every module's border, batch first and channels last; one time step is (B, H). Inside S4 the
convolution sees (B, H, L). Kernels are (C, H, L). `lengths` is (B,), whole numbers from 1 to L: steps at and beyond a
sequence's length are padding, hold any finite values, and change no valid output, statistic or gradient.

Every layer has

    forward(x, state=None, lengths=None, return_state=False)   y, or (y, state); the state is differentiable
    step(x_t, state, system=None)                              (y_t, state): one time step of the same map
    default_state(*batch)                                      the state before the first step
    discrete()                                                 the matrices of one step; keep them, pass them to `step`
"""

from ..lazy import attach

PLACES = {
    "mixer": ("Mixer",),
    "s4": ("S4Block",),
    "s5": ("S5", "S5Block", "S5Options"),
}
__getattr__, __all__ = attach(__name__, PLACES)
