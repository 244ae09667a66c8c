"""A step of rows that speak: a frame of each from the language model, and their chunks from the codec.

A row's first audible chunks and its last one are decoded at once, because somebody waits for them; all others while
the language model goes on, so their audio is sent after a later step. Knows rows, and what becomes of an error in one
of them; does NOT know which rows are stepped.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import torch

from .base import STEP_FAILED, as_speech_error
from .codec.thread import CodecThread
from .isolation import attempt, together_or_alone
from .lm.decode import Frame
from .rows import LoadedModel, SpeakingRow, audible_part, decode_parts, end_if_over
from .wire import Failed, Output

CHUNKS_AT_ONCE = 3
"""A row's first chunks: after them its listener has enough audio to play while a chunk is decoded beside steps."""

_Errors = dict[int, Exception]


def step_rows(model: LoadedModel, speeches: Mapping[int, SpeakingRow], codec: CodecThread) -> Iterator[Output]:
    """Step each row that can advance and yield the outputs; a row that fails is skipped from there on.

    The rows, by number, speak with this model. A row that can't advance yields what is still being decoded of it.
    """
    numbers = {speech.codes: number for number, speech in speeches.items()}
    frames = {numbers[frame.row]: frame for frame in model.decoder.step(list(numbers))}
    errors: _Errors = {number: frame.error for number, frame in frames.items() if frame.error}
    for number, frame in frames.items():
        if frame.codes is not None:
            speeches[number].gathered.append(frame.codes)
    needed = {number: speech for number, speech in speeches.items() if _chunk_needed(speech, frames.get(number))}
    yield from _take_chunks(needed, codec, errors)
    going = {number: speeches[number] for number in frames if number not in errors}
    for group in _full_chunks(going, frames, side_by_side=model.codec.decoder.side_by_side):
        some = {number: going[number] for number in group}
        at_once = any(_hurried(speech, frames[number]) for number, speech in some.items())
        _start_chunk(some, codec, at_once=at_once)
        if at_once:
            yield from _take_chunks(some, codec, errors)
    for number in [number for number in going if number not in errors]:
        outcome = attempt(partial(end_if_over, number, speeches[number], frames[number]))
        if isinstance(outcome, Exception):
            errors[number] = outcome
        else:
            yield from outcome
    yield from (Failed(number, as_speech_error(error, STEP_FAILED)) for number, error in errors.items())


def _chunk_needed(speech: SpeakingRow, frame: Frame | None) -> bool:
    """Return whether the chunk that is being decoded is done, or whether the row can't go on without it.

    `frame` is the row's latest; None if it can't advance.
    """
    if speech.chunk is None:
        return False
    over = frame is None or frame.ending is not None or speech.find_fault() is not None
    return over or speech.chunk_full or speech.chunk.done()


def _hurried(speech: SpeakingRow, frame: Frame) -> bool:
    """Return whether somebody waits for the row's next chunk."""
    return frame.ending is not None or speech.sound.chunks < CHUNKS_AT_ONCE


def _full_chunks(
    speeches: Mapping[int, SpeakingRow], frames: Mapping[int, Frame], *, side_by_side: bool
) -> list[list[int]]:
    """Return the rows that have a full chunk and decode none, as groups to be decoded together.

    With `side_by_side` a group holds all rows with the same number of frames; otherwise one row each.
    """
    chunks: dict[tuple[int, int], list[int]] = {}
    for number, speech in speeches.items():
        full = speech.gathered and (frames[number].ending == "eos" or speech.chunk_full)
        if full and speech.chunk is None:
            chunks.setdefault((len(speech.gathered), 0 if side_by_side else number), []).append(number)
    return [chunks[key] for key in sorted(chunks)]


def _start_chunk(speeches: Mapping[int, SpeakingRow], codec: CodecThread, *, at_once: bool) -> None:
    """Decode the gathered frames of some rows, the same number for each: at once, or beside the next steps."""
    parts = {number: (speech.sound, torch.stack(speech.gathered)) for number, speech in speeches.items()}
    chunk = codec.start(partial(together_or_alone, partial(decode_parts, parts), list(parts)), at_once=at_once)
    for speech in speeches.values():
        speech.gathered.clear()
        speech.chunk = chunk


def _take_chunks(speeches: Mapping[int, SpeakingRow], codec: CodecThread, errors: _Errors) -> Iterator[Output]:
    """Wait for the chunks of some rows, yield what may be sent of them, and add the errors of rows."""
    for number, speech in speeches.items():
        assert speech.chunk
        chunk, speech.chunk = speech.chunk, None
        made = codec.wait(chunk)[number]
        passed = made if isinstance(made, Exception) else attempt(partial(audible_part, number, speech, made))
        if isinstance(passed, Exception):
            errors.setdefault(number, passed)
        else:
            yield from passed
