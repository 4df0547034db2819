"""State-space-model experiments: see src/README.md for the layer map."""
