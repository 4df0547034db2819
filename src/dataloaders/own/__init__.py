"""A user's own file as a data set: how each format is read, and how it becomes splits."""
