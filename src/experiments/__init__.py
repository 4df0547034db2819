"""One file a script: the only place that knows both papers. Entry scripts at the top of the repository are doors to these."""
