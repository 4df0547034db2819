"""Short runs of every script and layer, recorded from two states of the repository and compared bit for bit."""
