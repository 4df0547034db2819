"""One thread a test process (the runner starts one process a core, and the last bits of a sum depend on the number of threads); Triton's
kernels run in its interpreter, except where the tests on a GPU are asked for (`-m gpu`)."""

import os
import sys

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before torch and numba start
if "gpu" not in sys.argv:  # before Triton is imported: it decides when a kernel is defined
    os.environ.setdefault("TRITON_INTERPRET", "1")

import torch  # noqa: E402

torch.set_num_threads(1)
