"""Where in a clip somebody speaks, by its level alone. Knows no words: music and barking are speech to it, too."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wyoming_qwen3.core.request import FloatArray

HOP_SECONDS = 0.02
"""Length of a block: what is found is on this grid."""


@dataclass(frozen=True, eq=False)
class Activity:
    """Which blocks of `HOP_SECONDS` are speech, gaps of up to 0.2 s within it included; at least one is.

    Levels are mean squares.
    """

    blocks: npt.NDArray[np.bool_]
    level: float
    """Over the blocks that are speech."""

    last_level: float
    """Of the clip's last whole block, whatever is in it."""

    @property
    def seconds(self) -> float:
        """How long somebody speaks."""
        return float(np.count_nonzero(self.blocks) * HOP_SECONDS)

    @property
    def first(self) -> int:
        """The first block that is speech."""
        return int(np.argmax(self.blocks))

    @property
    def end(self) -> int:
        """The block behind the last that is speech."""
        return self.blocks.size - int(np.argmax(self.blocks[::-1]))


def find_speech(samples: FloatArray, sample_rate: int) -> Activity | None:
    """Find the speech in finite mono float32 [samples]; None where all is below -60 dBFS.

    Speech is what is 6 dB above the quietest tenth of the clip, but this limit lies 20 to 40 dB below the loud parts:
    so a noisy room does not pass for speech, nor a clip without pauses for its own noise. The loud parts are the
    blocks within 10 dB of the mean of what is not silent, as in the two gates of ITU-R BS.1770.
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
"""Blocks, 0.2 s: a plosive is not closed for longer, so a longer gap is a pause."""


def _bridged(blocks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The same with short gaps closed."""
    bridged = blocks.copy()
    for before, after in pairwise(np.flatnonzero(blocks)):
        if after - before <= _MAX_GAP + 1:
            bridged[before:after] = True
    return bridged
