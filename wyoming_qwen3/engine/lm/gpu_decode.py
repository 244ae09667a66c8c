"""The decode loop for a GPU: rows sit in slots, each step is two launches, and no step waits for the frame it starts.

A row has a slot while it is stepped; otherwise rows work as in decode.py. A step starts a frame and
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
class _Slot:
    """A slot and the row in it; `position` is the next cache position that the talker writes."""

    index: int
    position: int = 0
    row: weakref.ref[Row] | None = None

    @property
    def occupant(self) -> Row | None:
        """The row in this slot; None if there is none, it has ended, or nothing refers to it any more."""
        row = self.row() if self.row else None
        return row if row and row.speech else None


class StaticDecoder(Decoder):
    """Turns requests into codec frames with one checkpoint; see Decoder. Codes of frames are in the host's memory.

    Rows longer than a slot are stepped as in Decoder. If there are more rows than slots, they take turns. A row without
    a slot takes that of a row that is not in the same group.
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
        self._occupancy = [_Slot(index) for index in range(self.slots.buckets.slots)]
        self._turns: Turns[Row] = Turns(len(self._occupancy))

    @torch.inference_mode()
    def step(self, rows: Sequence[Row]) -> list[Frame]:
        """Start the next frame of those of `rows` that can advance, and return the frames started before.

        Returns a Frame for each row that had one started, for each row that is longer than a slot, and for each row
        that ends by an error. Raises errors that concern all rows.
        """
        pending = [(row, row.pending_codes) for row in rows if row.pending_codes is not None]
        for row, _ in pending:
            row.pending_codes = None
        going = [row for row in rows if row.advances]
        failed = self._read_text(going)
        going = [row for row in going if row not in failed]
        in_slots = {slot.occupant for slot in self._occupancy}
        fitting = [row for row in going if row in in_slots or self._fits(row)]
        failed |= self._begin(self._turns.group(fitting))
        frames = [self._read(row, wait()) for row, wait in pending if row not in failed]
        done = {*fitting, *failed, *(row for row, _ in pending)}
        others = super().step([row for row in going if row not in done])
        frames += [replace(frame, codes=None if frame.codes is None else frame.codes.cpu()) for frame in others]
        return frames + [failed_frame(row, error) for row, error in failed.items()]

    def _opened(self, row: Row, prompt: Prompt) -> Speech:
        """Take a slot for the row and prefill its slot. A prompt that is longer than a slot is prefilled as in Decoder.

        The head is a part of its own, whether it is remembered or not, so that the result is the same. A single
        position after it becomes the row's first step input instead.
        """
        if len(prompt.prefill) >= self.slots.buckets.capacity:
            return super()._opened(row, prompt)
        slot = self._free_slot()
        self._place_head(slot.index, prompt, row.conditions.head_key)
        left, nothing = prompt.prefill[prompt.head :], self._talker.transformer.new_cache(0)
        if len(left) > 1:
            track = TextTrack(prompt.trailing, prompt.end, prompt.pad, finished=row.text_finished)
            speech = Speech(track, nothing, self.slots.prefill(slot.index, prompt.head, left))
            slot.position = len(prompt.prefill)
        else:
            track = TextTrack(torch.cat((left, prompt.trailing)), prompt.end, prompt.pad, finished=row.text_finished)
            state = self.slots.sums[slot.index].zero_()
            speech = Speech(track, nothing, hidden=state, codes_embedding=state)
            slot.position = prompt.head
        self.slots.put_sampler(slot.index, row.sampler)
        slot.row = weakref.ref(row)
        return speech

    def _free_slot(self) -> _Slot:
        """Return a free slot; without one a row leaves its own, if possible one that is not stepped now."""
        if free := next((slot for slot in self._occupancy if slot.occupant is None), None):
            return free
        paused = (slot for slot in reversed(self._occupancy) if slot.occupant and not slot.occupant.can_advance)
        taken = next(paused, self._occupancy[-1])
        self._vacate(taken)
        return taken

    def _place_head(self, index: int, prompt: Prompt, key: HeadKey) -> None:
        """Fill a slot with the positions that do not depend on the text, by a copy if they are remembered."""
        heads = self._heads  # forget() replaces the dict, perhaps meanwhile
        if head := heads.get(key):
            self.slots.restore(index, head)
        elif prompt.head:
            self.slots.prefill(index, 0, prompt.prefill[: prompt.head])
            remember(heads, key, self.slots.copy(index, prompt.head))

    def _begin(self, group: Sequence[Row]) -> dict[Row, Exception]:
        """Start the next frame of each row of a group no larger than the number of slots; return the errors of rows.

        An error on the host ends the row that it occurred for. An error of the launches ends all rows that were to
        speak, because the contents of their slots are unknown then.
        """
        failed = self._assign_slots(group)
        parts = [self._part_or_none(slot, group, failed) for slot in self._occupancy]
        speaking = [index for index, part in enumerate(parts) if part.speaks]
        if not speaking:
            return failed
        # Of all that are computed, each slot needs its own position, because the talker writes there in any case.
        parts = parts[: self.slots.buckets.holding_rows(speaking[-1] + 1)]
        codes = attempt(lambda: read_back(self.slots.codes[: self.slots.advance(parts)]))
        for slot, part in zip(self._occupancy, parts, strict=False):
            if part.speaks and (row := slot.occupant):
                error = codes if isinstance(codes, Exception) else attempt(partial(self._go_on, slot, part, codes))
                if error:
                    failed[row] = error
                    row.end("error")
        return failed

    def _part_or_none(self, slot: _Slot, group: Sequence[Row], failed: dict[Row, Exception]) -> SlotStep:
        """Return what a slot does in the next step; if preparing it fails, end its row and return NO_STEP.

        The error is added to `failed`.
        """
        part = attempt(partial(self._part, slot, group))
        if isinstance(part, Exception) and (row := slot.occupant):
            failed[row] = part
            row.end("error")
        return NO_STEP if isinstance(part, Exception) else part

    def _part(self, slot: _Slot, group: Sequence[Row]) -> SlotStep:
        """Return what a slot does in the next step, with its text embedding and random numbers put in place."""
        row = slot.occupant
        if row is None:
            return NO_STEP
        speech = _speech(row)
        speaks = row in group
        talks = speaks and speech.codes_embedding is not None
        if talks and (text := speech.track.next()) is not None:
            self.slots.text[slot.index] = text
        if speaks:
            self.slots.roll(slot.index, row.sampler)
        return SlotStep(slot.position, row.sampler.drawn, talks, speaks)

    def _go_on(self, slot: _Slot, part: SlotStep, codes: Callable[[], Tensor]) -> None:
        """Update a row after its step was launched."""
        row = slot.occupant
        assert row is not None
        row.pending_codes = lambda: codes()[slot.index]
        row.sampler.drawn += 1
        _speech(row).codes_embedding = self.slots.sums[slot.index]
        slot.position += part.talks
        if slot.position == self.slots.buckets.capacity:
            self._vacate(slot)

    def _read(self, row: Row, codes: Tensor) -> Frame:
        """Return the Frame for codes [16] that the device computed: the codes, or the row's end."""
        if ending := self._ending(row, int(codes[0])):
            row.end(ending)
            return Frame(row, None, ending)
        row.emit(int(codes[0]))
        return Frame(row, codes, None)

    def _fits(self, row: Row) -> bool:
        return _speech(row).cache.length < self.slots.buckets.capacity

    def _assign_slots(self, group: Sequence[Row]) -> dict[Row, Exception]:
        """Move the rows of a group to the first slots, so that few slots are computed; return the errors of rows.

        A row that fails is ended at once, and its slot is free again.
        """
        places = {row: slot for slot in self._occupancy if (row := slot.occupant)}
        wanted = min(len(places.keys() | set(group)), len(self._occupancy))
        best = self._occupancy[: self.slots.buckets.holding_rows(wanted)]
        failed: dict[Row, Exception] = {}
        for row in group:
            slot = places.get(row)
            if slot not in best and (error := attempt(partial(self._move, row, slot, best, group))):
                failed[row] = error
                row.end("error")
        return failed

    def _move(self, row: Row, slot: _Slot | None, best: Sequence[_Slot], group: Sequence[Row]) -> None:
        """Move a row to one of the `best` slots: a free one, or that of a row outside the group."""
        if slot:
            self._vacate(slot)
        better = next((one for one in best if one.occupant is None), None)
        if better is None:
            better = next(one for one in best if one.occupant not in group)
            self._vacate(better)
        self._occupy(row, better)

    def _occupy(self, row: Row, slot: _Slot) -> None:
        speech = _speech(row)
        self.slots.put(slot.index, speech.cache, speech.hidden, speech.codes_embedding, row.sampler)
        slot.position = speech.cache.length
        slot.row = weakref.ref(row)

    def _vacate(self, slot: _Slot) -> None:
        """Copy a row's state out of its slot, so that it can continue anywhere, and free the slot."""
        row = slot.occupant
        assert row is not None
        speech = _speech(row)
        speech.hidden = self.slots.take(slot.index, slot.position, speech.cache, row.sampler)
        if speech.codes_embedding is not None:
            speech.codes_embedding = speech.codes_embedding.clone()
        slot.row = None


def _speech(row: Row) -> Speech:
    assert row.speech is not None
    return row.speech
