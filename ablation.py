"""Ablation of arXiv 2310.01698: `python ablation.py [--delta 1,100,1e4] [--size 0.1,0.01] [--dataset digits]`; see --help."""

from src.errors import run_door

if __name__ == "__main__":
    from src.experiments.ablation import main

    run_door(main)
