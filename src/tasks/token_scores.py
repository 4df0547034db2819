"""What a model's answers to a token task are worth."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the scored steps. logits: (B, L, V); targets: (B, L)."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


class Accuracies(NamedTuple):
    """Shares of right answers among the scored steps, each a scalar tensor."""

    token: Tensor
    sequence: Tensor  # all of them right
    first: Tensor
    last: Tensor


def accuracies(logits: Tensor, targets: Tensor) -> Accuracies:
    """logits: (B, L, V); targets: (B, L), scored at the same steps in every sequence."""
    scored = (targets[0] != -100).nonzero()[:, 0]
    right = logits[:, scored].argmax(-1) == targets[:, scored]
    share = lambda hits: hits.float().mean()
    return Accuracies(share(right), share(right.all(1)), share(right[:, 0]), share(right[:, -1]))
