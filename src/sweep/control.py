"""What a work function is given besides its folders: the device, a way to say how far it is, and when to stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass

_REPORT_SECONDS = 0.2


@dataclass(frozen=True)
class Progress:
    """Steps of a job since its last report: newly done, and found done in a checkpoint."""

    steps: int = 0
    resumed: int = 0


class Control:
    """The work's line to the sweep that runs it.

    Args:
        device: where this worker computes: "cpu", "cuda:0", ...
        send: takes each Progress, at most every 0.2 s.
        stopped: tells whether the sweep wants to end.
        sharing: how many workers compute on this device, this one counted.
    """

    def __init__(
        self,
        device: str = "cpu",
        send: Callable[[Progress], None] = lambda progress: None,
        stopped: Callable[[], bool] = lambda: False,
        sharing: int = 1,
    ) -> None:
        self.device, self.sharing = device, sharing
        self._send = send
        self._stopped = stopped
        self._steps = self._resumed = 0  # not yet sent
        self._sent = Progress()
        self._last_report = 0.0

    def advance(self, n_steps: int) -> None:
        """Says that `n_steps` more steps are done, summed over the runs of the job."""
        self._steps += n_steps
        if time.monotonic() - self._last_report >= _REPORT_SECONDS:
            self.flush()

    def resumed(self, n_steps: int) -> None:
        """Says that `n_steps` steps were found done in a checkpoint."""
        self._resumed += n_steps
        self.flush()

    def stop(self) -> bool:
        """True when the sweep wants to end: save the state and raise `Interrupted`. Cheap; ask after each chunk."""
        return self._stopped()

    def flush(self) -> Progress:
        """Sends what was not yet sent; returns all that was."""
        if self._steps or self._resumed:
            self._send(Progress(self._steps, self._resumed))
            self._sent = Progress(self._sent.steps + self._steps, self._sent.resumed + self._resumed)
            self._steps = self._resumed = 0
        self._last_report = time.monotonic()
        return self._sent

    def retract(self, since: Progress) -> None:
        """Takes back what was reported since `flush` returned `since`: those steps will be done, or found, again."""
        reported = self.flush()
        self._steps = since.steps - reported.steps
        self._resumed = since.resumed - reported.resumed
        self.flush()
