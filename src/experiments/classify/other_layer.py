"""`model=s5` or `model/layer=s5` on an experiment that is written for another layer: which of the experiment's layer keys stay.

A key stays where the chosen layer has it too (`d_state`, `bidirectional`, `dt_min`, ...), and goes where it is another layer's
(`init` of S4 on S5), as if the experiment had never named it. Between families two keys have one name and two meanings: they go too.
What a word of the command line says always stays, and is refused if the layer does not have it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...config import load_yaml
from ...config.words import key_of

_OF_A_FAMILY = ("lr", "activation")  # S4: rates of dt, A, B, C and a function; S5: one rate and a gate


def foreign_keys(layer: dict[str, Any], folder: Path, chosen: str, instead_of: str, words: Sequence[str]) -> set[str]:
    """Returns which keys of a composed `model.layer` are what the experiment says about another layer.

    Args:
        layer: with interpolations as they stand.
        folder: `configs/model/layer`.
        chosen, instead_of: files in it: the layer that the words choose, and the experiment's own.
        words: of the command line.
    """
    if chosen == instead_of:
        return set()
    own, other = _chain(folder, chosen), _chain(folder, instead_of)
    values = {key: value for content in reversed(own.values()) for key, value in content.items()}
    foreign = _all_keys(folder) - set(values)
    if list(own)[-1] != list(other)[-1]:
        foreign |= {key for key in _OF_A_FAMILY if layer.get(key) != values.get(key)}  # else the chosen file says it
    return foreign - {key_of(word).removeprefix("model.layer.") for word in words}


def _chain(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """A layer's file and those that it builds on, the family's first file last: what each says."""
    content = load_yaml(folder / f"{name}.yaml", resolve=False)
    bases = content.pop("defaults", [])
    found = {name: content}
    for base in bases:
        found |= _chain(folder, base.removeprefix("/model/layer/").removesuffix("@_here_"))
    return found


def _all_keys(folder: Path) -> set[str]:
    return {key for file in folder.glob("*.yaml") for key in load_yaml(file, resolve=False)}
