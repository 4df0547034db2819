"""One thread a test process: the runner starts one process a core, and the last bits of a sum depend on the number of threads."""

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before torch and numba start

import torch  # noqa: E402

torch.set_num_threads(1)
