"""Where kernels start: the papers' systems, written out dense; ranges, sharing, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from src.errors import UserError
from src.kernels import DiagonalKernel, DPLRKernel, RealDiagonalKernel, ptd_kernel
from src.kernels.parameters import draw_dt, dt_of, register
from src.kernels.ptd import ptd_init
from src.linalg.discretise import bilinear, zoh
from src.linalg.hippo import legs
from src.linalg.nplr import conjugate_halves, normal_part, nplr
from src.linalg.ptd import rank1
from tests.kernels.cases import perturbation


def dense_kernel(A, B, C, dt, L, rule=zoh):
    """K[t] = Re(C Abar^t Bbar) of one channel, one power after the other."""
    Abar, Bbar = rule(A, B, dt)
    x, K = Bbar, []
    for _ in range(L):
        K.append((C @ x).real)
        x = Abar @ x
    return np.array(K)


@pytest.mark.usefixtures("double")
def test_s4d_legs_is_the_normal_part_of_hippo_with_half_its_input():
    """(A_H^perp, B_H / 2, C): the system that S4D-LegS starts from (arXiv 2310.01698, Section 3)."""
    kernel = DiagonalKernel(3, 8, init="legs")
    half = conjugate_halves(nplr("legs", 8))
    C = 2 * (torch.view_as_complex(kernel.C).detach()[0].numpy() @ half.V.conj().T).real  # C_half = C V
    K = kernel(20)[0].detach().numpy()
    for h, dt in enumerate(kernel.dt().detach().numpy()):
        exact = dense_kernel(normal_part(8), legs(8)[1] / 2, C[h], dt, 20)
        np.testing.assert_allclose(K[h], exact, atol=1e-12)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("measure", ["legs", "legt", "fourier"])
def test_s4_is_hippo_itself(measure):
    """A = V (Lambda - P P^*) V^*, up to the least decay that log(-Re Lambda) can store."""
    kernel = DPLRKernel(2, 8, init=measure)
    half = conjugate_halves(nplr(measure, 8))
    A = 2 * (half.V @ (np.diag(half.Lambda) @ half.V.conj().T)).real
    P, B = (2 * (half.V @ x).real for x in (half.P, half.B))
    shift = 1e-4 if measure != "legs" else 0.0
    A = A - shift * np.eye(8) - P @ P.T
    C = 2 * (torch.view_as_complex(kernel.C).detach()[0].numpy() @ half.V.conj().T).real
    K = kernel(20)[0].detach().numpy()
    for h, dt in enumerate(kernel.dt().detach().numpy()):
        np.testing.assert_allclose(K[h], dense_kernel(A, B, C[h], dt, 20, bilinear), atol=1e-11)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("n", "field"), [(8, "real"), (9, "real"), (8, "complex")])
def test_ptd_is_the_perturbed_system_itself(n, field):
    """K = Re(C0 exp(t dt (A_H + E)) Bbar): diagonalising changes nothing, nor does keeping one of each pair."""
    start = perturbation(n, field)
    kernel = ptd_kernel(start, 3, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    draw_dt(3, 0.001, 0.1, "softplus", generator)
    C0 = torch.randn(1, 3, n, dtype=torch.float64, generator=generator)[0].numpy()
    K = kernel(20)[0].detach().numpy()
    A, B = legs(n)
    for h, dt in enumerate(kernel.dt().detach().numpy()):
        np.testing.assert_allclose(K[h], dense_kernel(A + start.E, B, C0[h], dt, 20), atol=1e-9)
    assert (n if field == "complex" else (start.Lambda.imag >= 0).sum()) == kernel.N


def test_ptd_refuses_an_unstable_spectrum_unless_told_to_reflect():
    start = perturbation(8)
    start.Lambda = start.Lambda + 1 - start.Lambda.real.max()
    with pytest.raises(UserError, match="unstable"):
        ptd_kernel(start, 3)
    assert (ptd_kernel(start, 3, reflect=True).Lambda.real < 0).all()


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("states", "weight", "count"), [("all", None, 16), ("merged", None, 16), ("all", 2.0, 16)])
def test_the_three_layouts_of_the_states_are_one_kernel(states, weight, count):
    """All n states at weight 1, and B inside C, give the kernel of the pairs; the published weight 2 gives twice of it."""
    draws = lambda: torch.Generator().manual_seed(0)
    pairs = DiagonalKernel(4, init=ptd_init(rank1(16)), generator=draws())
    kernel = DiagonalKernel(4, init=ptd_init(rank1(16), states, weight=weight), generator=draws())
    assert (8, count) == (pairs.N, kernel.N)
    torch.testing.assert_close(kernel(50), (weight or 1.0) * pairs(50), rtol=1e-10, atol=1e-10)
    assert (states == "merged") == bool((kernel.B[..., 0] == 1).all())


def test_zero_order_hold_is_exact_for_inputs_held_on_a_step():
    """Abar and Bbar equal exp(dt A) and its integral, here by the matrix exponential of one real state."""
    kernel = RealDiagonalKernel(1, 1)
    A, B, _ = kernel.discrete()
    dt = kernel.dt().item()
    exact = expm(dt * np.array([[-1.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose([A.item(), B.item()], exact[0], rtol=1e-6)


@pytest.mark.parametrize("transform", ["softplus", "exp"])
def test_dt_is_log_uniform_in_its_range(transform):
    dt = dt_of(draw_dt(20_000, 1e-3, 1e-1, transform, torch.Generator().manual_seed(0)), transform)
    assert dt.min() >= 1e-3 * (1 - 1e-9)
    assert dt.max() <= 1e-1 * (1 + 1e-9)
    quarters = torch.histc(dt.log10().float(), 4, -3, -1) / len(dt)
    assert (quarters - 0.25).abs().max() < 0.02


@pytest.mark.parametrize("kind", [DiagonalKernel, DPLRKernel, RealDiagonalKernel])
def test_channels_share_their_copies_in_turn(kind):
    """Channel h has copy h mod n_ssm; changing one copy changes exactly its channels."""
    kernel = kind(6, 8, n_ssm=2)
    before = kernel(10).detach()
    with torch.no_grad():
        kernel.A_real[1] += 0.5
    changed = (kernel(10) != before).flatten(2).any(-1)[0]
    assert changed.tolist() == [False, True] * 3


def test_is_real_has_as_many_parameters():
    count = lambda kernel: sum(p.numel() for p in kernel.parameters())
    assert count(DiagonalKernel(5, 64)) == count(RealDiagonalKernel(5, 64))


def test_the_same_seed_gives_the_same_kernel():
    make = lambda: DiagonalKernel(3, 8, init="random", n_ssm=None, generator=torch.Generator().manual_seed(3))
    for a, b in zip(make().parameters(), make().parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiagonalKernel(4, 7), "must be even"),
        (lambda: DPLRKernel(4, 7), "must be even"),
        (lambda: DiagonalKernel(4, 8, init="diag-line"), "did you mean 'lin'"),
        (lambda: DPLRKernel(4, 8, init="lags"), "did you mean 'legs'"),
        (lambda: DPLRKernel(4, 8, init="legt", rank=1), "rank 2"),
        (lambda: DiagonalKernel(4, 8, disc="zho"), "did you mean 'zoh'"),
        (lambda: RealDiagonalKernel(4, 8, disc="bilinear"), "unknown disc"),
        (lambda: DiagonalKernel(4, 8, n_ssm=3), "must divide"),
        (lambda: DiagonalKernel(4, 8, dt_min=0.1, dt_max=0.01), "dt_min <= dt_max"),
        (lambda: DiagonalKernel(4, 8, dt_transform="sofplus"), "did you mean 'softplus'"),
        (lambda: DiagonalKernel(4, 8, lr={"dr": 0.1}), "unknown parameter 'dr'"),
        (lambda: DiagonalKernel(4, 8, lr=-0.1), "at least 0"),
    ],
)
def test_mistakes_are_refused_in_one_line(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_complex_parameter_is_refused():
    with pytest.raises(ValueError, match="must be real"):
        register(torch.nn.Module(), "C", torch.zeros(2, dtype=torch.cfloat))
