"""Chooses the part of a long recording from which its voice is cloned. Takes tens of milliseconds for a minute."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wyoming_qwen3.core.request import FloatArray

from .activity import HOP_SECONDS, find_speech

GOOD_SECONDS = 15.0
"""Longest part that is chosen. More speech makes the voice hardly more similar, and each prompt longer."""

PAD_SECONDS = 0.1
"""Kept around the speech for sounds that are too quiet to be found, such as breath or the end of an s."""

_FULL_SCALE = 0.998
_CLIPPED_COST = 20.0
"""Seconds of speech that a second of clipped blocks costs."""

_PAUSE_COST = 0.5
"""Seconds of speech that a second of silence costs."""

_LEVEL_BLOCKS = 50
"""Blocks over which a level is averaged: a second, so that syllables do not count as changes."""

_EVEN_DECIBELS = 3.0
"""Deviation from the level of the recording that costs nothing. Each such step beyond it costs half of the speech."""


@dataclass(frozen=True)
class Excerpt:
    """Where a part starts and ends, in seconds."""

    start: float
    end: float


def best_part(samples: FloatArray, sample_rate: int) -> Excerpt:
    """Return the best part of at most `GOOD_SECONDS`, or of the whole if there is no speech.

    `samples` is finite mono float32 [samples] in [-1, 1]. A part begins and ends in pauses. The best one has the most
    speech, at the level of the recording and without clipping. Speech that does not pause for so long is cut anywhere.
    """
    most = round((GOOD_SECONDS - 2 * PAD_SECONDS) / HOP_SECONDS)
    speech = find_speech(samples, sample_rate)
    if speech is None:
        return Excerpt(0.0, min(GOOD_SECONDS, samples.size / sample_rate))
    starts, ends = _runs(speech.blocks, most)
    scores = np.concatenate([[0.0], np.cumsum(_worth(samples, sample_rate, speech.blocks, speech.level))])
    last = np.searchsorted(ends, starts + most, side="right")  # the runs from each start on that fit
    choices = ((first, end) for first, stop in enumerate(last) for end in range(first, stop))
    first, end = max(choices, key=lambda run: float(scores[ends[run[1]]] - scores[starts[run[0]]]))
    seconds = samples.size / sample_rate
    return Excerpt(
        max(0.0, float(starts[first]) * HOP_SECONDS - PAD_SECONDS),
        min(seconds, float(ends[end]) * HOP_SECONDS + PAD_SECONDS),
    )


def _runs(blocks: npt.NDArray[np.bool_], most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the starts and ends of the runs of speech, in blocks; a run of more than `most` blocks is divided."""
    edges = np.flatnonzero(np.diff(np.pad(blocks, 1).astype(np.int8)))
    pieces = [
        (start, min(start + most, end))
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
        for start in range(begin, end, most)
    ]
    starts, ends = np.array(pieces, np.int64).T
    return starts, ends


def _worth(
    samples: FloatArray, sample_rate: int, blocks: npt.NDArray[np.bool_], level: float
) -> npt.NDArray[np.float64]:
    """Return what each block is worth in seconds of good speech. `level` is the mean square of the speech."""
    hop = round(HOP_SECONDS * sample_rate)
    padded = np.pad(samples, (0, -samples.size % hop)).astype(np.float64).reshape(-1, hop)
    smooth = np.convolve(np.square(padded).mean(axis=1), np.ones(_LEVEL_BLOCKS) / _LEVEL_BLOCKS, mode="same")
    deviation = np.abs(10 * np.log10(np.maximum(smooth, 1e-10) / level))
    clipped = (np.abs(padded) >= _FULL_SCALE).any(axis=1)
    good = 1 - 0.5 * np.maximum(deviation / _EVEN_DECIBELS - 1, 0) - _CLIPPED_COST * clipped
    return HOP_SECONDS * np.where(blocks, good, -_PAUSE_COST)
