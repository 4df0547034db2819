"""Speed tables that a user can print on their own machine: `python -m src.bench {kernels,...}`."""
