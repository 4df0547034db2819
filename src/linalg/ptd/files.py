"""Perturbations on disk: MATLAB `.mat` (version 5) and numpy `.npz` files of n x n matrices, never unpickled.

Two layouts, those of the files published with arXiv 2310.01698:
    ptb             the perturbation E itself
    Lam, V, Vinv    the diagonalised A_H + E, Lam a diagonal matrix or a vector
Ours hold E, Lam, V and Vinv. When Lam, V and Vinv are there they are what counts, and E (or ptb) must agree with them.
"""

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

from ...errors import UserError
from ...files import check_file
from ..hippo import Float, legs
from .perturbation import Complex, Perturbation, canonical, diagonalise

TOLERANCE = 1e-6  # of V Vinv = I and V Lam Vinv = A_H + E, relative; files in single precision pass
SUFFIXES = (".mat", ".npz")
_KEYS = "E (or ptb), or Lam, V and Vinv"
_HDF5 = b"\x89HDF\r\n\x1a\n"


def save_perturbation(path: str | Path, found: Perturbation) -> None:
    """Writes E, Lam (diagonal matrix), V, Vinv, iterations and converged to `.mat` or `.npz`, atomically.

    Raises:
        UserError: another suffix, or a folder that cannot be written.
    """
    path = Path(path)
    check_file(path, SUFFIXES)
    content = {
        "E": found.E,
        "Lam": np.diag(found.Lambda),
        "V": found.V,
        "Vinv": found.Vinv,
        "iterations": found.iterations,
        "converged": found.converged,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror or error}") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            if path.suffix == ".mat":
                savemat(stream, content, do_compression=True)
            else:
                np.savez_compressed(stream, **content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_perturbation(path: str | Path, n: int | None = None) -> Perturbation:
    """Returns the perturbation in `path`, in canonical order and phases, checked.

    Args:
        path: a `.mat` or `.npz` file of either layout.
        n: number of states that is needed; any when None.

    Raises:
        UserError: no such file, another format, missing keys, wrong size, NaN or infinity, or matrices that do not
            belong together.
    """
    path = Path(path)
    content = _read(path)
    E = next((_square(path, key, content[key]) for key in ("E", "ptb") if key in content), None)
    decomposed = all(key in content for key in ("Lam", "V", "Vinv"))
    if E is None and not decomposed:
        found = ", ".join(sorted(content)) or "nothing"
        raise UserError(f"'{path}' holds {found}; expected the matrices {_KEYS}")
    size = len(E if E is not None else _square(path, "V", content["V"]))
    if n is not None and size != n:
        raise UserError(
            f"'{path}' is for n = {size} states, but n = {n} is asked for: use --n {size}, or d_state in a config"
        )
    E = None if E is None else _real_if_real(E)
    if not decomposed:
        return diagonalise(E)
    iterations = int(np.ravel(content.get("iterations", 0))[0])
    converged = bool(np.ravel(content.get("converged", True))[0])
    return _checked(path, E, content, size, iterations, converged)


def _checked(
    path: Path, E: Float | Complex | None, content: Mapping, n: int, iterations: int, converged: bool
) -> Perturbation:
    V, Vinv = _square(path, "V", content["V"], n), _square(path, "Vinv", content["Vinv"], n)
    Lambda = _diagonal(path, content["Lam"], n)
    if not np.abs(V @ Vinv - np.eye(n)).max() <= TOLERANCE:
        raise UserError(f"'{path}' is inconsistent: V Vinv is not the identity; expected Vinv to be the inverse of V")
    A = legs(n)[0]
    M = (V * Lambda) @ Vinv
    if E is None:
        E = _real_if_real(M - A)
    elif not np.linalg.norm(M - A - E) <= TOLERANCE * np.linalg.norm(A):
        raise UserError(f"'{path}' is inconsistent: V Lam Vinv differs from the HiPPO-LegS matrix plus E")
    return canonical(E, Lambda, V.astype(np.complex128), Vinv.astype(np.complex128), iterations, converged)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays in a file by name."""
    if not path.is_file():
        raise UserError(f"no perturbation file '{path}'; solve one: python -m src.linalg.ptd --n N --out {path.name}")
    if path.suffix not in (".mat", ".npz"):
        raise UserError(f"cannot read '{path}': expected a .mat or .npz file")
    with path.open("rb") as stream:
        header = stream.read(128)
    if header.startswith((_HDF5, b"MATLAB 7.3")):
        raise UserError(f"'{path}' is a MATLAB 7.3 (HDF5) file; save it again in MATLAB with: save(..., '-v7')")
    try:
        if path.suffix == ".mat":
            return {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
        if not zipfile.is_zipfile(path):
            raise ValueError("not a zip archive")
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # the readers raise a dozen types on foreign, torn or pickled content
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"cannot read '{path}' as a {path.suffix} file: {reason}") from None


def _square(path: Path, key: str, value: np.ndarray, n: int | None = None) -> Float | Complex:
    value = np.asarray(value)
    if value.dtype.kind not in "fciu" or value.ndim != 2 or value.shape[0] != value.shape[1] or not value.size:
        raise UserError(f"'{path}': {key} must be a square matrix of numbers, got {_describe(value)}")
    if n is not None and len(value) != n:
        raise UserError(f"'{path}': {key} must be {n} x {n} like the other matrices, got {_describe(value)}")
    if not np.isfinite(value).all():
        raise UserError(f"'{path}': {key} holds NaN or infinity; expected finite numbers")
    return value.astype(np.complex128 if value.dtype.kind == "c" else np.float64)


def _diagonal(path: Path, value: np.ndarray, n: int) -> Complex:
    """Returns Lam, given as a diagonal matrix or a vector, as a vector."""
    value = np.asarray(value)
    if value.dtype.kind in "fciu" and value.size == n and np.isfinite(value).all():
        return value.ravel().astype(np.complex128)
    square = _square(path, "Lam", value, n)
    Lambda = np.diagonal(square)
    if np.abs(square - np.diag(Lambda)).max() > TOLERANCE * np.abs(Lambda).max():
        raise UserError(
            f"'{path}': Lam must be diagonal; expected the eigenvalues of A_H + E on it and zeros elsewhere"
        )
    return Lambda.astype(np.complex128)


def _real_if_real(E: Float | Complex) -> Float | Complex:
    """Drops an imaginary part at the level of rounding, as V Lam Vinv leaves it."""
    scale = np.linalg.norm(legs(len(E))[0])
    return E.real.copy() if np.iscomplexobj(E) and np.abs(E.imag).max() <= 1e-9 * scale else E


def _describe(value: np.ndarray) -> str:
    return f"{' x '.join(map(str, value.shape)) or 'a scalar'} of {value.dtype}"
