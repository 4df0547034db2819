"""Fused Triton kernels, one file an operation; imported only where the backend `triton` is chosen.

Triton ships with CUDA builds of torch and compiles a kernel when it is first launched. Kernels take contiguous tensors and write into
tensors that the caller has allocated; the wrappers around them, with their autograd functions, are what `src.ops` calls.
"""
