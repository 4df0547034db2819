"""One line that shows how far training is: loss, accuracy, samples a second, time left. Only on a terminal."""

import sys
import time

from tqdm import tqdm


class TrainingProgress:
    """Counts steps and samples; draws on stderr where that is a terminal and `show` is set."""

    def __init__(self, total_steps: int, done_steps: int, show: bool) -> None:
        show = show and sys.stderr.isatty()
        self._bar = tqdm(total=total_steps, initial=done_steps, unit="step", dynamic_ncols=True, disable=not show)
        self._samples, self._since, self._paused = 0, time.perf_counter(), 0.0

    def step(self, n_samples: int) -> None:
        self._samples += n_samples
        self._bar.update()

    def samples_per_second(self) -> float:
        """Returns the rate since the last call."""
        now = time.perf_counter()
        rate = self._samples / max(now - self._since, 1e-9)
        self._samples, self._since = 0, now
        return rate

    def pause(self) -> None:
        """Leaves out the time until `resume`, an evaluation's."""
        self._paused = time.perf_counter()

    def resume(self) -> None:
        self._since += time.perf_counter() - self._paused

    def show(self, epoch: int, metrics: dict[str, float], rate: float) -> None:
        words = [f"epoch {epoch}", *(f"{name} {metrics[name]:.4g}" for name in ("loss", "accuracy") if name in metrics)]
        self._bar.set_postfix_str(", ".join([*words, f"{rate:.0f} samples/s"]))

    def close(self) -> None:
        self._bar.close()
