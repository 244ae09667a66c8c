"""What tells speech that has gone wrong, and the silence before speech, by codes and samples alone.

Knows no model, row or pipe. The model now and then never ends its speech: it falls silent, or says one sound for ever.
No threshold here was tried on real weights; all are chosen so that speech as people speak never meets them.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray, Sampling

from .wire import Fault

MESSAGES: dict[Fault, str] = {
    "limit": "The speech did not end within the frames that its text can need.",
    "silence": "The speech fell silent without ending.",
    "loop": "The speech got stuck on one sound.",
}

LOOP_FRAMES = 75
"""The first code so often in a row, 6 s, is a loop: a held vowel or a pause within speech is seldom above 2 s."""

SILENT_SECONDS = 4.0
"""Silence so long is no pause. What is to be longer is made by the server itself."""

LEADING_SECONDS = 2.0
"""The same before the first sound, as long as another seed can be tried; 0.3 to 0.8 s are usual."""

KEPT_SECONDS = 0.1
"""Silence that is left before the first sound, where there was more."""

_BLOCK = SAMPLE_RATE // 50
"""Samples that are judged together, 20 ms."""

_SILENCE = 1e-6
"""Mean square below which a block is silent, -60 dBFS; or else -40 dB against the loudest."""

_SILENT_SHARE = 1e-4


class Ear:
    """Hears one piece of speech as it is made, and lets it pass but for all of its leading silence above 0.1 s.

    Silence is held back only until there is a sound, so that none waits for another. With `whole` everything is held
    back until `rest`, for who has no use for half of it.
    """

    def __init__(self, *, whole: bool = False, leading: float = SILENT_SECONDS) -> None:
        """Before its first sound it is `mute` after `leading` seconds."""
        self._whole = whole
        self._leading = leading
        self._held: list[FloatArray] = []
        self._loudest = 0.0
        self._quiet = 0
        """Silent blocks at the end of what was heard."""

        self.begun = False
        """Whether there was a sound."""

        self.passed = False
        """Whether anything was let pass."""

    @property
    def mute(self) -> bool:
        """Whether it has been silent for longer than speech is."""
        return self._quiet * _BLOCK / SAMPLE_RATE > (SILENT_SECONDS if self.begun else self._leading)

    def hear(self, samples: FloatArray) -> FloatArray:
        """What may be sent, now that these float32 samples [n], whole blocks of 20 ms, are there too."""
        powers = np.square(samples.reshape(-1, _BLOCK)).mean(axis=1)
        self._loudest = max(self._loudest, float(powers.max(initial=0.0)))
        sounding = np.flatnonzero(~(powers < max(_SILENCE, self._loudest * _SILENT_SHARE)))  # what is no number sounds
        if not sounding.size:
            self._quiet += powers.size
            return self._pass(samples) if self.begun else self._hold(samples)
        if not self.begun:
            silence = sum(held.size for held in self._held) + int(sounding[0]) * _BLOCK
            samples = np.concatenate([*self._held, samples])[max(0, silence - round(KEPT_SECONDS * SAMPLE_RATE)) :]
            self._held, self.begun = [], True
        self._quiet = powers.size - 1 - int(sounding[-1])
        return self._pass(samples)

    def rest(self) -> FloatArray:
        """What is still held back, at the end."""
        return self._release(*self._held)

    def _pass(self, samples: FloatArray) -> FloatArray:
        return self._hold(samples) if self._whole else self._release(samples)

    def _hold(self, samples: FloatArray) -> FloatArray:
        self._held.append(samples)
        return samples[:0]

    def _release(self, *samples: FloatArray) -> FloatArray:
        released = np.concatenate([np.zeros(0, np.float32), *samples])
        self.passed = self.passed or released.size > 0
        self._held = []
        return released


def find_fault(ending: Literal["eos", "limit", "error"] | None, repeated: int, ear: Ear) -> Fault | None:
    """What is wrong with speech, if anything: by its end, how often its last first code was repeated, and its sound."""
    if ending == "limit":
        return "limit"
    if ear.mute or (ending == "eos" and not ear.begun):
        return "silence"
    return "loop" if repeated > LOOP_FRAMES and ending is None else None


def another_try(sampling: Sampling, *, greedy: bool) -> Sampling | None:
    """The same with another seed, always the same one; None where another seed can't change anything.

    That is where nothing is drawn, and where the request itself has set how many frames there may be.
    """
    if greedy or sampling.max_frames is not None:
        return None
    return replace(sampling, seed=None if sampling.seed is None else (sampling.seed + 1) % 2**63)
