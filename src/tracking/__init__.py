"""What a run leaves behind: its local log (the record), its environment, and a mirror on Weights & Biases."""

from src.tracking.environment import environment
from src.tracking.jsonl import JsonlLog, read_jsonl

__all__ = ["JsonlLog", "environment", "read_jsonl"]
