"""Rows of the engine: those that speak a text and those that decode codes, and what becomes of them after a step.

Knows what a row holds and when its audio may be sent; does NOT know which checkpoints are loaded, or who steps it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from wyoming_qwen3.core.cpu_speed import Quantize
from wyoming_qwen3.core.errors import RunawaySpeech
from wyoming_qwen3.core.request import ClonePrompt, SpeechRequest, Voice

from .checkpoint.published import Published
from .codec.chunks import Codec, RowSound, chunk_frames, decode_together
from .guards import LEADING_SECONDS, MESSAGES, SILENT_SECONDS, AudioGuard, another_try, find_fault
from .lm import decode
from .wire import Audio, Ended, Failed, GuardTripped, Output, SpeechFault

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A loaded checkpoint; `footprint` is the bytes of its language model."""

    published: Published
    decoder: decode.Decoder
    codec: Codec
    quantize: Quantize
    footprint: int


@dataclass(eq=False)
class SpeakingRow:
    """A row that speaks: the codes being sampled, the audio decoded from them, and the check of that audio."""

    model: LoadedModel
    request: SpeechRequest
    live: bool
    codes: decode.Row
    sound: RowSound
    guard: AudioGuard
    text: str
    """The whole text so far."""

    retried: bool = False
    gathered: list[Tensor] = field(default_factory=list)
    """The codes of frames that are not being decoded yet."""

    chunk: Future[dict[int, bytes | Exception]] | None = None
    """The chunk that is being decoded, with samples or an error for each row that has a part in it."""

    @property
    def chunk_full(self) -> bool:
        """Whether the gathered frames are enough for the next chunk."""
        return len(self.gathered) >= chunk_frames(self.sound.chunks + (self.chunk is not None))

    def find_fault(self) -> SpeechFault | None:
        """Return what is wrong with the speech; None if nothing is."""
        return find_fault(self.codes.ending, self.codes.repeated, self.guard)

    def try_again(self) -> bool:
        """Restart the row with another seed, and return True; False if audio was sent, or it was retried already.

        Also returns False where another seed can't change anything; see guards.another_try.
        """
        sampling = another_try(self.request.sampling, greedy=self.codes.sampler.greedy)
        if sampling is None or self.retried or self.guard.passed:
            return False
        finished = self.codes.text_finished
        new = open_row(
            self.model, replace(self.request, sampling=sampling), self.text, live=self.live, finished=finished
        )
        self.codes, self.sound, self.guard = new.codes, new.sound, _new_guard(self.request, retried=True)
        self.retried, self.chunk = True, None
        self.gathered.clear()
        return True


@dataclass(eq=False)
class DecodingRow:
    """A row that decodes codes, int64 [frames, codebooks], of which `decoded` frames are done."""

    codes: Tensor
    sound: RowSound
    decoded: int = 0


def open_row(
    model: LoadedModel, request: SpeechRequest, text: str, *, live: bool = False, finished: bool | None = None
) -> SpeakingRow:
    """Return a new row that speaks a text. With `live` more text may come, until `finished`.

    Raises a SpeechError if the request can't be spoken.
    """
    sound = new_sound(model.codec, request.voice)  # first, because it rejects codes that the talker can't take either
    finished = not live if finished is None else finished
    codes = model.decoder.admit(request, text=text, finished=finished, streaming_text=live)
    return SpeakingRow(model, request, live, codes, sound, _new_guard(request), text)


def _new_guard(request: SpeechRequest, *, retried: bool = False) -> AudioGuard:
    return AudioGuard(whole=request.whole, leading=SILENT_SECONDS if retried else LEADING_SECONDS)


def new_sound(codec: Codec, voice: Voice | None = None) -> RowSound:
    """Return a new row's sound: from the codec's start state, or continuing the clip of a cloned voice."""
    if isinstance(voice, ClonePrompt) and voice.codes is not None:
        return RowSound(codec.decoder, codec.state_after(voice.codes))
    return RowSound(codec.decoder, codec.decoder.new_state())


def decode_parts(parts: Mapping[int, tuple[RowSound, Tensor]], numbers: Sequence[int]) -> dict[int, bytes]:
    """Decode the next frames of some rows, the same number for each; return float32 samples."""
    samples = decode_together([parts[number] for number in numbers])
    return dict(zip(numbers, samples, strict=True))


def audible_part(number: int, speech: SpeakingRow, samples: bytes) -> list[Output]:
    """Return the part of a row's new chunk that may be sent now."""
    passed = speech.guard.check(np.frombuffer(samples, np.float32))
    if not speech.guard.begun:
        speech.sound.chunks = 0  # the first audible chunk is a short one, however much silence preceded it
    return [Audio(number, passed.tobytes())] if passed.size else []


def end_if_over(number: int, speech: SpeakingRow, frame: decode.Frame) -> list[Output]:
    """Return the outputs that end a speaking row or report its fault; none if it goes on."""
    if fault := speech.find_fault():
        return _retry_or_fail(number, speech, fault)
    if not frame.ending:
        return []
    rest = speech.guard.rest()
    last: list[Output] = [Audio(number, rest.tobytes())] if rest.size else []
    return [*last, Ended(number, speech.codes.text_tokens, speech.codes.frames)]


def _retry_or_fail(number: int, speech: SpeakingRow, fault: SpeechFault) -> list[Output]:
    """Restart a row whose speech went wrong, if nothing of it was sent; otherwise fail it."""
    frames, retried = speech.codes.frames, speech.try_again()
    _LOGGER.info("Frame %d: %s%s", frames, MESSAGES[fault], " Trying another seed" if retried else "")
    failed: list[Output] = [] if retried else [Failed(number, RunawaySpeech(MESSAGES[fault]))]
    return [GuardTripped(number, fault, retried), *failed]


def decode_next_chunk(number: int, decoding_row: DecodingRow) -> Iterator[Output]:
    """Yield the next chunk of a decoding row, and its end after the last one."""
    codes = decoding_row.codes[decoding_row.decoded :][: decoding_row.sound.wanted]
    decoding_row.decoded += len(codes)
    yield Audio(number, decoding_row.sound.decode(codes))
    if decoding_row.decoded == len(decoding_row.codes):
        yield Ended(number, frames=decoding_row.decoded)
