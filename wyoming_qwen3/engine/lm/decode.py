"""The decode loop: utterances as rows that join, advance together frame by frame, and leave.

Knows prompts, talker, code predictor and sampling; does NOT know audio, where requests come from, threads or time.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.engine.checkpoint.published import Published
from wyoming_qwen3.engine.isolation import attempt, together_or_alone

from .predictor import Predictor
from .prompt import Prompt, PromptBuilder, Voicing, prefills_whole_text, prepare
from .sampling import Sampler, choose
from .talker import Talker
from .text_track import IncrementalTokenizer, TextTrack
from .transformer import KvCache

Ending = Literal["eos", "limit", "error"]

_MIN_FRAMES = 100
_FRAMES_PER_TOKEN = 10
_FRAMES_AROUND_A_WORD = 50

_SPARE_POSITIONS = 128
"""Room in a new cache beyond the prompt: 10 s of speech before it grows."""

_REMEMBERED_HEADS = 32
"""Beginnings of prompts, each of a voice, language and instruction, that need not be computed again; 2 to 4 MB each."""

_SUPPRESSED = 1024
"""Upstream never draws the last 1024 ids of the talker's vocabulary, but for the end of speech."""


def frame_limit(text_tokens: int, max_frames: int | None) -> int:
    """Frames that a text of so many tokens can need at most: 10 per token, and never above `max_frames`.

    A token takes 3 to 4 frames at an ordinary pace, so speech beyond the limit is a runaway. A short text has up to 50
    more, for what is around its words, but not more than 100 by that.
    """
    around = min(_MIN_FRAMES, _FRAMES_AROUND_A_WORD + _FRAMES_PER_TOKEN * text_tokens)
    limit = max(around, _FRAMES_PER_TOKEN * text_tokens)
    return limit if max_frames is None else min(limit, max_frames)


@dataclass(eq=False)
class Speech:
    """Where the talker is in one utterance; exists from the prefill to the end.

    `hidden` [hidden] is the talker's last state. `codes_embedding` [hidden] is the codec half of its next input: the
    last frame, which is emitted before the talker takes it in; None before the first frame, and once it is taken in.
    """

    track: TextTrack
    cache: KvCache
    hidden: Tensor
    codes_embedding: Tensor | None = None

    @property
    def stalled(self) -> bool:
        """Whether the next frame depends on text that has not come."""
        return self.codes_embedding is not None and self.track.stalled

    def take_in(self, hidden: Tensor) -> None:
        """The talker has taken the last frame and its text in, and is in this state now."""
        self.track.next()
        self.hidden, self.codes_embedding = hidden, None


class Row:
    """One utterance: its text so far, how its codes are drawn, and how far it has come. Made by Decoder.admit.

    Between steps anyone may feed it text; the rest is the decoder's.
    """

    def __init__(
        self,
        voicing: Voicing,
        sampler: Sampler,
        tokenizer: IncrementalTokenizer,
        *,
        whole_text_first: bool,
        max_frames: int | None,
    ) -> None:
        self.voicing = voicing
        self.sampler = sampler
        self.whole_text_first = whole_text_first
        self.frames = 0
        """Frames emitted so far."""

        self.repeated = 0
        """How many of the last frames have the same first code."""

        self.text_tokens = 0
        """Tokens of the text so far."""

        self.ending: Ending | None = None
        """Why it ended: by the model's end of speech, the frame limit or an error; None while it goes on."""

        self.speech: Speech | None = None
        self.begun: Callable[[], Tensor] | None = None
        """Waits for the codes of a frame that a step has left to the device."""

        self.text_finished = False
        self._tokenizer = tokenizer
        self._max_frames = max_frames
        self._new_ids: list[int] = []
        self._last_code = -1

    @property
    def limit(self) -> int:
        """Frames after which it ends with "limit"; grows with the text."""
        return frame_limit(self.text_tokens, self._max_frames)

    @property
    def ready(self) -> bool:
        """Whether a step would bring it on; otherwise it has ended, or waits for text."""
        return self.begun is not None or self.advances

    @property
    def advances(self) -> bool:
        """Whether there is all that its next frame needs."""
        if self.ending is not None:
            return False
        if self.speech is None:
            enough = not self.whole_text_first and self.text_tokens >= self.voicing.tokens_needed()
            return self.text_finished or enough
        return self.text_finished or bool(self._new_ids) or not self.speech.stalled

    def feed(self, text: str) -> None:
        """Take more text, cut anywhere."""
        self._take(self._tokenizer.feed(text))

    def finish(self) -> None:
        """No more text comes. Raises InvalidRequest when none ever came."""
        self._take(self._tokenizer.finish())
        self.text_finished = True
        if not self.text_tokens:
            raise InvalidRequest("The text is empty; nothing can be spoken.")

    def take_new_ids(self) -> list[int]:
        """Settled text tokens that were not taken before."""
        taken, self._new_ids = self._new_ids, []
        return taken

    def emit(self, first_code: int) -> None:
        """Count a frame that goes out."""
        self.frames += 1
        self.repeated = self.repeated + 1 if first_code == self._last_code else 1
        self._last_code = first_code

    def end(self, ending: Ending) -> None:
        """Stop for good and give the memory back."""
        self.ending = ending
        self.speech = self.begun = None

    def _take(self, ids: list[int]) -> None:
        self._new_ids += ids
        self.text_tokens += len(ids)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """The two halves of a checkpoint that make codes."""

    talker: Talker
    predictor: Predictor


@dataclass(frozen=True, eq=False)
class Frame:
    """What one step made of a row: 80 ms of speech as `codes`, int64 [16], or its `ending`; the other is None.

    A row that ended by an error has that as `error`.
    """

    row: Row
    codes: Tensor | None
    ending: Ending | None
    error: Exception | None = None


class Decoder:
    """Turns requests into codec frames with one checkpoint.

    A row is all the state of an utterance: any number may be open, and each step advances those it is given.
    """

    def __init__(self, published: Published, model: LanguageModel) -> None:
        self._published = published
        self.model = model
        self._talker, self._predictor = model.talker, model.predictor
        self._prompts = PromptBuilder(published, self._talker, self._predictor)
        self._heads: dict[bytes, KvCache] = {}
        self._remembers_heads = self._talker.transformer.splits_exactly
        self._end: int = self._talker.config.codec_eos_token_id
        self._banned = torch.zeros(self._talker.config.vocab_size, dtype=torch.bool, device=self._talker.device)
        self._banned[-_SUPPRESSED:] = True
        self._banned[self._end] = False

    def admit(
        self,
        request: SpeechRequest,
        *,
        text: str,
        finished: bool = True,
        streaming_text: bool = False,
    ) -> Row:
        """Open a row for `text`, and more of it by `row.feed` unless `finished`; compute its prefill if it is ready.

        With `streaming_text` the text runs along with the codes, and speech begins at the first settled token;
        otherwise the row waits for all of its text and lays it out as upstream does by default for this kind of
        checkpoint. Raises what `prompt.prepare` raises, and InvalidRequest for an empty text.
        """
        row = Row(
            prepare(self._published, request),
            Sampler(choose(request.sampling, self._published.defaults), self._banned, self._end),
            IncrementalTokenizer(self._published.tokenizer),
            whole_text_first=prefills_whole_text(self._published.kind) and not streaming_text,
            max_frames=request.sampling.max_frames,
        )
        row.feed(text)
        if finished:
            row.finish()
        with torch.inference_mode():
            self._prefill(row)
        return row

    @torch.inference_mode()
    def step(self, rows: Sequence[Row]) -> list[Frame]:
        """Advance those of `rows` that are ready by one frame, or to their end, together.

        Returns one Frame for each of them, in their order. The talker takes a frame in only at the next step, so a
        frame is out as early as can be. A row's error is its end, and changes no number of the other rows. Raises
        errors that concern all rows.
        """
        ready = [row for row in rows if row.advances]
        failed = self._read_text(ready)
        made = together_or_alone(self._advance, [row for row in ready if row not in failed])
        return [_frame(row, failed.get(row) or made[row]) for row in ready]

    def _read_text(self, rows: Sequence[Row]) -> dict[Row, Exception]:
        """Lay out all text that has come; returns the errors of rows for which that can't be done."""
        outcomes = {row: attempt(partial(self._read_text_of, row)) for row in rows}
        return {row: error for row, error in outcomes.items() if error}

    def _read_text_of(self, row: Row) -> None:
        self._prefill(row)
        self._catch_up(row)

    def _advance(self, rows: Sequence[Row]) -> dict[Row, Frame]:
        """Take both halves of a step, each of which leaves all rows as they were if it fails."""
        self._talk([speech for row in rows if (speech := row.speech) and speech.codes_embedding is not None])
        return self._speak(rows)

    def forget(self) -> None:
        """Give the memory back of what is only remembered; from any thread, since what is in use stays as it is."""
        self._heads = {}

    def _prefill(self, row: Row) -> None:
        if row.speech is not None or not row.advances:
            return
        ids = row.take_new_ids()
        prompt = self._prompts.build(
            row.voicing, ids, whole_text_first=row.whole_text_first, finished=row.text_finished
        )
        cache = self._talker.transformer.new_cache(len(prompt.prefill) + _SPARE_POSITIONS)
        done = self._restore_head(prompt, cache) if self._remembers_heads else 0
        row.speech = self._opened(prompt, cache, done, finished=row.text_finished)

    def _opened(self, prompt: Prompt, cache: KvCache, done: int, *, finished: bool) -> Speech:
        """Take in what of the prompt is not in the cache yet."""
        hidden = self._talker.advance(prompt.prefill[None, done:], (cache,))[0]
        return Speech(TextTrack(prompt.trailing, prompt.end, prompt.pad, finished=finished), cache, hidden)

    def _restore_head(self, prompt: Prompt, cache: KvCache) -> int:
        """Fill a new cache with the positions that do not depend on the text; returns how many these are.

        Keys and values follow from the embeddings up to their position and from nothing else, so these are what they
        are remembered by.
        """
        head = prompt.prefill[: prompt.head]
        key = hashlib.blake2b(head.contiguous().cpu().view(torch.uint8).numpy().tobytes()).digest()
        heads = self._heads  # forgetting puts another in its place
        if key not in heads:
            new = self._talker.transformer.new_cache(prompt.head)
            self._talker.advance(head[None], (new,))
            while len(heads) >= _REMEMBERED_HEADS:
                del heads[next(iter(heads))]
            heads[key] = new
        cache.restore(heads[key])
        return prompt.head

    def _catch_up(self, row: Row) -> None:
        """Put all the text that has come on the track of the row's speech."""
        speech = row.speech
        assert speech is not None
        if ids := row.take_new_ids():
            speech.track.extend(self._talker.embed_text(ids))
        if row.text_finished:
            speech.track.finish()

    def _talk(self, speeches: Sequence[Speech]) -> None:
        """Let the talker take in the last frame of each, with the next of its text."""
        if not speeches:
            return
        inputs = torch.stack([_next_input(speech) for speech in speeches])
        hidden = self._talker.advance(inputs[:, None], [speech.cache for speech in speeches])
        for speech, state in zip(speeches, hidden.unbind(), strict=True):
            speech.take_in(state)

    def _speak(self, rows: Sequence[Row]) -> dict[Row, Frame]:
        """Draw the next frame of each row, or end it."""
        saved = [row.sampler.save() for row in rows]
        try:
            return self._draw(rows) if rows else {}
        except Exception:
            for row, state in zip(rows, saved, strict=True):
                row.sampler.restore(state)
            raise

    def _draw(self, rows: Sequence[Row]) -> dict[Row, Frame]:
        """As _speak; what fails fails before anything but samplers has changed."""
        speeches = [row.speech for row in rows if row.speech is not None]
        hidden = torch.stack([speech.hidden for speech in speeches])
        logits = self._talker.logits(hidden)
        firsts = torch.stack([row.sampler.draw(row_logits) for row, row_logits in zip(rows, logits, strict=True)])
        first_codes: list[int] = firsts.tolist()
        endings = [self._ending(row, first) for row, first in zip(rows, first_codes, strict=True)]
        going = [place for place, ending in enumerate(endings) if ending is None]
        codes: dict[int, Tensor] = {}
        if going:
            samplers = [rows[place].sampler for place in going]
            frames, embeddings = self._predictor.frame(hidden[going], firsts[going], samplers)
            for place, frame, embedding in zip(going, frames.unbind(), embeddings.unbind(), strict=True):
                codes[place] = frame
                speeches[place].codes_embedding = embedding
                rows[place].emit(first_codes[place])
        for row, ending in zip(rows, endings, strict=True):
            if ending:
                row.end(ending)
        return {row: Frame(row, codes.get(place), row.ending) for place, row in enumerate(rows)}

    def _ending(self, row: Row, first: int) -> Ending | None:
        """Why the row ends when this is the next id of codebook 0; None where it goes on."""
        if first == self._end:
            return "eos"
        return "limit" if row.frames >= row.limit else None


def _frame(row: Row, made: Frame | Exception) -> Frame:
    """What was made of a row, or its end by an error."""
    return made if isinstance(made, Frame) else failed_frame(row, made)


def failed_frame(row: Row, error: Exception) -> Frame:
    """End a row by an error."""
    row.end("error")
    return Frame(row, None, "error", error)


def _next_input(speech: Speech) -> Tensor:
    text = speech.track.upcoming
    assert text is not None
    assert speech.codes_embedding is not None
    return speech.codes_embedding + text
