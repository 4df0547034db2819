"""Long Range Arena and the real-world setting: `python -m train experiment=lra/s4-PTD-cifar`; see --help and configs/."""

from src.errors import run_door

if __name__ == "__main__":
    from src.experiments.train import main

    run_door(main)
