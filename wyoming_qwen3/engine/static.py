"""The decode loop over slots, as a GPU wants it: each step is two launches, and no step waits for the device.

A row that is stepped has a seat, which is a slot; all else that decode.py knows of rows is true of it. What a step
begins is read by the next one: the end of speech is seen one frame late, and that frame is dropped.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .decode import Decoder, Frame, LanguageModel, Row, Speech
from .graphs import Graphs, read_back
from .predictor import CodePredictor
from .prompt import Prompt
from .published import Published
from .slots import NO_PART, Buckets, Part, Slots
from .text_track import TextTrack
from .transformer import KvCache


@dataclass(eq=False)
class _Seat:
    """A slot, and the row in it, whose talker is before `position`."""

    slot: int
    position: int = 0
    row: weakref.ref[Row] | None = None

    @property
    def sitter(self) -> Row | None:
        """The row, unless it has ended or nobody wants it any more."""
        row = self.row() if self.row else None
        return row if row and row.speech else None


class StaticDecoder(Decoder):
    """Turns requests into codec frames with one checkpoint; see Decoder. Codes of frames are in the host's memory.

    Rows longer than a slot are stepped as a Decoder steps them. Rows without a seat take that of one that is not in
    the same step, so more rows than slots are stepped in several goes.
    """

    def __init__(
        self, published: Published, model: LanguageModel, graphs: Graphs, buckets: Buckets | None = None
    ) -> None:
        """Captures all steps. Raises CaptureFailed and torch.OutOfMemoryError; the model is as good as before then."""
        super().__init__(published, model)
        assert isinstance(self._predictor, CodePredictor)
        self._remembers_heads = True
        self.slots = Slots(self._talker, self._predictor, self._banned, graphs=graphs, buckets=buckets or Buckets())
        self._seats = [_Seat(slot) for slot in range(self.slots.buckets.slots)]

    @torch.inference_mode()
    def step(self, rows: Sequence[Row]) -> list[Frame]:
        """Begin the next frame of those of `rows` that have all it needs, and return what was begun before.

        Returns a Frame for each row that had one begun, and for each that is longer than a slot.
        """
        begun = [(row, row.begun) for row in rows if row.begun is not None]
        for row, _ in begun:
            row.begun = None
        going = [row for row in rows if row.advances]
        for row in going:
            self._prefill(row)
            self._caught_up(row)
        seated = {seat.sitter for seat in self._seats}
        fitting = [row for row in going if row in seated or self._fits(row)]
        for start in range(0, len(fitting), len(self._seats)):
            self._begin(fitting[start : start + len(self._seats)])
        frames = [self._read(row, wait()) for row, wait in begun]
        done = {*fitting, *(row for row, _ in begun)}
        others = super().step([row for row in going if row not in done])
        return frames + [replace(frame, codes=None if frame.codes is None else frame.codes.cpu()) for frame in others]

    def _opened(self, prompt: Prompt, cache: KvCache, done: int, *, finished: bool) -> Speech:
        """As in Decoder; where one position is left it is the row's first input, and costs no launches of its own."""
        left = prompt.prefill[done:]
        if len(left) > 1:
            return super()._opened(prompt, cache, done, finished=finished)
        track = TextTrack(torch.cat((left, prompt.trailing)), prompt.end, prompt.pad, finished=finished)
        nothing = torch.zeros_like(left[0])
        return Speech(track, cache, hidden=nothing, codes_embedding=nothing)

    def _begin(self, group: Sequence[Row]) -> None:
        """Begin the next frame of each row of a group, for which there are seats."""
        self._seat(group)
        parts = [self._part(seat, group) for seat in self._seats]
        while not parts[-1].speaks:
            parts.pop()
        rows = self.slots.advance(parts)
        codes = read_back(self.slots.codes[:rows])
        for seat, part in zip(self._seats, parts, strict=False):
            if part.speaks:
                self._go_on(seat, part, codes)

    def _part(self, seat: _Seat, group: Sequence[Row]) -> Part:
        """What a seat does in the next step, for which its text and its numbers are put in place."""
        row = seat.sitter
        if row is None:
            return NO_PART
        speech = _speech(row)
        speaks = row in group
        talks = speaks and speech.codes_embedding is not None
        if talks and (text := speech.track.next()) is not None:
            self.slots.text[seat.slot] = text
        if speaks:
            self.slots.roll(seat.slot, row.sampler)
        return Part(seat.position, row.sampler.drawn, talks, speaks)

    def _go_on(self, seat: _Seat, part: Part, codes: Callable[[], Tensor]) -> None:
        """Account for a step that is under way."""
        row = seat.sitter
        assert row is not None
        row.begun = lambda: codes()[seat.slot]
        row.sampler.drawn += 1
        _speech(row).codes_embedding = self.slots.sums[seat.slot]
        seat.position += part.talks
        if seat.position == self.slots.buckets.capacity:
            self._leave(seat)

    def _read(self, row: Row, codes: Tensor) -> Frame:
        """What became of a frame: it is one, or the row's end."""
        if ending := self._ending(row, int(codes[0])):
            row.end(ending)
            return Frame(row, None, ending)
        row.emit(int(codes[0]))
        return Frame(row, codes, None)

    def _fits(self, row: Row) -> bool:
        return _speech(row).cache.length < self.slots.buckets.capacity

    def _seat(self, group: Sequence[Row]) -> None:
        """Find seats for the rows of a group, among the first ones, so that few slots take part."""
        places = {row: seat for seat in self._seats if (row := seat.sitter)}
        crowd = min(len(places.keys() | set(group)), len(self._seats))
        best = self._seats[: self.slots.buckets.holding_rows(crowd)]
        for row in group:
            seat = places.get(row)
            if seat in best:
                continue
            if seat:
                self._leave(seat)
            better = next((one for one in best if one.sitter is None), None)
            if better is None:
                better = next(one for one in best if one.sitter not in group)
                self._leave(better)
            self._sit(row, better)

    def _sit(self, row: Row, seat: _Seat) -> None:
        speech = _speech(row)
        self.slots.put(seat.slot, speech.cache, speech.hidden, speech.codes_embedding, row.sampler)
        seat.position = speech.cache.length
        seat.row = weakref.ref(row)

    def _leave(self, seat: _Seat) -> None:
        """Give a seat's row all that is its own, so that it can go on anywhere."""
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
