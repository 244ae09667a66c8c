"""Confines an error to the row that caused it: tells errors of one row from errors that concern all rows.

Knows neither rows nor what is computed for them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch

from .out_of_memory import ran_out

DEVICE_LOST: tuple[type[Exception], ...] = (torch.AcceleratorError,)
"""Errors after which the device can't be used any more, so that the process must end."""

_Key = TypeVar("_Key")
_Made = TypeVar("_Made")


def concerns_all(error: Exception) -> bool:
    """Return whether an error concerns all rows: the device is lost, or memory has run out."""
    return isinstance(error, DEVICE_LOST) or ran_out(error)


def attempt(action: Callable[[], _Made]) -> _Made | Exception:
    """Return the result of an action for one row, or its error. Raises errors that concern all rows."""
    try:
        return action()
    except Exception as error:
        if concerns_all(error):
            raise
        return error


def together_or_alone(
    action: Callable[[Sequence[_Key]], Mapping[_Key, _Made]], keys: Sequence[_Key]
) -> dict[_Key, _Made | Exception]:
    """Run an action for several rows in one batch; if that fails, for each row alone. Return results or errors by row.

    This attributes the error to the row that causes it. An action that raises must leave its rows unchanged. Raises
    errors that concern all rows.
    """
    made = attempt(lambda: action(keys))
    if not isinstance(made, Exception):
        return dict(made)
    if len(keys) == 1:
        return {keys[0]: made}
    return {key: each for one in keys for key, each in together_or_alone(action, [one]).items()}
