"""`limit_train_batches` and `limit_val_batches`: a share of the batches (a float) or a number of them (an int)."""

from src.errors import UserError


def limited(n_batches: int, limit: float | int) -> int:
    """Returns how many of `n_batches` are used, at least 1 unless there is none.

    Raises:
        UserError: a share outside (0, 1], or a number below 1.
    """
    if isinstance(limit, bool) or not limit > 0 or (isinstance(limit, float) and limit > 1):
        raise UserError(f"a limit of batches is a share in (0, 1] or a whole number of at least 1, got {limit!r}")
    if isinstance(limit, int):
        return min(n_batches, limit)
    return min(n_batches, max(1, int(n_batches * limit)))
