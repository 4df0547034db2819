"""Robustness experiment of arXiv 2310.01698: `python robustness.py [--models s4d,s4-ptd] [--dataset digits]`; see --help."""

from src.errors import run_door

if __name__ == "__main__":
    from src.experiments.robustness import main

    run_door(main)
