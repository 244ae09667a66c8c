"""Checks clips of a voice to clone, and combines several into one reference.

Each clip takes tens of milliseconds, so this must not run on an event loop. Knows samples and their text, but not the
engine, nor where clips are stored. Speech is not recognized: only the length of the text is compared with the clip.
"""

import statistics
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray, Reference
from wyoming_qwen3.core.speech_length import seconds_by_person

from .activity import HOP_SECONDS, Activity, find_speech
from .decode import read_clip, resample
from .excerpt import PAD_SECONDS, Excerpt, best_part
from .pcm import silence

MIN_SECONDS = 1.0
MAX_SECONDS = 30.0
"""Seconds of a clip that are cloned at most; a longer recording is cut."""

RECORDING_SECONDS = 300.0
"""Maximum length in seconds of a recording that is cut."""

GOOD_SECONDS = 3.0
"""Seconds of speech from which a clip needs no warning."""


@dataclass(frozen=True)
class ClipFinding:
    """A problem that makes a clip useless (an error) or worse than it could be (a warning).

    `code` is stable. `message` is one sentence for a person, with what was measured and what is good.
    """

    severity: Literal["error", "warning"]
    code: str
    message: str


def check(samples: FloatArray, sample_rate: int, text: str | None) -> tuple[ClipFinding, ...]:
    """Return the problems of a clip, errors first.

    `samples` is finite mono float32 [samples] in [-1, 1]. `text` is what is said; None to clone the timbre alone.
    Errors are `too_short`, `too_long`, `silent`, `text_empty`, `text_too_short` and `text_too_long`; warnings are
    `short`, `quiet`, `clipped`, `silence_at_ends`, `mostly_pauses`, `cut_off`, `text_short` and `text_long`. Levels are
    root mean squares of the speech, in dBFS.
    """
    seconds = samples.size / sample_rate
    if seconds < MIN_SECONDS:
        return (_error("too_short", f"The clip has {seconds:.1f} s, but at least {MIN_SECONDS:g} s is needed."),)
    if seconds > MAX_SECONDS:
        return (_error("too_long", f"The clip has {seconds:.1f} s, but at most {MAX_SECONDS:g} s is accepted."),)
    speech = find_speech(samples, sample_rate)
    if speech is None or speech.level < _SILENT:
        level = _decibels(speech.level if speech else float(np.square(samples).mean()))
        return (_error("silent", f"The clip is silent ({level:.0f} dBFS); -30 to -15 dBFS is good for speech."),)
    findings = [
        *_check_sound(samples, speech),
        *_check_silence(seconds, speech),
        *(_check_text(text, speech.seconds) if text is not None else ()),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity))


def require_usable(findings: Sequence[ClipFinding], param: str) -> None:
    """Raise InvalidRequest for the first error among the findings. `param` is the field of the request."""
    for finding in findings:
        if finding.severity == "error":
            raise InvalidRequest(f"{param}: {finding.message}", param=param)


@dataclass(frozen=True, eq=False)
class Trial:
    """What a recording gives: the clip to clone, the part that it is of a longer recording, and its problems."""

    samples: FloatArray
    text: str | None
    part: Excerpt | None
    findings: tuple[ClipFinding, ...]


def try_recording(samples: FloatArray, sample_rate: int, text: str | None) -> Trial:
    """Cut a recording of more than `MAX_SECONDS` to its best part, and check the clip as `check` does.

    Further warnings are `cut`, and `timbre` if `text` is that of the whole recording: then the part has none.
    """
    if samples.size <= MAX_SECONDS * sample_rate:
        return Trial(samples, text, None, check(samples, sample_rate, text))
    part = best_part(samples, sample_rate)
    clip = samples[round(part.start * sample_rate) : round(part.end * sample_rate)]
    said = f"{part.start:.1f} to {part.end:.1f} s of its {samples.size / sample_rate:.1f} s are used"
    told = [_warning("cut", f"The recording is longer than {MAX_SECONDS:g} s: {said}.")]
    findings = check(clip, sample_rate, text)
    if text is not None and any(finding.code in ("text_too_long", "text_long") for finding in findings):
        text, findings = None, check(clip, sample_rate, None)
        told.append(_warning("timbre", "The text is longer than this part, so only the timbre is cloned."))
    return Trial(clip, text, part, (*findings, *told))


MAX_RATE = 48_000
"""Maximum sample rate of a stored clip in Hz. The model uses 24,000, and 16 clips of 30 seconds fit into an archive."""


def read_recording(
    data: bytes, text: str | None, param: str, *, timbre: bool = False
) -> tuple[Reference, tuple[ClipFinding, ...]]:
    """Return the clip in a file, at `MAX_RATE` or less, and the warnings of `try_recording`.

    All clips to clone that come from clients are read by this. `text` is what is said in it; without one only the
    timbre is cloned, which is a warning, too, unless `timbre` is asked for. `param` is the field of the request, and
    starts the message of an error. Raises TooLarge if the recording is longer than `RECORDING_SECONDS`, and
    InvalidRequest if it can't be read or there is an error among the findings.
    """
    clip = read_clip(data, max_seconds=RECORDING_SECONDS, param=param)
    rate = min(clip.sample_rate, MAX_RATE)
    tried = try_recording(resample(clip.samples, clip.sample_rate, rate), rate, None if timbre else text)
    require_usable(tried.findings, param)
    findings = tried.findings
    if not (timbre or text):
        told = _warning("timbre", "Without ref_text, the text spoken in the clip, only its timbre is cloned.")
        findings = (told, *findings)
    return Reference(tried.samples, rate, tried.text), findings


@dataclass(frozen=True, eq=False)
class Combined:
    """A reference made of clips. `used` has the indexes of those that fit into it."""

    reference: Reference
    used: tuple[int, ...]


def combine(clips: Sequence[Reference]) -> Combined:
    """Combine one or more clips of a voice, in order, into one reference at `SAMPLE_RATE`.

    Silence around each clip is removed, and there is a short pause between two. Several clips are scaled to the same
    level: their median, or less if a peak would exceed full scale. A single clip keeps its level. Clips that would make
    the reference longer than `MAX_SECONDS` are left out together with their texts. If all used clips have a text, half
    a second of silence follows, so that the last sound does not continue in the speech; if one has no text, only the
    timbre can be cloned.

    Raises InvalidRequest if there are no clips or one is silent, and TooLarge if all are too long.
    """
    if not clips:
        raise InvalidRequest("A voice needs at least one clip.")
    trimmed = [_trimmed(clip) for clip in clips]
    used = _fitting([clip.samples.size for clip in trimmed])
    if not used:
        raise TooLarge(f"A clip has more than {MAX_SECONDS:g} s of speech.")
    pause = silence(_PAUSE_SECONDS, SAMPLE_RATE)
    parts = [part for clip in _matched([trimmed[number] for number in used]) for part in (pause, clip)][1:]
    text = _joined([clips[number].text for number in used])
    if text is not None:
        parts.append(silence(_RUN_OUT_SECONDS, SAMPLE_RATE))
    return Combined(Reference(np.concatenate(parts), SAMPLE_RATE, text), used)


# The checks of a clip.

_SILENT = 1e-5
"""-50 dBFS. Levels here are mean squares."""

_QUIET = 10**-3.5
"""-35 dBFS: 9 dB below the usual level of recorded speech, -26 dBov as measured by ITU-T P.56."""

_CLIPPED_RUN = 3
_CLIPPED_SHARE = 0.001
_CUT_OFF = 10**-1.5
"""15 dB below the speech. Speech that was not cut off is quieter at its end."""

_LONG_SILENCE = 1.0
_MIN_SHARE = 0.5


def _decibels(power: float) -> float:
    return float(10 * np.log10(max(power, 1e-10)))


def _error(code: str, message: str) -> ClipFinding:
    return ClipFinding("error", code, message)


def _warning(code: str, message: str) -> ClipFinding:
    return ClipFinding("warning", code, message)


def _check_sound(samples: FloatArray, speech: Activity) -> list[ClipFinding]:
    findings = []
    if speech.level < _QUIET:
        message = f"The speech is quiet ({_decibels(speech.level):.0f} dBFS); -30 to -15 dBFS is good."
        findings.append(_warning("quiet", message))
    share = _clipped(samples) / samples.size
    if share > _CLIPPED_SHARE:
        message = f"{share:.1%} of the clip is clipped at full scale; record it at a lower level."
        findings.append(_warning("clipped", message))
    return findings


def _clipped(samples: FloatArray) -> int:
    """Return the number of samples at full scale in runs of `_CLIPPED_RUN` or more. A shorter peak is not clipped."""
    full = np.pad(np.abs(samples) >= 0.998, 1).astype(np.int8)
    edges = np.flatnonzero(np.diff(full))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= _CLIPPED_RUN].sum())


def _check_silence(seconds: float, speech: Activity) -> list[ClipFinding]:
    findings = []
    if speech.seconds < GOOD_SECONDS:
        message = f"The clip has {speech.seconds:.1f} s of speech; {GOOD_SECONDS:g} s or more is better."
        findings.append(_warning("short", message))
    before, after = speech.first * HOP_SECONDS, max(0.0, seconds - speech.end * HOP_SECONDS)
    if max(before, after) > _LONG_SILENCE:
        message = (
            f"The clip has {before:.1f} s of silence before the speech and {after:.1f} s after it, which is cut off; "
            f"up to {_LONG_SILENCE:g} s is good."
        )
        findings.append(_warning("silence_at_ends", message))
    share = speech.seconds / ((speech.end - speech.first) * HOP_SECONDS)
    if share < _MIN_SHARE:
        message = f"Only {share:.0%} of the time from first to last word is speech; {_MIN_SHARE:.0%} or more is good."
        findings.append(_warning("mostly_pauses", message))
    if speech.last_level > speech.level * _CUT_OFF:
        message = (
            f"The clip ends in the middle of a sound ({_decibels(speech.last_level):.0f} dBFS); one that ends with a "
            "little silence is better."
        )
        findings.append(_warning("cut_off", message))
    return findings


_FAR_OFF = 1.5
"""Factor beyond the usual range from which a text can't be what is said. With such a text, speech may not end."""


def _check_text(text: str, seconds: float) -> list[ClipFinding]:
    """Check whether a text can be what is said in `seconds` of speech."""
    lengths = seconds_by_person(text)
    if lengths is None:
        return [_error("text_empty", "The text has no letters; write what the clip says, or leave the text out.")]
    shortest, longest = lengths
    said = f"takes {shortest:.1f} to {longest:.1f} s to say, but the clip has {seconds:.1f} s of speech"
    if seconds > longest:
        make, code = (_error, "text_too_short") if seconds > longest * _FAR_OFF else (_warning, "text_short")
        return [make(code, f"The text {said}; write all that the clip says.")]
    if seconds < shortest:
        make, code = (_error, "text_too_long") if seconds < shortest / _FAR_OFF else (_warning, "text_long")
        return [make(code, f"The text {said}; write only what the clip says.")]
    return []


# How clips are combined.

_PAUSE_SECONDS = 0.2
"""With what is kept around the speech, the pause is about 0.3 s."""

_RUN_OUT_SECONDS = 0.5
_EDGE_SECONDS = 0.005
"""Length of the fades at both ends, so that a clip that is cut in the middle of a sound does not click."""


@dataclass(frozen=True, eq=False)
class _Trimmed:
    """A clip at `SAMPLE_RATE`. `level` is the mean square of its speech."""

    samples: FloatArray
    level: float


def _trimmed(clip: Reference) -> _Trimmed:
    """Return the clip at `SAMPLE_RATE` without the silence around it. Raises InvalidRequest if it is all silent."""
    samples = resample(clip.samples, clip.sample_rate, SAMPLE_RATE)
    speech = find_speech(samples, SAMPLE_RATE)
    if speech is None:
        raise InvalidRequest("A clip is silent; a voice can only be cloned from speech.")
    hop, pad = round(HOP_SECONDS * SAMPLE_RATE), round(PAD_SECONDS * SAMPLE_RATE)
    kept = samples[max(0, speech.first * hop - pad) : speech.end * hop + pad].copy()
    edge = np.linspace(0.0, 1.0, round(_EDGE_SECONDS * SAMPLE_RATE), dtype=np.float32)[: kept.size]
    kept[: edge.size] *= edge
    kept[kept.size - edge.size :] *= edge[::-1]
    return _Trimmed(kept, speech.level)


def _fitting(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the indexes of the clips that fit, taken in order. `sizes` are in samples."""
    used: list[int] = []
    room = round(MAX_SECONDS * SAMPLE_RATE)
    for number, size in enumerate(sizes):
        needed = size + (round(_PAUSE_SECONDS * SAMPLE_RATE) if used else 0)
        if needed <= room:
            used.append(number)
            room -= needed
    return tuple(used)


def _matched(clips: Sequence[_Trimmed]) -> list[FloatArray]:
    """Return all clips at the same level, without exceeding full scale. A single clip is not changed."""
    level = statistics.median(clip.level for clip in clips)
    gains = [(level / clip.level) ** 0.5 for clip in clips]
    peak = max(gain * float(np.abs(clip.samples).max()) for gain, clip in zip(gains, clips, strict=True))
    return [clip.samples * np.float32(gain / max(peak, 1.0)) for gain, clip in zip(gains, clips, strict=True)]


def _joined(texts: Sequence[str | None]) -> str | None:
    """Join the texts, with spaces if their script has spaces. Return None if one is missing."""
    joined = ""
    for text in texts:
        if not text or not text.strip():
            return None
        blank = " " if joined and not (_unspaced(joined[-1]) and _unspaced(text.strip()[0])) else ""
        joined += blank + text.strip()
    return joined


def _unspaced(character: str) -> bool:
    """Return whether a character is Chinese or Japanese, including punctuation. Korean has spaces."""
    return unicodedata.east_asian_width(character) in {"W", "F"} and not unicodedata.name(character, "").startswith(
        "HANGUL"
    )
