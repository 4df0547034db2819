"""The selective scan against its definition, for every backend, real and complex, every mix of selective and constant parts."""

from itertools import product

import pytest
import torch

from src.ops.backend import has_triton
from src.ops.selective_scan import SELECTIVE_SCAN, selective_scan
from src.ops.selective_scan import compiled_loops as selective_loops

FORMS = [name for name in SELECTIVE_SCAN.forms if name != "triton" or has_triton(torch.device("cpu"))]
FAST = [name for name in FORMS if name != "reference"]
LENGTHS = [1, 2, 3, 63, 64, 65, 1000]
INTERPRETED = [1, 2, 3, 8, 9, 27]  # of the fused form, in chunks of 8 steps here; the last is four segments
MIXES = list(product([True, False], repeat=3))  # is B, C, dt selective
NAMES = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "h0")


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    """Chunks of the fused form that its interpreter, a tenth of a second a step, can walk through."""
    if "triton" in FAST:
        from src.ops.selective_scan import triton as fused

        monkeypatch.setattr(fused, "KEPT", 8)
        monkeypatch.setattr(fused, "STEPS", 4)


def size(backend, L, interpreted):
    """Returns a length, and a number of sequences, that suits a backend."""
    return {"L": interpreted, "b": 1} if backend == "triton" else {"L": L, "b": 2}


def problem(L, complex_field=False, mix=(True, True, True), b=2, D=3, N=2, dtype=torch.float64, slow=False, seed=0):
    """Returns every argument by name; `slow` puts all |exp(dt A)| in [0.99, 1]."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=dtype)
    field = (lambda *shape: torch.complex(normal(*shape), normal(*shape))) if complex_field else normal
    decay = torch.rand(D, N, generator=generator, dtype=dtype) * (0.01 if slow else 1.0)
    A = torch.complex(-decay, 3 * normal(D, N)) if complex_field else -decay
    dt = normal(b, L, D) if mix[2] else normal(D)
    if slow:
        dt = dt.clamp(max=0.5)  # softplus(dt + bias) stays below 1
    B, C = (field(b, L, N) if selective else field(D, N) for selective in mix[:2])
    bias = torch.zeros(D, dtype=dtype) if slow else normal(D)
    return dict(
        zip(NAMES, (x := normal(b, L, D), dt, A, B, C, normal(D), normal(*x.shape), bias, field(b, D, N)), strict=True)
    )


def values_and_gradients(case, backend, softplus=True, names=NAMES):
    """Returns output, final state and all gradients, under random weights on both outputs."""
    leaves = {name: case[name].clone().requires_grad_() for name in names}
    out, state = selective_scan(**leaves, softplus=softplus, return_state=True, backend=backend)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out)
    weights_of_state = torch.randn(state.shape, generator=generator, dtype=torch.float64).to(state)
    loss = (out * weights).sum() + (state * weights_of_state).real.sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return {"out": out.detach(), "state": state.detach(), **dict(zip(names, gradients, strict=True))}


def assert_equal(got, want, tolerance):
    for name, value in want.items():
        assert got[name].shape == value.shape, name
        assert got[name].dtype == value.dtype, name
        assert (got[name] - value).abs().max() <= tolerance * max(1.0, value.abs().max()), name


@pytest.mark.parametrize("complex_field", [False, True])
@pytest.mark.parametrize(
    ("backend", "L"), [(name, L) for name in FAST for L in (INTERPRETED if name == "triton" else LENGTHS)]
)
def test_equals_definition_at_any_length(poisoned, backend, complex_field, L):
    case = problem(**size(backend, L, L), complex_field=complex_field)
    assert_equal(values_and_gradients(case, backend), values_and_gradients(case, "reference"), 1e-11)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("complex_field", [False, True])
@pytest.mark.parametrize("mix", MIXES)
def test_equals_definition_for_every_mix(poisoned, backend, complex_field, mix):
    case = problem(**size(backend, 70, 5), complex_field=complex_field, mix=mix)
    assert_equal(values_and_gradients(case, backend), values_and_gradients(case, "reference"), 1e-11)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("complex_field", [False, True])
def test_slow_decay(backend, complex_field):
    """|a| in [0.99, 1]: gradients travel the whole sequence; soft decays would hide a wrong conjugate or carry."""
    case = problem(**size(backend, 500, 25), complex_field=complex_field, slow=True)
    a = torch.exp(torch.nn.functional.softplus(case["dt"])[..., None] * case["A"]).abs()
    assert a.min() > 0.985
    assert_equal(values_and_gradients(case, backend), values_and_gradients(case, "reference"), 1e-11)


@pytest.mark.parametrize("backend", [name for name in FORMS if name != "triton"])
@pytest.mark.parametrize("complex_field", [False, True])
@pytest.mark.parametrize("mix", MIXES)
def test_gradcheck(backend, complex_field, mix):
    """Two chunk borders of the compiled path at L = 65, one of the torch path. (The interpreter is too slow for hundreds of scans; the
    gradients of the fused form are compared with those that pass here.)"""
    case = problem(65 if mix == (True, True, True) else 3, complex_field, mix, b=1, D=2, N=1, slow=True)
    scan = lambda *arguments: selective_scan(
        **dict(zip(NAMES, arguments, strict=True)), softplus=True, return_state=True, backend=backend
    )
    assert torch.autograd.gradcheck(
        scan, [case[name].requires_grad_() for name in NAMES], fast_mode=len(case["x"][0]) > 3
    )


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("complex_field", [False, True])
def test_optional_parts(backend, complex_field):
    """Without D, gate, bias, softplus and state: each alone, and none of them."""
    case = problem(**size(backend, 20, 3), complex_field=complex_field)
    case["dt"] = case["dt"].abs()
    optional = ("D", "z", "dt_bias", "h0")
    for kept in ((), *((name,) for name in optional)):
        names = tuple(name for name in NAMES if name not in optional or name in kept)
        got, want = (values_and_gradients(case, name, False, names) for name in (backend, "reference"))
        assert_equal(got, want, 1e-11)


@pytest.mark.parametrize("complex_field", [False, True])
def test_many_channels(complex_field):
    """More than one block of channels, the last one narrow; a width that is no multiple of a vector."""
    case = problem(40, complex_field, D=selective_loops.W_BLOCK + 5, N=3)
    assert_equal(values_and_gradients(case, "compiled"), values_and_gradients(case, "reference"), 1e-11)
    case = problem(40, complex_field, (False, False, True), D=2 * selective_loops.W_BLOCK + 1)
    assert_equal(values_and_gradients(case, "compiled"), values_and_gradients(case, "reference"), 1e-11)


@pytest.mark.parametrize("complex_field", [False, True])
def test_single_precision(complex_field):
    """Float32 at L = 1000 against float64, the worst of 16 problems: no further off than the definition itself in float32,
    up to a factor of 4. A slow state that turns shows an angle or a step that is always rounded to one side."""
    worst: dict[str, dict[str, float]] = {name: {} for name in ("reference", "torch", "compiled")}
    for seed in range(16):
        case = problem(1000, complex_field, D=17, N=4, dtype=torch.float32, seed=seed)
        double = {name: t.to(torch.complex128 if t.is_complex() else torch.float64) for name, t in case.items()}
        want = values_and_gradients(double, "compiled")
        for backend, errors in worst.items():
            for name, value in values_and_gradients(case, backend).items():
                error = float((value - want[name]).abs().max() / want[name].abs().max())
                errors[name] = max(error, errors.get(name, 0.0))
    for backend in ("torch", "compiled"):
        for name, error in worst[backend].items():
            assert error < 4 * worst["reference"][name], (backend, name)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("complex_field", [False, True])
def test_vanishing_decay(backend, complex_field):
    """Steps whose decay underflows forget the past and nothing else: dividing by products would give nan here."""
    case = problem(**size(backend, 100, 20), complex_field=complex_field, dtype=torch.float32)
    L = case["x"].shape[1]
    case["dt"][:, 2 * L // 5 : 3 * L // 5] = 400.0
    case["A"] = case["A"] - 5
    got, want = values_and_gradients(case, backend), values_and_gradients(case, "reference")
    for name, value in want.items():
        assert torch.isfinite(value).all(), name
        assert (got[name] - value).abs().max() <= 1e-4 * value.abs().max(), name


@pytest.mark.parametrize("backend", FORMS)
@pytest.mark.parametrize("complex_field", [False, True])
def test_chunks_with_state_equal_the_whole(backend, complex_field):
    case = problem(**size(backend, 50, 26), complex_field=complex_field)
    whole, last = selective_scan(**case, softplus=True, return_state=True, backend=backend)
    h, parts = case["h0"], []
    for part in (slice(0, 17), slice(17, 18), slice(18, 50)):  # the last one ends where L does
        piece = {name: t[:, part] if t.ndim == 3 and name != "h0" else t for name, t in case.items()}
        out, h = selective_scan(**{**piece, "h0": h}, softplus=True, return_state=True, backend=backend)
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(h, last)


@pytest.mark.parametrize("backend", FORMS)
def test_a_complex_scan_with_real_values_is_the_real_one(backend):
    case = problem(30 if backend != "triton" else 5)
    field = {name: t.to(torch.complex128) if name in "ABC" or name == "h0" else t for name, t in case.items()}
    real, (out, state) = (
        selective_scan(**case, backend=backend),
        selective_scan(**field, return_state=True, backend=backend),
    )
    torch.testing.assert_close(out, real)
    assert state.imag.abs().max() == 0


@pytest.mark.parametrize("backend", FORMS)
def test_mixed_fields_and_precisions(backend):
    """Complex A with real B and C (P2, Appendix A), and float32 beside float64: all in the wider type."""
    case = problem(9, complex_field=True)
    mixed = {**case, "B": case["B"].real, "C": case["C"].real.float(), "D": case["D"].float()}
    wide = {name: tensor.to(torch.complex128 if name in "ABC" else tensor.dtype) for name, tensor in mixed.items()}
    torch.testing.assert_close(selective_scan(**mixed, backend=backend), selective_scan(**wide, backend="reference"))


def test_half_precision_and_autocast_compute_in_float32():
    case = problem(9, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(selective_scan(**case), selective_scan(**case), rtol=0, atol=0)
        assert selective_scan(**{**case, "x": case["x"].bfloat16()}).dtype == torch.float32


@pytest.mark.parametrize("backend", FAST)
def test_conjugated_and_strided_arguments(backend):
    case = problem(9 if backend != "triton" else 2, complex_field=True)
    tricky = {name: t.transpose(0, 1).contiguous().transpose(0, 1) for name, t in case.items() if t.ndim > 1} | {
        name: t for name, t in case.items() if t.ndim == 1
    }
    tricky["B"], tricky["C"] = tricky["B"].conj().resolve_conj().conj(), tricky["C"].conj().resolve_conj().conj()
    assert_equal(values_and_gradients(tricky, backend), values_and_gradients(case, backend), 1e-13)


def test_threads_change_no_bit():
    case = problem(300, True, b=3, D=150, N=4, dtype=torch.float32)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        parallel = values_and_gradients(case, "compiled")
        torch.set_num_threads(1)
        assert all(torch.equal(parallel[name], value) for name, value in values_and_gradients(case, "compiled").items())
    finally:
        torch.set_num_threads(threads)


def saved_bytes(case, backend):
    """Bytes that autograd keeps between forward and backward."""
    sizes = {}
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in case.items()}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        selective_scan(**leaves, softplus=True, backend=backend)
    return sum(sizes.values())


def test_memory_does_not_grow_with_all_states():
    """b L D (5 arrays + 16 N / 512 of stored states): far below one array of all states."""
    case = problem(512, b=2, D=64, N=16, dtype=torch.float32)
    all_states = 4 * 2 * 512 * 64 * 16
    assert saved_bytes(case, "compiled") < 0.5 * all_states
    assert saved_bytes(case, "reference") > all_states


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x", (2, 5)),
        ("dt", (2, 4, 3)),
        ("A", (4, 2)),
        ("B", (2, 5, 3)),
        ("C", (5, 2)),
        ("D", (2,)),
        ("z", (2, 5, 1)),
        ("h0", (2, 3)),
    ],
)
def test_wrong_shapes_are_refused(name, shape):
    with pytest.raises(ValueError, match="selective_scan"):
        selective_scan(**{**problem(5), name: torch.ones(shape)})


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend 'nope'"):
        selective_scan(**problem(5), backend="nope")


def test_the_choice_is_announced_once(capsys):
    SELECTIVE_SCAN._choices.clear()
    selective_scan(**problem(2))
    selective_scan(**problem(2))
    assert capsys.readouterr().err == "selective scan on cpu: compiled\n"
