"""One row's error costs that row: which errors are a row's own, and whose they are where rows are computed together.

Knows neither rows nor what is computed of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch

from .out_of_memory import ran_out

DEVICE_LOST: tuple[type[Exception], ...] = (torch.AcceleratorError,)
"""The device's state is lost, and with it the process."""

_Key = TypeVar("_Key")
_Made = TypeVar("_Made")


def concerns_all(error: Exception) -> bool:
    """Whether an error is no single row's: the device is lost, or memory has run out."""
    return isinstance(error, DEVICE_LOST) or ran_out(error)


def attempt(action: Callable[[], _Made]) -> _Made | Exception:
    """What an action for one row gives, or its error. Raises errors that concern all."""
    try:
        return action()
    except Exception as error:
        if concerns_all(error):
            raise
        return error


def together_or_alone(
    action: Callable[[Sequence[_Key]], Mapping[_Key, _Made]], keys: Sequence[_Key]
) -> dict[_Key, _Made | Exception]:
    """What an action gives for each of some rows; where it fails for all together, what it gives for each alone.

    So the error is told of the row that has it. An action that raises must have left its rows as they were. Raises
    errors that concern all.
    """
    made = attempt(lambda: action(keys))
    if not isinstance(made, Exception):
        return dict(made)
    if len(keys) == 1:
        return {keys[0]: made}
    return {key: each for one in keys for key, each in together_or_alone(action, [one]).items()}
