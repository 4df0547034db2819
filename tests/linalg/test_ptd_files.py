"""Perturbation files, the cache, names and the command line: round trips, and one line for every mistake."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from src.errors import UserError, run_door
from src.linalg.hippo import legs
from src.linalg.ptd import (
    Spec,
    default_size,
    load_perturbation,
    made_stable,
    named,
    named_perturbation,
    random_perturbation,
    rank1,
    save_perturbation,
    solve_cached,
)
from src.linalg.ptd.__main__ import main
from src.linalg.ptd.surface import MUS


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSM_CACHE", str(tmp_path / "cache"))


def _same(a, b, atol=1e-9):
    scale = np.abs(a.Lambda).max()
    np.testing.assert_allclose(a.E, b.E, atol=atol * scale)
    np.testing.assert_allclose(a.Lambda, b.Lambda, atol=atol * scale)
    np.testing.assert_allclose(a.V, b.V, atol=atol)
    np.testing.assert_allclose(a.Vinv, b.Vinv, atol=atol * a.cond)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize("real", [True, False])
def test_round_trip(tmp_path, suffix, real):
    found = random_perturbation(7, 0.1, seed=0, real=real)
    path = tmp_path / "new" / f"E{suffix}"
    save_perturbation(path, found)
    loaded = load_perturbation(path, n=7)
    _same(loaded, found, atol=1e-14)
    assert loaded.is_real is real
    assert (loaded.iterations, loaded.converged) == (found.iterations, found.converged)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_mat_file_holds_the_published_keys(tmp_path):
    found = random_perturbation(6, 0.1, seed=0)
    save_perturbation(tmp_path / "E.mat", found)
    content = loadmat(tmp_path / "E.mat")
    np.testing.assert_array_equal(content["Lam"], np.diag(found.Lambda))
    assert {"E", "Lam", "V", "Vinv"} <= set(content)


@pytest.mark.parametrize("write", [savemat, lambda path, content: np.savez(path, **content)])
@pytest.mark.parametrize("layout", ["ptb", "diagonal matrix", "vector"])
@pytest.mark.parametrize("real", [True, False])
def test_both_published_layouts_load(tmp_path, write, layout, real):
    found = random_perturbation(6, 0.1, seed=3, real=real)
    path = tmp_path / ("E.mat" if write is savemat else "E.npz")
    shuffled = np.random.default_rng(0).permutation(6)
    scale = 1.0 + np.arange(6.0)  # any order and any column scaling, brought to the canonical one
    Lam, V, Vinv = found.Lambda[shuffled], found.V[:, shuffled] * scale, found.Vinv[shuffled] / scale[:, None]
    content = {
        "ptb": {"ptb": found.E},
        "diagonal matrix": {"Lam": np.diag(Lam), "V": V, "Vinv": Vinv},
        "vector": {"Lam": Lam, "V": V, "Vinv": Vinv},
    }[layout]
    write(path, content)
    loaded = load_perturbation(path)
    assert loaded.is_real is real
    _same(loaded, found)


def test_a_system_given_by_real_matrices_loads(tmp_path):
    """As the published file for n = 2: A_H itself, eigenvalues -1 and -2, E = 0."""
    Lambda, V = np.linalg.eig(legs(2)[0])
    savemat(tmp_path / "E.mat", {"Lam": np.diag(Lambda), "V": V, "Vinv": np.linalg.inv(V)})
    loaded = load_perturbation(tmp_path / "E.mat", 2)
    assert loaded.cond == pytest.approx(3.73, abs=0.01)
    assert loaded.size < 1e-12
    assert loaded.max_real == pytest.approx(-1.0)


def _content(**changes):
    found = random_perturbation(4, 0.2, seed=0)
    content = {"E": found.E, "Lam": np.diag(found.Lambda), "V": found.V, "Vinv": found.Vinv}
    return {key: value for key, value in (content | changes).items() if value is not None}


def _with_nan(key):
    value = _content()[key].copy()
    value[0, 0] = np.nan
    return {key: value}


BAD = {
    "wrong keys": ({"X": np.eye(4)}, "holds X; expected the matrices"),
    "one of three missing": (_content(E=None, Vinv=None), "expected the matrices"),
    "empty": ({}, "holds nothing"),
    "another size": (_content(V=np.eye(3)), "V must be 4 x 4"),
    "not square": ({"ptb": np.ones((4, 3))}, "ptb must be a square matrix"),
    "text": ({"ptb": np.array(["a"])}, "ptb must be a square matrix of numbers"),
    "nan in E": (_content(**_with_nan("E")), "E holds NaN"),
    "nan in Lam": (_content(**_with_nan("Lam")), "Lam holds NaN"),
    "nan in V": (_content(**_with_nan("V")), "V holds NaN"),
    "inf": ({"ptb": np.full((4, 4), np.inf)}, "ptb holds NaN or infinity"),
    "inverse": (_content(Vinv=_content()["Vinv"] * 1.01), "V Vinv is not the identity"),
    "other E": (_content(E=_content()["E"] * 1.5), "differs from the HiPPO-LegS matrix plus E"),
    "full Lam": (_content(Lam=np.ones((4, 4))), "Lam must be diagonal"),
}


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize("case", BAD)
def test_bad_content_is_refused_in_one_line(tmp_path, case, suffix):
    content, message = BAD[case]
    path = tmp_path / f"bad{suffix}"
    if suffix == ".mat":
        savemat(path, content)
    else:
        np.savez(path, **content)
    with pytest.raises(UserError, match=message) as caught:
        load_perturbation(path)
    assert "\n" not in str(caught.value)
    assert "bad" in str(caught.value)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"just a text\n", "cannot read"),
        (b"", "cannot read"),
        (b"MATLAB 7.3 MAT-file, Platform" + bytes(600), "save it again in MATLAB"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "save it again in MATLAB"),
        (pickle.dumps({"ptb": 1}), "cannot read"),
    ],
)
def test_foreign_files_are_refused_in_one_line(tmp_path, raw, message, suffix):
    path = tmp_path / f"foreign{suffix}"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=message) as caught:
        load_perturbation(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_a_torn_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"torn{suffix}"
    save_perturbation(path, random_perturbation(8, 0.1, seed=0))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError):
        load_perturbation(path)


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    path = tmp_path / "bomb.npz"
    np.savez(path, ptb=np.array([[Bomb()]], dtype=object))
    with pytest.raises(UserError, match="cannot read"):
        load_perturbation(path)


def test_missing_files_wrong_n_and_suffix(tmp_path):
    path = tmp_path / "E.mat"
    with pytest.raises(UserError, match="no perturbation file"):
        load_perturbation(path)
    save_perturbation(path, random_perturbation(6, 0.1, seed=0))
    with pytest.raises(UserError, match="n = 6 states, but n = 8 is asked for: use --n 6"):
        load_perturbation(path, n=8)
    (tmp_path / "E.csv").write_text("1,2")
    with pytest.raises(UserError, match=r"expected a \.mat or \.npz"):
        load_perturbation(tmp_path / "E.csv")
    with pytest.raises(UserError, match=r"must end in \.mat or \.npz"):
        save_perturbation(tmp_path / "E.csv", rank1(2))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        save_perturbation(tmp_path / "file" / "E.mat", rank1(2))


def test_cache_solves_once_and_again_when_torn(monkeypatch):
    spec, calls = Spec(n=4, size=0.2), []
    true_solve = named.solve
    monkeypatch.setattr(named, "solve", lambda *args, **kwargs: calls.append(1) or true_solve(*args, **kwargs))
    first, second = solve_cached(spec), solve_cached(spec)
    assert len(calls) == 1
    _same(first, second, atol=1e-14)
    assert (second.iterations, second.converged) == (first.iterations, first.converged)
    (path,) = named.cache_folder().iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="solving again"):
        third = solve_cached(spec)
    np.testing.assert_array_equal(third.E, first.E)
    solve_cached(spec)
    assert len(calls) == 2


def test_cache_keys_differ_with_every_setting_and_the_version(monkeypatch):
    specs = [Spec(n=4, size=0.2), Spec(n=5, size=0.2), Spec(n=4, size=0.21), Spec(n=4, objective="cond", gamma=0.2)]
    specs += [Spec(n=4, size=0.2, mu=0.7), Spec(n=4, objective="cond", size=0.2)]
    specs += [Spec(n=4, size=0.2, margin=0.6), Spec(n=4, size=0.2, real=False), Spec(n=4, size=0.2, seed=1)]
    keys = [spec.key() for spec in specs]
    assert Spec(n=4, size=0.2).key() == keys[0]
    monkeypatch.setattr("src.linalg.ptd.spec.SOLVER_VERSION", -1)
    keys.append(Spec(n=4, size=0.2).key())
    assert len(set(keys)) == len(keys)


def test_an_unwritable_cache_costs_a_warning_only(tmp_path, monkeypatch):
    (tmp_path / "ptd").write_text("a file where the folder of solutions would be")
    monkeypatch.setenv("SSM_CACHE", str(tmp_path))
    with pytest.warns(UserWarning, match="not cached"):
        assert solve_cached(Spec(n=3, size=0.2)).converged


def test_names(tmp_path):
    np.testing.assert_array_equal(named_perturbation("rank1", 6).E, rank1(6).E)
    np.testing.assert_array_equal(
        named_perturbation("random", 6, size=0.1, seed=3).E, random_perturbation(6, 0.1, seed=3).E
    )
    _same(named_perturbation(None, 8), load_perturbation(named.DATA / "ptbHiPPO8.mat"))
    assert named_perturbation(None, 4).size <= default_size(4)  # nothing committed: solved
    _same(named_perturbation("cond", 8), load_perturbation(named.DATA / "ptbHiPPO8_cond.mat"))
    assert named_perturbation("cond", 4, size=0.3).d_e0 > 0.0 == named_perturbation("solve", 4, size=0.3).d_e0
    assert named_perturbation("solve", 4, size=0.2).size == pytest.approx(0.2, rel=1e-3)
    assert named_perturbation(None, 8, size=0.3).size == pytest.approx(0.3, rel=1e-3)
    save_perturbation(tmp_path / "E.npz", random_perturbation(6, 0.1, seed=0))
    assert named_perturbation(str(tmp_path / "E.npz"), 6).n == 6
    assert named_perturbation(Spec(n=4, size=0.2), 4).n == 4
    for name, message in (("rnk1", "did you mean 'rank1'"), (tmp_path / "E.npz", "n = 8 is asked for")):
        with pytest.raises(UserError, match=message):
            named_perturbation(name, 8)
    with pytest.raises(UserError, match="n = 8 is asked for"):
        named_perturbation(Spec(n=4, size=0.2), 8)


def test_an_unstable_perturbation_is_reflected_with_one_line():
    unstable, said = random_perturbation(32, 0.1, seed=5), []
    trained = [made_stable(unstable, said.append) for _ in range(3)]
    assert unstable.max_real > 0 > trained[0].max_real
    (line,) = said
    for figure in (unstable.size, trained[0].size, unstable.cond):
        assert f"{figure:.4g}" in line
    stable = rank1(6)
    assert made_stable(stable, said.append) is stable
    assert len(said) == 1


def test_command_line_writes_what_it_says(tmp_path, capsys):
    path = tmp_path / "E.mat"
    assert main(["--n", "4", "--size", "0.2", "--out", str(path)]) == 0
    captured = capsys.readouterr()
    found = load_perturbation(path, 4)
    assert f"cond(V) {found.cond:.4f}" in captured.out
    assert "round   1" in captured.err
    assert main(["--n", "4", "--gamma", "1", "--complex", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["--n", "4", "--objective", "published", "--delta", "100", "--quiet"]) in (0, 1)


def test_command_line_frontier(tmp_path, capsys):
    stem = tmp_path / "new" / "front.tier"
    assert main(["--n", "4", "--frontier", "--sizes", "0.3", "0.1", "--out", str(stem)]) == 0
    assert "d_worst" in capsys.readouterr().out
    assert (tmp_path / "new" / "front.tier.csv").read_text().count("\n") == 1 + 2 * (len(MUS) + 1)
    assert (tmp_path / "new" / "front.tier.png").exists()
    assert main(["--n", "4", "--objective", "cond", "--frontier", "--sizes", "0.3", "0.1", "--out", str(stem)]) == 0
    assert "random_cond" in capsys.readouterr().out
    assert (tmp_path / "new" / "front.tier.csv").read_text().count("\n") == 3


MISTAKES = {
    "--n x": "expected a whole number from 1 to 1024",
    "--n 0": "expected a whole number from 1 to 1024",
    "--n 1e9": "expected a whole number",
    "--n 99999999999999999999": "expected a whole number",
    "": "--n",
    "--n 4 --siz 0.1": "did you mean '--size'",
    "--n 4 --n 5": "--n is given twice",
    "--n 4 --size": "expected one argument",
    "--n 4 --size -1": "size must be a positive number",
    "--n 4 --size nan": "size must be a positive number",
    "--n 4 --mu 0": "mu must be a positive number",
    "--n 4 --mu 1 --objective cond": "'cond' has none",
    "--n 4 --mu 1 --gamma 1": "'cond' has none",
    "--n 4 --margin -1": "margin must be a positive number",
    "--n 4 --seed -1": "expected a whole number from 0",
    "--n 4 --seed one": "expected a whole number from 0",
    "--n 4 --norm max": "expected one of: frobenius, spectral",
    "--n 4 --norm spectrl": "did you mean 'spectral'",
    "--n 4 --objective distence": "did you mean 'distance'",
    "--n 4 --objective published": "takes delta",
    "--n 4 --delta 1": "takes a size",
    "--n 4 --size 0.1 --gamma 1": "exactly one of size and gamma",
    "--n 4 --out E.txt": "must end in .mat or .npz",
    "--n 4 --out {folder}/E.mat": "it is a folder",
    "--n 4 --out {folder}/text/E.mat": "not a folder that can be written to",
    "--n 4 --sizes 0.1": "--sizes belongs to --frontier",
    "--n 4 --frontier --size 0.1": "leave out --size",
    "--n 4 --frontier --sizes 0": "--sizes must be positive",
    "--n 4 --frontier --sizes inf": "--sizes must be positive",
    "--n 4 --frontier --out {folder}/text/f": "not a folder that can be written to",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_command_line_mistakes_are_one_line_and_nothing_is_computed(words, tmp_path, capsys, monkeypatch):
    (tmp_path / "text").write_text("")
    (tmp_path / "E.mat").mkdir()
    monkeypatch.setattr("src.linalg.ptd.__main__.solve", None)
    with pytest.raises(SystemExit) as caught:
        run_door(lambda: main(words.format(folder=tmp_path).split()))
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert MISTAKES[words] in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["E.mat", "text"]


def test_a_mistake_exits_with_code_2():
    run = subprocess.run([sys.executable, "-m", "src.linalg.ptd", "--n", "0"], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
