"""S5 against dense matrices, its draws against their variances, and its learning-rate groups against the published lists."""

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.kernels.parameters import pairs
from src.layers import S5, S5Block, S5Options
from src.layers.s5 import OPT_CONFIGS, parameter_groups
from src.layers.s5_init import (
    conjugate_half,
    draw_B,
    draw_C,
    lecun_normal,
    normal_eigenbasis,
    perturbed_eigenbasis,
)
from src.linalg.discretise import bilinear, zoh
from src.linalg.hippo import legs
from src.linalg.nplr import normal_part
from tests.layers.ssm_cases import perturbed

H, N, J, DT = 3, 5, 2, 0.05


@pytest.mark.parametrize("conj_sym", [True, False])
@pytest.mark.parametrize(("disc", "dense_rule"), [("zoh", zoh), ("bilinear", bilinear)])
@pytest.mark.parametrize("kind", ["normal", "perturbed"])
def test_equals_the_dense_system(conj_sym, disc, dense_rule, kind):
    """x_t = Abar x_{t-1} + Bbar u_t, y = C x + D u on the block-diagonal real matrices; n = 5 has a real eigenvalue."""
    case = perturbed(N)
    block = normal_eigenbasis(N) if kind == "normal" else perturbed_eigenbasis(case)
    dense = np.kron(np.eye(J), normal_part(N) if kind == "normal" else legs(N)[0] + case.E)
    ssm = S5(H, block, J, S5Options(conj_sym=conj_sym, disc=disc)).double()
    kept = conjugate_half(block) if conj_sym else block
    rng = np.random.default_rng(0)
    B, C = rng.standard_normal((J * N, H)), rng.standard_normal((H, J * N))
    ssm.B.data = pairs(torch.from_numpy(np.kron(np.eye(J), kept.Vinv) @ B))
    ssm.C.data = pairs(torch.from_numpy(C @ np.kron(np.eye(J), kept.V)))[None]
    ssm.log_dt.data.fill_(np.log(DT))
    Abar, Bbar = dense_rule(dense, B, DT)
    u, x, want = rng.standard_normal((30, H)), np.zeros(J * N), []
    for u_t in u:
        x = Abar @ x + Bbar @ u_t
        want.append(C @ x + ssm.D.detach().numpy() * u_t)
    got = ssm(torch.from_numpy(u)[None])[0].detach().numpy()
    # the float32 that parameters are stored in when made bounds the agreement
    assert np.abs(got - np.array(want)).max() < 1e-5 * np.abs(want).max()


def test_half_of_the_pairs_has_the_whole_system():
    case = perturbed(N)
    half = conjugate_half(perturbed_eigenbasis(case))
    assert len(half.Lambda) < N
    A = (half.V * half.weight * half.Lambda) @ half.Vinv
    assert np.allclose(A.real, legs(N)[0] + case.E, atol=1e-10)


def test_complex_perturbation_has_no_half():
    with pytest.raises(UserError, match="conj_sym"):
        S5(H, perturbed_eigenbasis(perturbed(4, complex)))


@pytest.mark.parametrize(("init", "per_entry"), [("lecun_normal", 1 / (40 * 30)), ("trunc_standard_normal", 1 / 40)])
def test_variance_of_C(init, per_entry):
    """V is unitary here, so each entry of C V has the variance of Re C plus that of Im C."""
    C = draw_C(init, normal_eigenbasis(20), 2, 30, torch.Generator().manual_seed(0))
    assert C.shape == (30, 40)
    assert C.abs().square().mean().item() == pytest.approx(2 * per_entry, rel=0.08)


def test_variance_of_complex_normal_C_and_lecun_B():
    C = draw_C("complex_normal", normal_eigenbasis(20), 2, 30, torch.Generator().manual_seed(0))
    assert C.abs().square().mean().item() == pytest.approx(1.0, rel=0.1)
    B = draw_B("lecun_normal", normal_eigenbasis(20), 2, 30, torch.Generator().manual_seed(0))
    assert B.abs().square().mean().item() == pytest.approx(1 / 40, rel=0.1)


def test_lecun_normal_is_cut_and_has_its_variance():
    x = lecun_normal((200, 200), 25, torch.Generator().manual_seed(0))
    assert x.var().item() == pytest.approx(1 / 25, rel=0.02)
    assert x.abs().max() <= 2 * 0.2 / 0.8796


def test_hippo_B_is_that_of_legs():
    block = perturbed_eigenbasis(perturbed(4))
    B = draw_B("hippo", block, 2, 3)
    for j in range(2):
        assert np.allclose(block.V @ B[4 * j : 4 * j + 4].numpy(), legs(4)[1][:, None])


@pytest.mark.parametrize(("poles", "want"), [("free", 0.5), ("clip", -1e-4), ("reflect", -0.5)])
def test_poles_of_an_unstable_state(poles, want):
    ssm = S5(H, normal_eigenbasis(4), options=S5Options(poles=poles))
    ssm.Lambda_re.data[0] = 0.5
    assert ssm.Lambda.real[0].item() == pytest.approx(want)
    assert ssm.Lambda.real[1].item() == pytest.approx(-0.5)


PUBLISHED = {  # own rate without decay, own rate with decay
    "standard": ({"Lambda", "B", "dt"}, set()),
    "BandCdecay": ({"Lambda", "dt"}, {"B"}),
    "BfastandCdecay": ({"Lambda", "dt"}, set()),
    "noBCdecay": ({"Lambda", "B", "C", "D", "dt"}, set()),
}


@pytest.mark.parametrize("dt_global", [False, True])
@pytest.mark.parametrize("config", OPT_CONFIGS)
def test_groups_are_the_published_ones(config, dt_global):
    groups = parameter_groups(config, 0.002, dt_global)
    own, decaying = (names - ({"dt"} if dt_global else set()) for names in PUBLISHED[config])
    for name, group in groups.items():
        if name in own:
            assert group == {"lr": 0.002, "weight_decay": 0.0}
        elif name in decaying:
            assert group == {"lr": 0.002, "weight_decay": None}
        else:
            assert group == {"lr": None, "weight_decay": None}


def test_groups_are_on_the_parameters():
    ssm = S5(H, normal_eigenbasis(4), options=S5Options(opt_config="BandCdecay", lr=0.002))
    tags = {name: p._optim for name, p in ssm.named_parameters()}
    own = {"lr": 0.002, "weight_decay": 0.0}
    assert tags == {"Lambda_re": own, "Lambda_im": own, "log_dt": own, "B": {"lr": 0.002}, "C": {}, "D": {}}


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: S5(H, normal_eigenbasis(4), options=S5Options(C_init="lecun_norm")),
        lambda: S5(H, normal_eigenbasis(4), options=S5Options(B_init="hipo")),
        lambda: S5(H, normal_eigenbasis(4), options=S5Options(disc="zho")),
        lambda: S5(H, normal_eigenbasis(4), options=S5Options(poles="clipped")),
        lambda: S5(H, normal_eigenbasis(4), options=S5Options(opt_config="noBCdecai")),
        lambda: S5Block(S5(H, normal_eigenbasis(4)), activation="half_glu"),
    ],
)
def test_a_typo_gets_a_suggestion(mistake):
    with pytest.raises(UserError, match="did you mean"):
        mistake()
