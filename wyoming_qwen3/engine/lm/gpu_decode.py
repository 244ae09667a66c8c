"""The decode loop for a GPU: rows sit in slots, each step is two launches, and no step waits for the frame it starts.

A row has a seat, which is a slot, while it is stepped; otherwise rows work as in decode.py. A step starts a frame and
the next step reads it. The end of speech is therefore seen one frame late, and the extra frame is dropped.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from wyoming_qwen3.engine.checkpoint.published import Published
from wyoming_qwen3.engine.cuda_graphs import Graphs, read_back
from wyoming_qwen3.engine.isolation import attempt

from .decode import Decoder, Frame, LanguageModel, Row, Speech, failed_frame, remember
from .fused.slot_tensors import MakeSteps
from .gpu_slots import NO_STEP, Buckets, Slots, SlotStep
from .gpu_turns import Turns
from .predictor import CodePredictor
from .prompt import HeadKey, Prompt
from .text_track import TextTrack


@dataclass(eq=False)
class _SlotRow:
    """A slot and the row in it; `position` is the next cache position that the talker writes."""

    slot: int
    position: int = 0
    row: weakref.ref[Row] | None = None

    @property
    def sitter(self) -> Row | None:
        """The row in this slot; None if there is none, it has ended, or nothing refers to it any more."""
        row = self.row() if self.row else None
        return row if row and row.speech else None


class StaticDecoder(Decoder):
    """Turns requests into codec frames with one checkpoint; see Decoder. Codes of frames are in the host's memory.

    Rows longer than a slot are stepped as in Decoder. If there are more rows than slots, they take turns. A row without
    a seat takes that of a row that is not in the same group.
    """

    def __init__(
        self,
        published: Published,
        model: LanguageModel,
        graphs: Graphs,
        buckets: Buckets | None = None,
        fuse: MakeSteps | None = None,
    ) -> None:
        """Capture all steps, those that `fuse` makes if it is given.

        Raises CaptureFailed, torch.OutOfMemoryError and what `fuse` and its steps raise; the model stays usable then.
        """
        super().__init__(published, model)
        assert isinstance(self._predictor, CodePredictor)
        self._remembers_heads = False  # by prefills that are no steps, whose last bits are others
        buckets = buckets or Buckets()
        self.slots = Slots(self._talker, self._predictor, self._banned, graphs=graphs, buckets=buckets, fuse=fuse)
        self._seats = [_SlotRow(slot) for slot in range(self.slots.buckets.slots)]
        self._turns: Turns[Row] = Turns(len(self._seats))

    @torch.inference_mode()
    def step(self, rows: Sequence[Row]) -> list[Frame]:
        """Start the next frame of those of `rows` that can advance, and return the frames started before.

        Returns a Frame for each row that had one started, for each row that is longer than a slot, and for each row
        that ends by an error. Raises errors that concern all rows.
        """
        begun = [(row, row.begun) for row in rows if row.begun is not None]
        for row, _ in begun:
            row.begun = None
        going = [row for row in rows if row.advances]
        failed = self._read_text(going)
        going = [row for row in going if row not in failed]
        seated = {seat.sitter for seat in self._seats}
        fitting = [row for row in going if row in seated or self._fits(row)]
        failed |= self._begin(self._turns.group(fitting))
        frames = [self._read(row, wait()) for row, wait in begun if row not in failed]
        done = {*fitting, *failed, *(row for row, _ in begun)}
        others = super().step([row for row in going if row not in done])
        frames += [replace(frame, codes=None if frame.codes is None else frame.codes.cpu()) for frame in others]
        return frames + [failed_frame(row, error) for row, error in failed.items()]

    def _opened(self, row: Row, prompt: Prompt) -> Speech:
        """Take a seat for the row and prefill its slot. A prompt that is longer than a slot is prefilled as in Decoder.

        The head is a part of its own, whether it is remembered or not, so that the result is the same. A single
        position after it becomes the row's first step input instead.
        """
        if len(prompt.prefill) >= self.slots.buckets.capacity:
            return super()._opened(row, prompt)
        seat = self._vacant_seat()
        self._place_head(seat.slot, prompt, row.voicing.head_key)
        left, nothing = prompt.prefill[prompt.head :], self._talker.transformer.new_cache(0)
        if len(left) > 1:
            track = TextTrack(prompt.trailing, prompt.end, prompt.pad, finished=row.text_finished)
            speech = Speech(track, nothing, self.slots.prefill(seat.slot, prompt.head, left))
            seat.position = len(prompt.prefill)
        else:
            track = TextTrack(torch.cat((left, prompt.trailing)), prompt.end, prompt.pad, finished=row.text_finished)
            state = self.slots.sums[seat.slot].zero_()
            speech = Speech(track, nothing, hidden=state, codes_embedding=state)
            seat.position = prompt.head
        self.slots.put_sampler(seat.slot, row.sampler)
        seat.row = weakref.ref(row)
        return speech

    def _vacant_seat(self) -> _SlotRow:
        """Return a free seat; without one a row leaves its own, if possible one that is not stepped now."""
        if free := next((seat for seat in self._seats if seat.sitter is None), None):
            return free
        paused = (seat for seat in reversed(self._seats) if seat.sitter and not seat.sitter.ready)
        taken = next(paused, self._seats[-1])
        self._leave(taken)
        return taken

    def _place_head(self, slot: int, prompt: Prompt, key: HeadKey) -> None:
        """Fill a slot with the positions that do not depend on the text, by a copy if they are remembered."""
        heads = self._heads  # forget() replaces the dict, perhaps meanwhile
        if head := heads.get(key):
            self.slots.restore(slot, head)
        elif prompt.head:
            self.slots.prefill(slot, 0, prompt.prefill[: prompt.head])
            remember(heads, key, self.slots.copy(slot, prompt.head))

    def _begin(self, group: Sequence[Row]) -> dict[Row, Exception]:
        """Start the next frame of each row of a group no larger than the number of seats; return the errors of rows.

        An error on the host ends the row that it occurred for. An error of the launches ends all rows that were to
        speak, because the contents of their slots are unknown then.
        """
        failed = self._seat(group)
        parts = [self._part_or_none(seat, group, failed) for seat in self._seats]
        speaking = [slot for slot, part in enumerate(parts) if part.speaks]
        if not speaking:
            return failed
        # Of all that are computed, each slot needs its own position, because the talker writes there in any case.
        parts = parts[: self.slots.buckets.holding_rows(speaking[-1] + 1)]
        codes = attempt(lambda: read_back(self.slots.codes[: self.slots.advance(parts)]))
        for seat, part in zip(self._seats, parts, strict=False):
            if part.speaks and (row := seat.sitter):
                error = codes if isinstance(codes, Exception) else attempt(partial(self._go_on, seat, part, codes))
                if error:
                    failed[row] = error
                    row.end("error")
        return failed

    def _part_or_none(self, seat: _SlotRow, group: Sequence[Row], failed: dict[Row, Exception]) -> SlotStep:
        """Return what a seat does in the next step; if preparing it fails, end its row and return NO_STEP.

        The error is added to `failed`.
        """
        part = attempt(partial(self._part, seat, group))
        if isinstance(part, Exception) and (row := seat.sitter):
            failed[row] = part
            row.end("error")
        return NO_STEP if isinstance(part, Exception) else part

    def _part(self, seat: _SlotRow, group: Sequence[Row]) -> SlotStep:
        """Return what a seat does in the next step, with its text embedding and random numbers put in place."""
        row = seat.sitter
        if row is None:
            return NO_STEP
        speech = _speech(row)
        speaks = row in group
        talks = speaks and speech.codes_embedding is not None
        if talks and (text := speech.track.next()) is not None:
            self.slots.text[seat.slot] = text
        if speaks:
            self.slots.roll(seat.slot, row.sampler)
        return SlotStep(seat.position, row.sampler.drawn, talks, speaks)

    def _go_on(self, seat: _SlotRow, part: SlotStep, codes: Callable[[], Tensor]) -> None:
        """Update a row after its step was launched."""
        row = seat.sitter
        assert row is not None
        row.begun = lambda: codes()[seat.slot]
        row.sampler.drawn += 1
        _speech(row).codes_embedding = self.slots.sums[seat.slot]
        seat.position += part.talks
        if seat.position == self.slots.buckets.capacity:
            self._leave(seat)

    def _read(self, row: Row, codes: Tensor) -> Frame:
        """Return the Frame for codes [16] that the device computed: the codes, or the row's end."""
        if ending := self._ending(row, int(codes[0])):
            row.end(ending)
            return Frame(row, None, ending)
        row.emit(int(codes[0]))
        return Frame(row, codes, None)

    def _fits(self, row: Row) -> bool:
        return _speech(row).cache.length < self.slots.buckets.capacity

    def _seat(self, group: Sequence[Row]) -> dict[Row, Exception]:
        """Seat the rows of a group in the first slots, so that few slots are computed; return the errors of rows.

        A row that fails is ended at once, and its seat is free again.
        """
        places = {row: seat for seat in self._seats if (row := seat.sitter)}
        crowd = min(len(places.keys() | set(group)), len(self._seats))
        best = self._seats[: self.slots.buckets.holding_rows(crowd)]
        failed: dict[Row, Exception] = {}
        for row in group:
            seat = places.get(row)
            if seat not in best and (error := attempt(partial(self._move, row, seat, best, group))):
                failed[row] = error
                row.end("error")
        return failed

    def _move(self, row: Row, seat: _SlotRow | None, best: Sequence[_SlotRow], group: Sequence[Row]) -> None:
        """Move a row to one of the `best` seats: a free one, or that of a row outside the group."""
        if seat:
            self._leave(seat)
        better = next((one for one in best if one.sitter is None), None)
        if better is None:
            better = next(one for one in best if one.sitter not in group)
            self._leave(better)
        self._sit(row, better)

    def _sit(self, row: Row, seat: _SlotRow) -> None:
        speech = _speech(row)
        self.slots.put(seat.slot, speech.cache, speech.hidden, speech.codes_embedding, row.sampler)
        seat.position = speech.cache.length
        seat.row = weakref.ref(row)

    def _leave(self, seat: _SlotRow) -> None:
        """Copy a row's state out of its slot, so that it can continue anywhere, and free the seat."""
        row = seat.sitter
        assert row is not None
        speech = _speech(row)
        speech.hidden = self.slots.take(seat.slot, seat.position, speech.cache, row.sampler)
        if speech.codes_embedding is not None:
            speech.codes_embedding = speech.codes_embedding.clone()
        seat.row = None


def _speech(row: Row) -> Speech:
    assert row.speech is not None
    return row.speech
