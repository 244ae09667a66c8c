"""Reads how loud a stored recording is over its time, for a picture of it."""

from pathlib import Path

import numpy as np
import soundfile

from wyoming_qwen3.core.errors import NotFound, StorageFailed
from wyoming_qwen3.store.files import storing


def read_peaks(path: Path, count: int) -> list[float]:
    """Return the largest amplitude, from 0 to 1, in each of at most `count` equal parts of a FLAC file.

    Takes milliseconds for each minute of audio. Raises NotFound if there is no file, and StorageFailed if it can't be
    read.
    """
    try:
        with storing(), path.open("rb") as opened, soundfile.SoundFile(opened) as file:
            size = max(1, -(-file.frames // count))
            return [round(float(np.abs(block).max()), 3) for block in file.blocks(size, dtype="float32")]
    except StorageFailed as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise NotFound("The audio of this entry is missing on the server's disk.") from error
        raise
    except soundfile.SoundFileError as error:
        raise StorageFailed("The audio of this entry can't be read.") from error
