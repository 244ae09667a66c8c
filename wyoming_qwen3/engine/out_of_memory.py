"""Memory that has run out: how that is told from other faults, and how what was freed is given back."""

import ctypes
import errno
import gc
import logging
import traceback

import torch

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
"""Torch has a class for a GPU's memory alone; a CPU's, and what its libraries raise, is told by the words.

oneDNN's are the primitive's: it has no others for memory, and its primitives were all created before, in warming up.
"""


def ran_out(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is that memory ran out."""
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
    """Free what was being computed when an error came, which its traceback holds."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def give_back(device: str) -> None:
    """Give back what was freed, which torch and the C library keep otherwise."""
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        _LOGGER.debug("This C library can't give memory back")
