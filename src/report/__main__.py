"""`python -m src.report <folder> ...`: rebuilds the tables and figures of whatever experiments the folders hold.

`python -m src.report theory-ptd [--out FOLDER]` draws P1's theory (arXiv 2310.01698), which needs no run.
"""

import argparse
import sys
from pathlib import Path

from src.errors import UserError, run_door
from src.report import ablation, ptd_theory, robustness, selectivity, sinusoid, theory, train
from src.report.collect import experiments

REPORTERS = {  # start of an experiment's name -> its report
    theory.PREFIX: theory.report,
    selectivity.PREFIX: selectivity.report,
    robustness.PREFIX: robustness.report,
    ablation.PREFIX: ablation.report,
    sinusoid.PREFIX: sinusoid.report,
    train.PREFIX: train.report,
}


def main(arguments: list[str] | None = None) -> int:
    """Prints and writes the reports of all experiments found in the folders; returns the exit code.

    Raises UserError for a folder without runs, or with runs of experiments that no report knows.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == [ptd_theory.NAME]:
        return ptd_theory.main(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m src.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="a sweep's --out, or one experiment's folder below it")
    folders = parser.parse_args(arguments).folders
    holds = {folder: list(experiments(folder)) for folder in folders}
    unknown = sorted({name for names in holds.values() for name in names if not name.startswith(tuple(REPORTERS))})
    for prefix, report in REPORTERS.items():
        own = [folder for folder, names in holds.items() if any(name.startswith(prefix) for name in names)]
        if own:
            print(report(own))
    if unknown:
        raise UserError(f"no report knows these experiments: {', '.join(unknown)}")
    return 0


if __name__ == "__main__":
    run_door(main)
