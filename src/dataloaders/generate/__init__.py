"""ListOps and Pathfinder made here, by the distribution of their original generators."""
