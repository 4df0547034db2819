"""Tensors in, tensors out: one public function a file, each with its slow reference beside it."""
