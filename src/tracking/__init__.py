"""What a run leaves behind: its local log (the record), its environment, and a mirror on Weights & Biases."""

from .environment import device_environment, environment
from .jsonl import JsonlLog, read_jsonl

__all__ = ["JsonlLog", "device_environment", "environment", "read_jsonl"]
