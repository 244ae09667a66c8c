"""Finds speech in a clip by level alone, so that music or barking counts as speech."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wyoming_qwen3.core.request import FloatArray

HOP_SECONDS = 0.02
"""Length of a block. Speech starts and ends at the edges of blocks."""


@dataclass(frozen=True, eq=False)
class Activity:
    """The blocks of `HOP_SECONDS` that are speech, bool [blocks]; at least one is. Gaps of up to 0.2 s count as speech.

    Levels are mean squares.
    """

    blocks: npt.NDArray[np.bool_]
    level: float
    """Level of the blocks that are speech."""

    last_level: float
    """Level of the last complete block, whether it is speech or not."""

    @property
    def seconds(self) -> float:
        """Total length of the speech in seconds."""
        return float(np.count_nonzero(self.blocks) * HOP_SECONDS)

    @property
    def first(self) -> int:
        """Index of the first block of speech."""
        return int(np.argmax(self.blocks))

    @property
    def end(self) -> int:
        """Index of the block after the last block of speech."""
        return self.blocks.size - int(np.argmax(self.blocks[::-1]))


def find_speech(samples: FloatArray, sample_rate: int) -> Activity | None:
    """Find the speech in finite mono float32 [samples]. Return None if everything is below -60 dBFS.

    Speech is whatever is 6 dB above the quietest tenth of the clip, but the threshold stays 20 to 40 dB below the loud
    parts. So the noise of a room is not speech, and speech without pauses is not taken for noise. The loud parts are
    the blocks within 10 dB of the mean of all blocks that are not silent, as in the two gates of ITU-R BS.1770.
    """
    hop = round(HOP_SECONDS * sample_rate)
    padded = np.pad(samples, (0, -samples.size % hop)).astype(np.float64)
    powers = np.square(padded).reshape(-1, hop).mean(axis=1)
    heard = powers[powers > _SILENCE]
    if not heard.size:
        return None
    loud = heard[heard > heard.mean() / 10].mean()
    room = np.quantile(powers, 0.1)
    threshold = max(_SILENCE, np.clip(4 * room, loud / 10_000, loud / 100))
    blocks = _bridged(powers > threshold)
    return Activity(blocks, float(powers[blocks].mean()), float(powers[samples.size // hop - 1]))


_SILENCE = 1e-6
"""-60 dBFS."""

_MAX_GAP = 10
"""Blocks; 0.2 s. The closure of a plosive is not longer, so a longer gap is a pause."""


def _bridged(blocks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the blocks with short gaps filled."""
    bridged = blocks.copy()
    for before, after in pairwise(np.flatnonzero(blocks)):
        if after - before <= _MAX_GAP + 1:
            bridged[before:after] = True
    return bridged
