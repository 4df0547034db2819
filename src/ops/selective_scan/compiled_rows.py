"""What stands before and behind the states of the selective scan, one row of channels at a time: step sizes, skip and gate, and back."""

from ..elementary import LOG2_E, exp2, exp_unit, log1p_unit
from ..jit import inlined


@inlined
def steps(x, dt, bias, softplus, w, u):
    """One row: w = dt + bias, through softplus if asked, and u = w x."""
    zero = x.dtype.type(0)
    for d in range(x.size):
        w[d] = dt[d]
    if bias.size > 0:
        for d in range(x.size):
            w[d] += bias[d]
    if softplus:
        for d in range(x.size):
            v = w[d]
            w[d] = max(v, zero) + log1p_unit(exp_unit(-abs(v)))
    for d in range(x.size):
        u[d] = w[d] * x[d]


@inlined
def step_gradients(x, dt, bias, softplus, w, dw, du, dx, ddt):
    """One row of the way back through `steps`; the sigmoid is the slope of softplus."""
    real = x.dtype.type
    one, scale = real(1), real(-LOG2_E)
    for d in range(x.size):
        dx[d] += du[d] * w[d]
        ddt[d] = dw[d] + du[d] * x[d]
    if softplus:
        for d in range(x.size):
            v = dt[d] + bias[d] if bias.size > 0 else dt[d]
            e = exp2(abs(v) * scale)
            ddt[d] *= (one if v >= real(0) else e) / (one + e)


@inlined
def outputs(x, D, z, y, core, out):
    """One row: core = y + D x and out = core silu(z); without a gate core is not stored."""
    real = x.dtype.type
    one, scale = real(1), real(-LOG2_E)
    if D.size > 0:
        for d in range(x.size):
            y[d] += D[d] * x[d]
    if z.size > 0:
        for d in range(x.size):
            core[d] = y[d]
            out[d] = y[d] * (z[d] / (one + exp2(z[d] * scale)))
    else:
        for d in range(x.size):
            out[d] = y[d]


@inlined
def output_gradients(x, D, z, core, dout, dy, dz, dD, dx):
    """One row of the way back through `outputs`; dx is set, not added to."""
    real = x.dtype.type
    one, scale = real(1), real(-LOG2_E)
    if z.size > 0:
        for d in range(x.size):
            sigmoid = one / (one + exp2(z[d] * scale))
            dy[d] = dout[d] * (z[d] * sigmoid)
            dz[d] = dout[d] * core[d] * (sigmoid * (one + z[d] * (one - sigmoid)))
    else:
        for d in range(x.size):
            dy[d] = dout[d]
    if D.size > 0:
        for d in range(x.size):
            dx[d] = D[d] * dy[d]
            dD[d] += dy[d] * x[d]
    else:
        for d in range(x.size):
            dx[d] = real(0)
