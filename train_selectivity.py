"""Selectivity experiments of arXiv 2410.14067: `python train_selectivity.py --config {delay,induction}.yaml`; see --help."""

from src.errors import run_door

if __name__ == "__main__":
    from src.experiments.selectivity import main

    run_door(main)
