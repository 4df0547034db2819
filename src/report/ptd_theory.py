"""Pictures of P1's theory (P1 = arXiv 2310.01698): `python -m src.report theory-ptd [--out FOLDER]`; every PNG has its CSV beside it.

| picture          | paper                 | shows                                                                       |
|------------------|-----------------------|-----------------------------------------------------------------------------|
| transfer         | Fig. 1, Lemma 1       | S4D's transfer function has spikes up to n^2 / pi; S4's and S4-PTD's have none |
| gaps             | Theorems 1, 2; App. F | S4D converges for a decaying input and not for an impulse                   |
| conditioning     | Theorem 5; App. I     | cond(V) against ||E||, solved and random                                    |
| bounds           | Theorem 3             | the distance of S4-PTD from S4 against its bounds                           |
| gains            | not in the paper      | how loudly the state answers at each frequency, for several sizes of E      |
| states           | not in the paper      | gain and distance from S4 over frequency, E of both objectives               |
"""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from ..errors import UserError
from ..linalg.legs_transfer import last_spike, pole_frequencies
from ..linalg.transfer import System, diag_system, dplr_system, impulse_response
from ..sweep.cli import SuggestingParser
from ..tables import Table
from ..tracking.files import atomic_write
from . import ptd_theory_data as data
from . import style

NAME = "theory-ptd"
DIAG, DPLR, PTD = style.COMPLEX, style.TARGET, style.REAL
RANDOM = style.CYCLE[1]
NAMES = {"S4D": DIAG, "S4": DPLR, "S4-PTD": PTD}
_KINDS = {"optimised": "E close to S4", "cond": "E of least cond(V)", "random": "random E"}
_STATES = {
    "S4": {"color": DPLR, "linewidth": 2.4},
    "S4D": {"color": DIAG, "linewidth": 0.9},
    "S4-PTD": {"color": PTD, "linewidth": 1.3, "linestyle": (0, (4, 1.5))},
    "S4-PTD, cond": {"color": style.CYCLE[2], "linewidth": 1.3},
}


def main(arguments: list[str]) -> int:
    """The command line; returns its exit code. Raises UserError for a folder that cannot be written to."""
    parser = SuggestingParser(prog=f"python -m src.report {NAME}", description="Pictures of P1's theory")
    parser.add_argument("--out", type=Path, default=Path("runs/report"), metavar="FOLDER", help="default: runs/report")
    parser.add_argument("--only", nargs="+", choices=tuple(PICTURES), default=tuple(PICTURES), help="some of them")
    args = parser.parse_args(arguments)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for name in args.only:
            print(PICTURES[name](args.out), flush=True)
    except OSError as error:
        raise UserError(f"{args.out}: the pictures cannot be written ({error.strerror})") from None
    return 0


def transfer(out: Path) -> str:
    """Fig. 1: the transfer functions, and the last spike of S4D at four orders."""
    found = {n: p for n, p in data.committed().items() if n >= 16}
    found = dict(list(found.items())[:3])
    table, zoomed = data.transfer(found), data.zoom()
    _write(out, "ptd-transfer", table)
    _write(out, "ptd-zoom", zoomed)
    _write(out, "ptd-spikes", data.spikes(found))
    with style.style():
        figure, (line,) = style.panels(1, len(found) + 1, 2.8)
        for axis, n in zip(line, found, strict=False):
            w, diag, dplr, ptd = np.array([row[1:] for row in table.rows if row[0] == n]).T
            axis.loglog(w, diag, color=DIAG, linewidth=1.3)
            axis.loglog(w, dplr, color=DPLR, linewidth=2.4)
            axis.loglog(w, ptd, color=PTD, linewidth=1.1, linestyle=(0, (4, 1.5)))
            poles = pole_frequencies(n)
            axis.plot(
                poles, np.full(len(poles), 1.6), linestyle="", marker="v", markersize=3, color=DIAG, clip_on=False
            )
            text = f"last spike at\n$\\omega={last_spike(n):.1f}$"
            axis.annotate(text, (0.05, 0.06), xycoords="axes fraction", fontsize=8.5, color=DIAG)
            axis.set_ylim(top=1.6)
            axis.set_title(f"$n={n}$")
            axis.set_xlabel(r"frequency $\omega$")
        line[0].set_ylabel(r"$|G(i\omega)|$,  $C=e_0$")
        _zoom(line[-1], zoomed)
        style.legend_above(figure, [*_keys(), _key(DIAG, "spikes of S4D (closed form)", marker="v", linestyle="")])
        style.save(figure, out / "ptd-transfer.png")
    return f"{out / 'ptd-transfer.png'}: S4D, S4, S4-PTD over frequency, n = {', '.join(map(str, found))}"


def _zoom(axis, table: Table) -> None:
    for i, n in enumerate(data.ZOOM_ORDERS):
        offset, diag = np.array([[row[2], row[3]] for row in table.rows if row[0] == n]).T
        axis.plot(offset, diag, color=DIAG, alpha=0.35 + 0.2 * i, linewidth=2.4 - 0.5 * i, label=f"$n={n}$")
    axis.axhline(2 / np.pi, color=style.BOUND, linewidth=0.8, linestyle=(0, (4, 2)))
    axis.annotate(r"$2/\pi$", (-11, 2 / np.pi), va="bottom", fontsize=8)
    axis.set(ylim=(0, 0.78), xlim=(-11, 11))
    axis.set_title("the last spike of S4D")
    axis.set_xlabel(r"$\omega-\omega_{\mathrm{last}}$")
    axis.legend(fontsize=8, loc="center right", handlelength=1.0, borderaxespad=0.0)


def gaps(out: Path) -> str:
    """App. F: distances of responses against n, and the responses themselves at n = 16."""
    table = data.gaps(data.committed())
    _write(out, "ptd-gaps", table)
    with style.style():
        figure, (line,) = style.panels(1, 3, 2.8)
        n = np.array([row[0] for row in table.rows], dtype=float)
        markers = {"decaying": "o", "impulse": "s"}
        for column, name in enumerate(table.columns[1:], 1):
            who, kind = name.split(", ")
            y = np.array([np.nan if row[column] is None else row[column] for row in table.rows])
            color = DIAG if who == "Diag" else PTD
            line[0].loglog(n, y, color=color, marker=markers[kind], markersize=4.5, linewidth=1.3)
        line[0].loglog(n, 0.45 / n, color=style.BOUND, linewidth=0.9, linestyle=(0, (4, 2)))
        line[0].annotate("$1/n$", (n[-2], 0.45 / n[-2]), xytext=(4, 2), textcoords="offset points", fontsize=8)
        line[0].set(xlabel="$n$", ylabel=r"$\|y-y_{\mathrm{S4}}\|_{L^2}$", title="distance from S4")
        line[0].set_xticks(n, [f"{int(x)}" for x in n])
        line[0].minorticks_off()
        keys = [
            _key(style.BOUND, label, marker=m, linestyle="") for label, m in (("decaying input", "o"), ("impulse", "s"))
        ]
        line[0].legend(handles=keys, fontsize=8, loc="lower left")
        for axis, decay in ((line[1], data.DECAY), (line[2], None)):
            _responses(axis, 16, decay)
        style.legend_above(figure, _keys())
        style.save(figure, out / "ptd-gaps.png")
    return f"{out / 'ptd-gaps.png'}: convergence for a decaying input, divergence for an impulse"


def _responses(axis, n: int, decay: float | None) -> None:
    """Responses from rest at order n; a decaying input is a filter 1 / (s + decay) in front."""
    t = np.linspace(0, 3, 1500)
    found = data.committed()[n]
    systems = {
        "S4D": diag_system(n),
        "S4": dplr_system(n),
        "S4-PTD": System(found.Lambda, found.Vinv @ dplr_system(n).B, found.V[0].copy()),
    }
    widths = {"S4D": 1.1, "S4": 2.4, "S4-PTD": 1.1}
    for name, system in systems.items():
        h = impulse_response(_filtered(system, decay), t).real
        dash = (0, (4, 1.5)) if name == "S4-PTD" else "-"
        axis.plot(t, h, color=NAMES[name], linewidth=widths[name], linestyle=dash)
    name = "unit impulse" if decay is None else f"input $e^{{-{decay:g}t}}$"
    axis.set(xlabel="$t$", title=f"response to {name}, $n={n}$")


def _filtered(system: System, decay: float | None) -> System:
    if decay is None:
        return system
    A = np.diag(system.A) if system.A.ndim == 1 else system.A
    m = len(A)
    block = np.block([[A, system.B[:, None]], [np.zeros((1, m)), np.array([[-decay]])]])
    return System(block, np.eye(1, m + 1, m)[0], np.append(system.C, 0.0))


def conditioning(out: Path) -> str:
    """App. I: cond(V) against the size of E."""
    table = data.conditioning()
    _write(out, "ptd-conditioning", table)
    with style.style():
        figure, (line,) = style.panels(1, len(data.COND_ORDERS) + 1, 2.8, sharey=True)
        for axis, n in zip(line, data.COND_ORDERS, strict=False):
            size, solved, _, median, low, high, _ = np.array([row[1:] for row in table.rows if row[0] == n]).T
            axis.fill_between(size, low, high, color=RANDOM, alpha=0.25, linewidth=0)
            axis.loglog(size, median, color=RANDOM, marker="s", markersize=4, linewidth=1.3)
            axis.loglog(size, solved, color=PTD, marker="o", markersize=4, linewidth=1.6)
            axis.loglog(size, solved[-1] * size[-1] / size, color=style.BOUND, linewidth=0.9, linestyle=(0, (4, 2)))
            axis.set(title=f"$n={n}$", xlabel=r"$\|E\|_2\,/\,\|A_H\|_2$")
        _growth(line[-1], table)
        line[0].set_ylim(1, 1e4)
        line[0].set_ylabel(r"$\kappa(V)$")
        keys = [
            _key(PTD, "E of least cond(V)", marker="o"),
            _key(RANDOM, f"random E (median and quartiles of {data.RANDOM_DRAWS})", marker="s"),
            _key(style.BOUND, r"$1/\|E\|$", linestyle=(0, (4, 2))),
        ]
        style.legend_above(figure, keys)
        style.save(figure, out / "ptd-conditioning.png")
    return f"{out / 'ptd-conditioning.png'}: cond(V) against the size of E"


def _growth(axis, table: Table) -> None:
    """cond(V) against n at every size: solved E only."""
    shades = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(data.COND_SIZES)))
    for size, shade in zip(data.COND_SIZES, shades, strict=True):
        own = np.array([[row[0], row[2]] for row in table.rows if abs(row[1] / size - 1) < 0.05])
        axis.loglog(*own.T, color=shade, marker="o", markersize=3.5, linewidth=1.2, label=f"{size:g}")
    axis.set(title="growth", xlabel="$n$")
    axis.set_xticks(data.COND_ORDERS, [str(n) for n in data.COND_ORDERS])
    axis.minorticks_off()
    axis.legend(title=r"$\|E\|/\|A_H\|$", fontsize=7, title_fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def states(out: Path) -> str:
    """Gain of the state and its distance from S4's over frequency, with E of both objectives."""
    table = data.states()
    _write(out, "ptd-states", table)
    with style.style():
        figure, rows = style.panels(2, len(data.STATE_ORDERS), 2.5, sharex="col", sharey="row")
        for column, n in enumerate(data.STATE_ORDERS):
            for name, look in _STATES.items():
                w, gain, distance = np.array([row[2:] for row in table.rows if row[:2] == [n, name]]).T
                rows[0][column].loglog(w, gain, **look)
                if name != "S4":
                    rows[1][column].loglog(w, distance, **look)
            rows[0][column].set_title(f"$n={n}$")
            rows[1][column].set_xlabel(r"frequency $\omega$")
        rows[0][0].set_ylabel(r"$\|x(i\omega)\| \,/\, \|B\|$")
        rows[1][0].set_ylabel(r"$\|x(i\omega) - x_{\mathrm{S4}}(i\omega)\| \,/\, \|B\|$")
        rows[1][0].set_ylim(bottom=1e-6)
        labels = {"S4-PTD": "S4-PTD, E close to S4", "S4-PTD, cond": "S4-PTD, E of least cond(V)"}
        keys = [
            _key(look["color"], labels.get(n, n), linestyle=look.get("linestyle", "-")) for n, look in _STATES.items()
        ]
        style.legend_above(figure, keys)
        style.save(figure, out / "ptd-states.png")
    return f"{out / 'ptd-states.png'}: gain of the state and its distance from S4's"


def bounds(out: Path) -> str:
    """Theorem 3: actual distances against their bounds, for every committed matrix."""
    found = data.committed()
    table = data.bounds(found)
    _write(out, "ptd-bounds", table)
    with style.style():
        figure, (line,) = style.panels(1, len(found), 2.8, sharey=True)
        for axis, n in zip(line, found, strict=True):
            _, eps, _, e0, worst, theorem, resolvent, diag = np.array(
                [row[1:] for row in table.rows if row[0] == n], dtype=float
            ).T
            axis.loglog(eps, theorem, color=style.BOUND, linewidth=1.2, linestyle=(0, (4, 2)))
            axis.loglog(
                eps, np.where(np.isfinite(resolvent), resolvent, np.nan), color=style.CYCLE[2], marker="^", markersize=4
            )
            axis.loglog(eps, worst, color=style.CYCLE[4], marker="D", markersize=3.5, linewidth=1.2)
            axis.loglog(eps, e0, color=PTD, marker="o", markersize=4, linewidth=1.4)
            axis.axhline(diag[0], color=DIAG, linewidth=1.2)
            axis.axvline(eps[-1], color="#BBBBBB", linewidth=0.8, zorder=0)
            axis.annotate(
                f"committed E\n{found[n].size:.3f}",
                (eps[-1], 2e-7),
                fontsize=7.5,
                ha="right",
                xytext=(-3, 0),
                textcoords="offset points",
            )
            axis.set(title=f"$n={n}$", xlabel=r"$\|E\|_2$")
        line[0].set_ylabel(r"$\sup_\omega |G_{\mathrm{PTD}}-G_{\mathrm{S4}}|$")
        keys = [
            _key(style.BOUND, "Theorem 3", linestyle=(0, (4, 2))),
            _key(style.CYCLE[2], "resolvent bound", marker="^"),
            _key(style.CYCLE[4], "actual, worst C", marker="D"),
            _key(PTD, "actual, $C=e_0$", marker="o"),
            _key(DIAG, "S4D from S4, $C=e_0$"),
        ]
        style.legend_above(figure, keys)
        style.save(figure, out / "ptd-bounds.png")
    return f"{out / 'ptd-bounds.png'}: distance of S4-PTD from S4 against its bounds"


def gains(out: Path) -> str:
    """The state's gain against frequency: an E of least cond(V) leaves the slow states almost without input, one close to S4 does not."""
    table = data.gains()
    _write(out, "ptd-gains", table)
    shades = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(data.GAIN_SIZES)))
    with style.style():
        figure, (line,) = style.panels(1, len(data.GAIN_KINDS), 3.0, sharey=True)
        for axis, kind in zip(line, data.GAIN_KINDS, strict=True):
            for name in ("S4D", "S4"):
                w, gain = np.array([row[2:] for row in table.rows if row[0] == name]).T
                axis.loglog(w, gain, color=NAMES[name], linewidth=2.2 if name == "S4" else 0.9)
            for size, shade in zip(data.GAIN_SIZES, shades, strict=True):
                w, gain = np.array([row[2:] for row in table.rows if row[:2] == [kind, size]]).T
                axis.loglog(w, gain, color=shade, linewidth=1.3)
            axis.set(title=f"{_KINDS[kind]}, $n={data.GAIN_ORDER}$", xlabel=r"frequency $\omega$")
        line[0].set_ylabel(r"$\|x(i\omega)\| \,/\, \|B\|$")
        sizes = [_key(shade, f"{size:g}") for size, shade in zip(data.GAIN_SIZES, shades, strict=True)]
        line[-1].legend(
            handles=sizes, title=r"$\|E\|/\|A_H\|$", fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0)
        )
        style.legend_above(figure, _keys()[:2])
        style.save(figure, out / "ptd-gains.png")
    return f"{out / 'ptd-gains.png'}: gain of the state, n = {data.GAIN_ORDER}"


def _keys() -> list[Line2D]:
    return [_key(color, name, linestyle=(0, (4, 1.5)) if name == "S4-PTD" else "-") for name, color in NAMES.items()]


def _key(color: str, label: str, **options) -> Line2D:
    return Line2D([], [], color=color, label=label, **{"markersize": 4.5, "linewidth": 1.6} | options)


def _write(out: Path, name: str, table: Table) -> None:
    atomic_write(out / f"{name}.csv", table.csv().encode())


PICTURES: dict[str, Callable[[Path], str]] = {
    "transfer": transfer,
    "gaps": gaps,
    "conditioning": conditioning,
    "bounds": bounds,
    "gains": gains,
    "states": states,
}
