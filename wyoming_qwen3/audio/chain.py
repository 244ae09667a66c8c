"""Applies effects to speech while it is still being generated. `core/effects.py` lists the effects.

Each effect uses the implementation that measures best in tests/audio/test_chain.py. pedalboard's limiter amplifies
quiet parts and lets loud peaks through, and its pitch shift returns silence when it is fed in chunks
(https://github.com/spotify/pedalboard/issues/415), so both of these use libav's filters.
"""

import math
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from wyoming_qwen3.core.effects import Effect
from wyoming_qwen3.core.errors import NotSupported, SpeechError
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

from .blocks import BLOCK, Blocks
from .libav import NOTHING, Filters, Resampler
from .stretch import Stretcher


def check_installed(effects: Iterable[Effect]) -> None:
    """Raise NotSupported if an effect needs a package that is not installed. Nothing is imported."""
    for effect in effects:
        if (package := _PACKAGES.get(effect.type)) and not find_spec(package):
            raise NotSupported(_MISSING, param="effects")


class Chain:
    """Applies effects one after another to mono float32 [samples] at `SAMPLE_RATE`, fed in any split.

    The output depends on the samples only, not on how they were split. It is as long as the input, with these
    exceptions: `speed` ends within 25 ms of the expected length; `pitch` may take up to 45 ms longer if there is sound
    at the very end; `reverb` goes on until it is 60 dB below its peak. Sound keeps its position in time: within 10 ms
    for a voice with `pitch` or `speed`, exactly for the other effects.

    Between effects the samples may exceed full scale. A look-ahead limiter keeps the output within [-1, 1], and changes
    nothing that is not too loud. So a `loudness` that would clip keeps its gain but loses its peaks, and ends up too
    quiet: by about 3 dB at -8 LUFS. Without clipping it is met within 0.1 dB. An empty chain returns its input at once.

    Raises NotSupported if an effect's package is not installed. Construct it in a thread, because imports may take a
    second.
    """

    def __init__(self, effects: Sequence[Effect]) -> None:
        try:
            self._stages = [_stage(effect) for effect in effects]
        except ImportError as error:
            raise NotSupported(_MISSING, param="effects") from error
        if self._stages:
            self._stages.append(_limiter(0, 50))
        self._blocks = Blocks()

    def feed(self, samples: FloatArray) -> FloatArray:
        """Add float32 [samples], and return the samples that are ready, perhaps none."""
        if not self._stages:
            return samples
        return np.concatenate([NOTHING, *map(self._push, self._blocks.take(samples))])

    def finish(self) -> FloatArray:
        """Return the rest, including what rings on. Nothing may be fed afterwards."""
        rest = self._blocks.rest
        for stage in self._stages:
            rest = np.concatenate([stage.feed(rest), stage.finish()])
        return rest

    def _push(self, samples: FloatArray) -> FloatArray:
        for stage in self._stages:
            samples = stage.feed(samples)
        return samples


_PACKAGES = {"reverb": "pedalboard", "loudness": "pyloudnorm"}

_MISSING = "The effects reverb and loudness need the extra `effects`: pip install 'wyoming-qwen3[effects]'."


class _Stage(Protocol):
    """One effect. `feed` and `finish` are as in Chain."""

    def feed(self, samples: FloatArray) -> FloatArray: ...

    def finish(self) -> FloatArray: ...


def _stage(effect: Effect) -> _Stage:
    """Return a new stage. The effect's values are in the order of the table of effects."""
    match effect.type, effect.values:
        case "pitch", (semitones,):
            return _Pitch(semitones)
        case "speed", (factor,):
            return Stretcher(factor)
        case "reverb", (room_size, damping, wet, dry):
            return _Reverb(room_size, damping, wet, dry)
        case "low_shelf" | "high_shelf", (gain_db, frequency):
            return _shelf(effect.type.replace("_", ""), gain_db, frequency)
        case "gain", (gain_db,):
            return _Gain(gain_db)
        case "loudness", (target,):
            return _Loudness(target)
        case "limiter", (threshold_db, release_ms):
            return _limiter(threshold_db, release_ms)
    raise SpeechError(f"The effect {effect.type} is not implemented.")


class _Pitch:
    """Shifts the pitch: stretches time with WSOLA, which suits voices, then resamples to the original length.

    Formants move with the pitch.
    """

    def __init__(self, semitones: float) -> None:
        rate = round(SAMPLE_RATE * 2 ** (semitones / 12))
        self._stretcher = Stretcher(SAMPLE_RATE / rate)
        self._resampler = Resampler(rate, SAMPLE_RATE)
        self._due = 0
        self._peak = 0.0

    def feed(self, samples: FloatArray) -> FloatArray:
        self._peak = max(self._peak, _height(samples))
        out = self._resampler.feed(self._stretcher.feed(samples))
        self._due += samples.size - out.size
        return out

    def finish(self) -> FloatArray:
        rest = np.concatenate([self._resampler.feed(self._stretcher.finish()), self._resampler.finish()])
        return _until_quiet(np.pad(rest, (0, max(0, self._due - rest.size))), self._due, self._peak)


class _Reverb:
    """pedalboard's Freeverb. It loses its state if a block has another size than the one before."""

    def __init__(self, room_size: float, damping: float, wet: float, dry: float) -> None:
        import pedalboard  # noqa: PLC0415  optional, and slow to import

        # A dry level of 1 is 6 dB too loud; a wet level of 1 is about as loud as the voice.
        self._plugin = pedalboard.Reverb(
            room_size=room_size, damping=damping, wet_level=wet, dry_level=dry / 2, width=1.0, freeze_mode=0.0
        )
        self._blocks = Blocks()
        self._peak = 0.0

    def feed(self, samples: FloatArray) -> FloatArray:
        return np.concatenate([NOTHING, *map(self._process, self._blocks.take(samples))])

    def finish(self) -> FloatArray:
        due = self._blocks.rest.size
        tail = [self.feed(np.zeros(-due % BLOCK, np.float32))]
        for _ in range(_MAX_TAIL // _ECHO):
            tail.append(self.feed(np.zeros(_ECHO, np.float32)))
            if _height(tail[-1]) <= self._peak * _QUIET:
                break
        return _until_quiet(np.concatenate(tail), due, self._peak)

    def _process(self, block: FloatArray) -> FloatArray:
        out: FloatArray = self._plugin.process(block, SAMPLE_RATE, reset=False)
        self._peak = max(self._peak, _height(out))
        return out


_ECHO = 5 * BLOCK
"""0.1 s: longer than the sum of Freeverb's delays, so that silence of this length is the end."""

_MAX_TAIL = 15 * SAMPLE_RATE
"""Samples; the largest room without damping takes 12.5 s to decay by 60 dB."""


_QUIET = 0.001
"""-60 dB."""


def _until_quiet(rest: FloatArray, due: int, peak: float) -> FloatArray:
    """Return the first `due` samples and, of the rest, what is audible relative to `peak`."""
    heard = np.flatnonzero(np.abs(rest) > peak * _QUIET)
    return rest[: max(due, heard[-1] + 1 if heard.size else 0)]


def _height(samples: FloatArray) -> float:
    return float(np.abs(samples).max(initial=0))


class _Gain:
    def __init__(self, gain_db: float) -> None:
        self._factor = np.float32(_ratio(gain_db))

    def feed(self, samples: FloatArray) -> FloatArray:
        return samples * self._factor

    def finish(self) -> FloatArray:
        return NOTHING


class _Loudness:
    """Sets the integrated loudness by ITU-R BS.1770-4. Audio shorter than 0.4 s is measured as one block."""

    def __init__(self, target: float) -> None:
        import pyloudnorm  # noqa: PLC0415  optional, and slow to import

        self._meter = pyloudnorm.Meter(SAMPLE_RATE)
        self._target = target
        self._parts = [NOTHING]

    def feed(self, samples: FloatArray) -> FloatArray:
        self._parts.append(samples)
        return NOTHING

    def finish(self) -> FloatArray:
        samples = np.concatenate(self._parts)
        if not samples.any():
            return samples
        self._meter.block_size = min(0.4, (samples.size - 0.5) / SAMPLE_RATE)  # it needs more than a block
        loudness = self._meter.integrated_loudness(samples.astype(np.float64))
        if not math.isfinite(loudness):  # everything is below the gate of -70 LUFS
            return samples
        return samples * np.float32(_ratio(self._target - loudness))


def _shelf(name: str, gain_db: float, frequency: float) -> Filters:
    """Return a shelf of second order, with the steepest slope that does not overshoot."""
    arguments = f"gain={gain_db}:frequency={frequency}:width_type=q:width={math.sqrt(0.5)}:precision=f64"
    return Filters((name, arguments), double=True)


def _limiter(threshold_db: float, release_ms: float) -> Filters:
    """Return a limiter that reduces the gain in the 5 ms before a peak.

    The threshold is scaled to full scale and back, because `alimiter` has no threshold below -24 dB.
    """
    level = _ratio(threshold_db)
    return Filters(
        ("volume", f"volume={1 / level!r}:precision=double"),
        ("alimiter", f"limit=1:attack=5:release={release_ms}:level=0:latency=1"),
        ("volume", f"volume={level!r}:precision=double"),
        double=True,
    )


def _ratio(decibels: float) -> float:
    return float(10 ** (decibels / 20))
