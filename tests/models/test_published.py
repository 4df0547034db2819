"""Published weights: random ones in each published layout give the outputs of the published formulas, written out here in float64.

Nothing here shares code with the loader: a kernel is the impulse response of the dense system, S6 a loop over time.
"""

import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import src as ssm
from src.errors import UserError
from src.models.published.s4 import S4_FORMATS

B, L, H, N, C, EXACT = 2, 40, 6, 3, 2, {"rtol": 2e-4, "atol": 2e-5}
PAGE = Path(__file__).parents[2] / "docs" / "library.md"


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def z(*shape):
    return torch.randn(*shape, 2) / 2


def number(pairs):
    return torch.view_as_complex(pairs.double().contiguous())


def impulse_response(Abar, Bbar, Cs, length):
    """Re(C Abar^t Bbar), (C, H, length), of dense (H, n, n), (H, n), (C, H, n)."""
    K, x = [], Bbar
    for _ in range(length):
        K.append(torch.einsum("chn,hn->ch", Cs, x).real)
        x = torch.einsum("hnm,hm->hn", Abar, x)
    return torch.stack(K, -1)


def convolved(u, K, K_future=None):
    """u (B, H, L), K (C, H, L): sums over the past and, with the second kernel, over the strict future."""
    y = torch.zeros(len(u), *K.shape, dtype=torch.float64)
    for t in range(u.shape[-1]):
        for s in range(t + 1):
            y[..., t] += K[..., t - s] * u[:, None, :, s]
        for s in range(t + 1, u.shape[-1] if K_future is not None else 0):
            y[..., t] += K_future[..., s - t - 1] * u[:, None, :, s]
    return y


def s4_output(weights, K, x, D="layer.D", both=False, map="output_linear.0."):
    """gelu, a linear map and a gate behind the SSM."""
    u = x.double().transpose(1, 2)
    past, future = (K[: len(K) // 2], K[len(K) // 2 :]) if both else (K, None)
    skip = weights[D].double().reshape(-1, H)
    y = convolved(u, past, future) + skip[:, :, None] * u[:, None]
    v = F.gelu(y.flatten(1, 2).transpose(1, 2))
    W = weights[f"{map}weight"].double()
    return F.glu(v @ W.reshape(len(W), -1).T + weights[f"{map}bias"].double(), -1)


def s4_weights(channels=1, n_ssm=2, rank=1, dplr=True, sides=1):
    own = {
        "layer.D": torch.randn(channels, H),
        "layer.kernel.inv_dt": torch.empty(H, 1).uniform_(-3, -1),
        "layer.kernel.A_real": torch.randn(n_ssm, N) / 2,
        "layer.kernel.A_imag": torch.rand(n_ssm, N) * 5,
        "layer.kernel.B": z(1, n_ssm, N),
        "layer.kernel.C": z(channels * sides, H, N),
        "output_linear.0.weight": torch.randn(2 * H, channels * H) / 3,
        "output_linear.0.bias": torch.randn(2 * H),
    }
    if dplr:
        own |= {"layer.kernel.P": z(rank, n_ssm, N), "layer.kernel.l_kernel": torch.tensor(0)}
    return own


def dense(weights, dt_of=torch.exp):
    """The published DPLR system in full conjugate coordinates, bilinear: Abar, Bbar, C."""
    k = {name.rpartition(".")[2]: tensor.double() for name, tensor in weights.items() if ".kernel." in name}
    copies = H // len(k["A_real"])
    full = lambda half: torch.cat([half, half.conj()], -1)
    each = lambda x: x.repeat(*[1] * (x.ndim - 2), copies, 1)
    A = full(each(-k["A_real"].exp() - 1j * k["A_imag"]))
    P = full(each(number(k["P"])))
    M = torch.diag_embed(A) - torch.einsum("rhn,rhm->hnm", P, P.conj())
    half = dt_of(k["inv_dt"]).reshape(H, 1, 1) / 2
    eye = torch.eye(2 * N, dtype=M.dtype)
    inverse = torch.linalg.inv(eye - half * M)
    Bbar = 2 * half[..., 0] * torch.einsum("hnm,hm->hn", inverse, full(each(number(k["B"])[0])))
    return inverse @ (eye + half * M), Bbar, full(number(k["C"]))


@pytest.mark.parametrize("options", [{}, {"channels": C, "n_ssm": 1}, {"rank": 2}, {"sides": 2, "n_ssm": H}])
def test_s4(options):
    weights, x = s4_weights(**options), torch.randn(B, L, H)
    layer = ssm.load_published(weights)
    K, both = impulse_response(*dense(weights), L), options.get("sides") == 2
    torch.testing.assert_close(layer(x).double(), s4_output(weights, K, x, both=both), **EXACT)
    assert layer.bidirectional == both


def test_s4_whose_C_is_stored_for_a_length():
    """After a first forward pass of length 16 the published C is C (1 - Abar^16); the kernel is the same, and now of any length."""
    weights, x = s4_weights(), torch.randn(B, L, H)
    Abar, Bbar, Cs = dense(weights)
    stored = torch.einsum("chn,hnm->chm", Cs, torch.eye(2 * N) - torch.linalg.matrix_power(Abar, 16))
    trained = weights | {
        "layer.kernel.C": torch.view_as_real(stored[..., :N]).float(),
        "layer.kernel.l_kernel": torch.tensor(16),
    }
    want = s4_output(weights, impulse_response(Abar, Bbar, Cs, L), x)
    torch.testing.assert_close(ssm.load_published(trained)(x).double(), want, **EXACT)


def test_s4_of_the_v4_configs_and_inside_a_model():
    weights, x = s4_weights(), torch.randn(B, L, H)
    layer = ssm.load_published(
        {f"model.layers.0.layer.{k}": v for k, v in weights.items()}, "model.layers.0.layer.", dt_transform="softplus"
    )
    want = s4_output(weights, impulse_response(*dense(weights, F.softplus), L), x)
    torch.testing.assert_close(layer(x).double(), want, **EXACT)


@pytest.mark.parametrize("n_ssm", [1, 2])
def test_s4_of_version_3(n_ssm):
    weights, x = s4_weights(n_ssm=n_ssm), torch.randn(B, L, H)
    names = {"inv_dt": "log_dt", "A_real": "inv_w_real", "A_imag": "w_imag", "l_kernel": "L"}
    old = {
        re.sub(r"layer\.kernel\.(\w+)", lambda m: f"kernel.kernel.{names.get(m[1], m[1])}", k): v
        for k, v in weights.items()
    }
    old["D"] = old.pop("layer.D")
    old |= {"kernel.kernel.w_imag": -old["kernel.kernel.w_imag"], "kernel.kernel.B": old["kernel.kernel.B"][0]}
    old |= {
        "kernel.kernel.log_dt": old["kernel.kernel.log_dt"][:, 0],
        "output_linear.0.weight": old["output_linear.0.weight"][..., None],
    }
    torch.testing.assert_close(
        ssm.load_published(old)(x).double(), s4_output(weights, impulse_response(*dense(weights), L), x), **EXACT
    )


def zoh(A, dt, Bs, Cs):
    """The kernel 2 Re(C B (e^(dt A) - 1) / A e^(t dt A)) of diagonal A (H, N); Cs (C, H, N)."""
    t = torch.arange(L, dtype=torch.float64)
    return (
        2
        * torch.einsum(
            "chn,hn,hnl->chl",
            Cs + 0j,
            Bs * ((dt[:, None] * A).exp() - 1) / A + 0j,
            torch.exp((dt[:, None] * A)[..., None] * t) + 0j,
        ).real
    )


@pytest.mark.parametrize("real", [False, True])
def test_s4d_of_s4_py(real):
    weights, x = s4_weights(dplr=False, n_ssm=H), torch.randn(B, L, H)
    if real:
        del weights["layer.kernel.A_imag"]
        weights |= {name: weights[name][..., 0] for name in ("layer.kernel.B", "layer.kernel.C")}
    k = {name.rpartition(".")[2]: tensor.double() for name, tensor in weights.items()}
    A = -k["A_real"].exp() if real else -k["A_real"].exp() - 1j * k["A_imag"]
    Bs, Cs = (k["B"], k["C"]) if real else (number(k["B"]), number(k["C"]))
    K = zoh(A, k["inv_dt"][:, 0].exp(), Bs[0], Cs)
    torch.testing.assert_close(ssm.load_published(weights)(x).double(), s4_output(weights, K, x), **EXACT)


def s4d_weights():
    return {
        "D": torch.randn(H),
        "kernel.C": z(H, N),
        "kernel.log_dt": torch.empty(H).uniform_(-3, -1),
        "kernel.log_A_real": torch.randn(H, N) / 2,
        "kernel.A_imag": torch.rand(H, N) * 5,
        "output_linear.0.weight": torch.randn(2 * H, H, 1) / 3,
        "output_linear.0.bias": torch.randn(2 * H),
    }


def test_s4d_of_s4d_py(tmp_path):
    weights, x = s4d_weights(), torch.randn(B, L, H)
    A = -weights["kernel.log_A_real"].double().exp() + 1j * weights["kernel.A_imag"].double()
    K = zoh(A, weights["kernel.log_dt"].double().exp(), torch.ones(H, N), number(weights["kernel.C"])[None])
    torch.save({"state_dict": weights}, tmp_path / "s4d.pt")
    layer = ssm.load_published(tmp_path / "s4d.pt")
    torch.testing.assert_close(layer(x).double(), s4_output(weights, K, x, D="D"), **EXACT)
    state, steps = layer.default_state(B), []
    for t in range(L):
        y, state = layer.step(x[:, t], state)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1), layer(x), rtol=1e-3, atol=1e-4)


# --- Mamba ---

V, E, ED, RANK = 8, 4, 8, 1


def block_weights(kind, selective):
    own = {
        "in_proj.weight": torch.randn(2 * ED, E) / 2,
        "conv1d.weight": torch.randn(ED, 1, 4) / 2,
        "conv1d.bias": torch.randn(ED) / 2,
        "out_proj.weight": torch.randn(E, ED) / 2,
        "D": torch.randn(ED),
    }
    if kind.startswith("S4D"):
        A = {"inv_dt": torch.empty(ED, 1).uniform_(-3, -1), "A_real": torch.randn(ED, N) / 2}
        A |= (
            {"A_imag": torch.rand(ED, N), "B": z(1, ED, N), "C": z(1, ED, N)}
            if kind == "S4D-Complex"
            else {"B": torch.randn(1, ED, N), "C": torch.randn(1, ED, N)}
        )
        return (
            {k: v for k, v in own.items() if k != "D"}
            | {f"ssm_kernel.kernel.{k}": v for k, v in A.items()}
            | {"ssm_kernel.D": own["D"][None]}
        )
    planes = ("real_", "imag_") if kind == "S6-Complex" else ("",)
    own |= (
        {"log_A_real": torch.randn(ED, N) / 2, "A_imag": torch.rand(ED, N)}
        if kind == "S6-Complex"
        else {"A_log": torch.randn(ED, N) / 2}
    )
    own |= {
        "dt_proj.weight": torch.randn(ED, RANK),
        "dt_proj.bias": torch.randn(ED),
        "x_proj_dt.weight": torch.randn(RANK, ED) / 2,
    }
    if not selective:
        own["inv_dt"] = torch.empty(ED).uniform_(-3, -1)
    for name in "BC":
        for plane in planes:
            rows = N if selective else N * ED
            own[f"x_proj_{plane}{name}.weight"] = torch.randn(rows, ED) / 2 if selective else torch.zeros(rows, ED)
            own |= {} if selective else {f"x_proj_{plane}{name}.bias": torch.randn(rows)}
    return own


def model_weights(kind, selective=True, layers=2):
    own = {"embedding.weight": torch.randn(V, E), "norm_f.weight": torch.rand(E) + 0.5}
    for i in range(layers):
        own |= {f"mamba.layers.{i}.mixer.{k}": v for k, v in block_weights(kind, selective).items()}
        own[f"mamba.layers.{i}.norm.weight"] = torch.rand(E) + 0.5
    return own | {"lm_head.weight": own["embedding.weight"]}


def norm(x, weight):
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def s6(w, x, kind, selective):
    """x (B, L, D): h = exp(dt A) h + dt B x, y = c Re(C h) + D x, one step after the other."""
    complex_ = kind == "S6-Complex"
    A = -w["log_A_real"].exp() + 1j * w["A_imag"] if complex_ else -w["A_log"].exp()
    dt = (
        F.softplus(x @ w["x_proj_dt.weight"].T @ w["dt_proj.weight"].T + w["dt_proj.bias"])
        if selective
        else w["inv_dt"].exp().expand_as(x)
    )

    def made(name, sign):
        of = lambda plane: (
            x @ w[f"x_proj_{plane}{name}.weight"].T + (0 if selective else w[f"x_proj_{plane}{name}.bias"])
        )
        values = of("real_") + sign * 1j * of("imag_") if complex_ else of("")
        return values[:, :, None] if selective else values.unflatten(-1, (ED, N))

    Bs, Cs = made("B", 1), made("C", -1)
    h, ys = torch.zeros(len(x), ED, N, dtype=A.dtype), []
    for t in range(x.shape[1]):
        h = torch.exp(dt[:, t, :, None] * A) * h + dt[:, t, :, None] * Bs[:, t] * x[:, t, :, None]
        ys.append((h * Cs[:, t]).sum(-1).real * (2 if complex_ else 1))
    return torch.stack(ys, 1) + w["D"] * x


def s4d(w, x, kind):
    k = {name.rpartition(".")[2]: tensor for name, tensor in w.items() if name.startswith("ssm_kernel.")}
    A, Bs, Cs = -k["A_real"].exp(), k["B"], k["C"]
    if kind == "S4D-Complex":
        A, Bs, Cs = A - 1j * k["A_imag"], number(Bs), number(Cs)
    u = x.transpose(1, 2)
    y = convolved(u, zoh(A, k["inv_dt"][:, 0].exp(), Bs[0], Cs))[:, 0]
    return (y + k["D"][0][:, None] * u).transpose(1, 2)


def logits(weights, tokens, kind, selective):
    weights = {name: tensor.double() for name, tensor in weights.items()}
    x = weights["embedding.weight"][tokens]
    for i in range(2):
        w = {
            k.removeprefix(f"mamba.layers.{i}.mixer."): v
            for k, v in weights.items()
            if k.startswith(f"mamba.layers.{i}.mixer.")
        }
        u, gate = (norm(x, weights[f"mamba.layers.{i}.norm.weight"]) @ w["in_proj.weight"].T).chunk(2, -1)
        v = F.silu(
            F.conv1d(u.transpose(1, 2), w["conv1d.weight"], w["conv1d.bias"], groups=ED, padding=3)[
                ..., : x.shape[1]
            ].transpose(1, 2)
        )
        y = s6(w, v, kind, selective) if kind.startswith("S6") else s4d(w, v, kind)
        x = x + (y * F.silu(gate)) @ w["out_proj.weight"].T
    return norm(x, weights["norm_f.weight"]) @ weights["lm_head.weight"].T


@pytest.mark.parametrize(
    ("kind", "selective"),
    [(kind, selective) for kind in ("S6-Real", "S6-Complex") for selective in (True, False)]
    + [("S4D-Real", True), ("S4D-Complex", True)],
)
def test_mamba_of_p2(kind, selective):
    weights, tokens = model_weights(kind, selective), torch.randint(V, (B, L))
    model = ssm.load_published(weights)
    want = logits(weights, tokens, kind, selective)
    with torch.no_grad():
        got = model(tokens).double()
    assert (got - want).abs().max() < 1e-4 * want.abs().max()
    assert model.config.ssm_type == kind
    assert model.head is None  # tied


@pytest.mark.parametrize("code", ["mamba.py", "mamba-ssm"])
def test_mamba_with_one_matrix_for_dt_B_and_C(code):
    split, tokens = model_weights("S6-Real"), torch.randint(V, (B, L))
    split["lm_head.weight"] = torch.randn(V, E)
    weights = {k: v for k, v in split.items() if "x_proj_" not in k}
    for i in range(2):
        at = f"mamba.layers.{i}.mixer."
        weights[f"{at}x_proj.weight"] = torch.cat([split[f"{at}x_proj_{name}.weight"] for name in ("dt", "B", "C")])
    if code == "mamba-ssm":
        weights = {
            k if k == "lm_head.weight" else f"backbone.{k.removeprefix('mamba.')}": v for k, v in weights.items()
        }
    with torch.no_grad():
        got, want = ssm.load_published(weights)(tokens).double(), logits(split, tokens, "S6-Real", True)
    assert (got - want).abs().max() < 1e-4 * want.abs().max()


# --- what is wrong ---


def without(weights, *names):
    return {name: tensor for name, tensor in weights.items() if name not in names}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda: without(s4d_weights(), "kernel.A_imag"), r"S4D \(models/s4/s4d.py\); missing: kernel.A_imag$"),
        (lambda: s4d_weights() | {"gate": torch.ones(1)}, r"unexpected: gate$"),
        (lambda: without(s4_weights(), "layer.D", "layer.kernel.C"), r"missing: layer.D, layer.kernel.C$"),
        (lambda: without(model_weights("S6-Real"), "norm_f.weight"), r"missing: norm_f.weight$"),
        (lambda: model_weights("S6-Complex") | {"mamba.layers.1.mixer.b": torch.ones(1)}, r"unexpected: mamba.layers.1.mixer.b$"),
        (lambda: s4d_weights() | {"D": torch.ones(H + 1)}, r"D: the published weights have the shape \(1, 7\), expected \(1, 6\)"),
        (lambda: {"a": 1}, "expected a state dict"),
        (lambda: "/no/such.pt", "no such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_it(weights, message):
    with pytest.raises(UserError, match=message) as error:
        ssm.load_published(weights())
    assert "\n" not in str(error.value)


def test_a_prefix_that_nothing_has():
    with pytest.raises(UserError, match=r"no weight has the prefix 'x.'"):
        ssm.load_published(s4d_weights(), "x.")


def test_the_page_has_every_name():
    page = PAGE.read_text()
    for name, format in S4_FORMATS.items():
        assert name in page
        assert not [key for key in format.names if key.rpartition(".")[2] not in page]
