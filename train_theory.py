"""Theory experiments of arXiv 2410.14067: `python train_theory.py --experiment {real,complex}`; see --help."""

from src.errors import run_door

if __name__ == "__main__":
    from src.experiments.theory import main

    run_door(main)
