"""Cuts samples that come in any split into blocks of one size, so that what is made of them does not depend on it."""

import numpy as np

from wyoming_qwen3.core.request import FloatArray

BLOCK = 480
"""Samples; 20 ms at 24 kHz. A frame of speech is a whole number of blocks."""


class Blocks:
    """Holds back samples until they fill a block. `rest`, float32 [samples], is what it holds."""

    def __init__(self) -> None:
        self.rest: FloatArray = np.empty(0, np.float32)

    def take(self, samples: FloatArray) -> FloatArray:
        """Add float32 [samples] and return the complete blocks, [blocks, BLOCK], perhaps none."""
        held = np.concatenate([self.rest, samples])
        whole = held.size - held.size % BLOCK
        self.rest = held[whole:]
        return held[:whole].reshape(-1, BLOCK)
