"""What models are asked to do and what is done to them: token tasks, losses, metrics, noise. Imports nothing of the suite."""
