"""Linear algebra of state-space models in float64 and complex128: pure functions of arrays, one concept a file."""
