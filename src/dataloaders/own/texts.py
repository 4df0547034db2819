"""`.jsonl`: an object with text and label in each line; texts are read character by character."""

import json
from pathlib import Path

import numpy as np

from ...files import read_lines, reading, unusable
from .raw import Raw, tidy_labels

LONGEST = 1 << 26  # characters of a line
EXPECTED = 'lines such as {"text": "...", "label": ...}'


def read(path: Path) -> Raw:
    """Returns the examples of a file. Raises UserError for a line that is no such object, or labels of more than one kind."""
    texts, labels = [], []
    for number, line in enumerate(read_lines(path, LONGEST, EXPECTED), 1):
        if not line.strip():
            continue
        with reading(Path(f"{path}:{number}"), EXPECTED):
            found = json.loads(line)
        if not isinstance(found, dict) or set(found) != {"text", "label"} or not isinstance(found["text"], str):
            raise unusable(path, f"expected {EXPECTED}", line=number)
        texts.append(found["text"])
        labels.append(_label(path, number, found["label"]))
    kinds = {type(label) for label in labels}
    if str in kinds and len(kinds) > 1:
        raise unusable(path, "labels are text in some lines and numbers in others")
    return Raw("lines of text", tidy_labels(np.array(labels)) if labels else np.zeros(0), texts=texts)


def _label(path: Path, number: int, label: object) -> str | int | float:
    if isinstance(label, str) and label:
        return label
    if isinstance(label, bool):
        return int(label)
    if isinstance(label, (int, float)) and abs(label) < 2**53:
        return label
    raise unusable(path, f"label {str(label)[:40]}: expected text or a finite number", line=number)
