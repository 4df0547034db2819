"""Complex minus real at equal parameters, over the size of model and data: P2's real-world claim (arXiv 2410.14067, Section 5).

The paper: S4D on sequential CIFAR-10 has 89.10 % complex (one run) and at most 78.27 % real (best of three seeds).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..config import flat
from ..tables import Table
from . import style
from .collect import Record
from .compare import difference
from .settings import grouped, mean, result, setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = {"complex": 89.10, "real": 78.27}
FIELD_KEYS = ("model.layer.is_real", "model.layer.init", "train.seed")
SIZE_KEYS = ("model.d_model", "model.n_layers", "dataset.train_size", "trainer.max_epochs")
TEST = result("test@best-val/accuracy", 100)


def pairs(records: Sequence[Record]) -> list[tuple[list[Record], list[Record]]]:
    """Returns (complex runs, real runs) of each setting that was run with both, smallest model and data first."""
    found = []
    for runs in grouped(records, lambda r: setting(r.config, FIELD_KEYS)).values():
        by_field = grouped(runs, is_real)
        if set(by_field) == {False, True}:
            found.append((by_field[False], by_field[True]))
    return sorted(found, key=lambda pair: (pair[0][0].result["n_parameters"], pair[0][0].result["n_train"]))


def is_real(record: Record) -> bool:
    """Returns whether the layer's states are real."""
    return bool(record.config["model"]["layer"].get("is_real"))


def gaps(records: Sequence[Record], right) -> Table:
    """One row a size: both fields, and complex minus real, paired.

    Args:
        right: which test examples a run had right, where it kept that.
    """
    rows = []
    for complex_, real in pairs(records):
        first = flat(complex_[0].config)
        sizes = [first.get(key) for key in SIZE_KEYS]
        facts = [complex_[0].result["n_parameters"], complex_[0].result["n_train"]]
        found = difference(complex_, real, TEST, lambda r: r.config["train"]["seed"], right)
        judged: list[Any] = [found[0].difference, found[0].p, found[1]] if found else [None, None, None]
        rows.append([*facts, mean(complex_, TEST), mean(real, TEST), *judged, f"{len(complex_)}, {len(real)}", *sizes])
    columns = [
        "parameters",
        "training examples",
        "complex",
        "real",
        "complex - real",
        "p",
        "judged by",
        "seeds",
        *SIZE_KEYS,
    ]
    note = (
        "test@best-val in percent, mean over seeds ± 95 % interval; complex - real: points, paired; seeds: of complex, of real. "
        f"The paper at full size on sequential CIFAR-10: {PAPER['complex']:.2f} (one run) against {PAPER['real']:.2f} (best of three)."
    )
    return Table(columns, rows, "Complex against real at equal parameters", [note])


def figure(records: Sequence[Record], right) -> "Figure":
    """The gap over the number of parameters, with its interval where seeds or shared examples give one; the paper's as a line."""
    drawn, (line,) = style.panels(1, 1, 3.0)
    axis = line[0]
    for complex_, real in pairs(records):
        x = complex_[0].result["n_parameters"]
        found = difference(complex_, real, TEST, lambda r: r.config["train"]["seed"], right)
        gap = found[0].difference if found else None
        middle = gap.value if gap else mean(complex_, TEST).value - mean(real, TEST).value
        bars = [[middle - gap.low], [gap.high - middle]] if gap else None
        axis.errorbar([x], [middle], yerr=bars, color=style.COMPLEX, marker="o", markersize=5, capsize=3)
        axis.annotate(f" {complex_[0].result['n_train']:,} images", (x, middle), fontsize=8, color=style.TARGET)
    paper = PAPER["complex"] - PAPER["real"]
    axis.axhline(paper, color=style.BOUND, linewidth=0.9, linestyle=":")
    axis.axhline(0, color=style.TARGET, linewidth=0.8)
    axis.set(xscale="log", xlabel="parameters", ylabel="complex - real, points of test accuracy")
    keys = [style.key(style.COMPLEX, "ours, 95 % interval", "", "o")]
    style.legend_above(
        drawn, [*keys, style.key(style.BOUND, f"paper at full size: at least {paper:.2f}", ":", linewidth=0.9)]
    )
    return drawn
