"""Tells errors of memory that ran out from other errors, and returns freed memory to the system."""

import ctypes
import errno
import gc
import logging
import traceback

import torch

from .devices import release

_LOGGER = logging.getLogger(__name__)

_SIGNS = (
    "out of memory",
    "allocate memory",
    "not enough memory",
    "bad_alloc",
    "alloc_failed",
    "os error 12",
    "could not create a primitive",
    "can't start new thread",
)
"""Words in messages that mean that memory ran out: torch has an exception class only for a GPU's memory.

"could not create a primitive" is oneDNN's. It has no other message for memory, and all its primitives were already
created when warming up.
"""


def ran_out(error: BaseException | None) -> bool:
    """Return whether an error, or one that led to it, means that memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if isinstance(error, RuntimeError | OSError) and any(sign in str(error).lower() for sign in _SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False


def let_go(error: BaseException | None) -> None:
    """Free the local variables that an error's traceback keeps alive, and those of the errors that led to it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def give_back(device: str) -> None:
    """Return freed memory to the system, which torch and the C library would otherwise keep."""
    gc.collect()
    release(device)
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        _LOGGER.debug("This C library can't give memory back")
