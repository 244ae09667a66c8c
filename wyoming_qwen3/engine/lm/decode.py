"""The decode loop: utterances are rows that join, advance together by one frame per step, and leave.

Knows prompts, talker, code predictor and sampling; does NOT know audio, where requests come from, threads or time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speech_length import frame_limit_of_tokens
from wyoming_qwen3.engine.checkpoint.published import Published
from wyoming_qwen3.engine.isolation import attempt, together_or_alone

from .predictor import Predictor
from .prompt import HeadKey, Prompt, PromptBuilder, PromptConditions, prefills_whole_text, prepare
from .sampling import Sampler, choose
from .talker import Talker
from .text_track import IncrementalTokenizer, TextTrack
from .transformer import KvCache

Ending = Literal["eos", "limit", "error"]

_SPARE_POSITIONS = 128
"""Positions that a new KV cache has beyond the prompt: 10 s of speech before it must grow."""

_REMEMBERED_HEADS = 32
"""How many prompt heads (voice, language and instruction) keep their KV cache for the next request; 2 to 4 MB each."""

_SUPPRESSED = 1024
"""Upstream never samples the last 1024 ids of the talker's vocabulary, except the end of speech."""


@dataclass(eq=False)
class Speech:
    """The talker's state in one utterance; exists from the prefill to the end.

    `hidden` [hidden] is the talker's last hidden state. `codes_embedding` [hidden] is the codec half of its next input:
    the embedding of the last frame, which is emitted before the talker processes it. It is None before the first frame
    and once the talker has processed the last one.
    """

    track: TextTrack
    cache: KvCache
    hidden: Tensor
    codes_embedding: Tensor | None = None

    @property
    def stalled(self) -> bool:
        """Whether the next frame depends on text that has not arrived."""
        return self.codes_embedding is not None and self.track.stalled

    def take_in(self, hidden: Tensor) -> None:
        """Note that the talker has processed the last frame and its text, and has this hidden state now."""
        self.track.next()
        self.hidden, self.codes_embedding = hidden, None


class Row:
    """One utterance: its text so far, its sampler and its progress. Decoder.admit creates it.

    Callers may feed it text between steps; only the decoder changes anything else.
    """

    def __init__(
        self,
        conditions: PromptConditions,
        sampler: Sampler,
        tokenizer: IncrementalTokenizer,
        *,
        whole_text_first: bool,
        max_frames: int | None,
    ) -> None:
        self.conditions = conditions
        self.sampler = sampler
        self.whole_text_first = whole_text_first
        self.frames = 0
        """Frames emitted so far."""

        self.repeated = 0
        """How many of the last frames in a row have the same code 0."""

        self.text_tokens = 0
        """Tokens of the text so far."""

        self.ending: Ending | None = None
        """Why the row ended: the model's end of speech, the frame limit or an error; None while it goes on."""

        self.speech: Speech | None = None
        self.pending_codes: Callable[[], Tensor] | None = None
        """Waits for the codes of the frame that the device is computing, and returns them; None if there is none."""

        self.text_finished = False
        self._tokenizer = tokenizer
        self._max_frames = max_frames
        self._new_ids: list[int] = []
        self._last_code = -1

    @property
    def limit(self) -> int:
        """Frames after which the row ends with "limit"; grows with the text."""
        return frame_limit_of_tokens(self.text_tokens, self._max_frames)

    @property
    def can_advance(self) -> bool:
        """Whether a step would advance the row; if not, it has ended or waits for text."""
        return self.pending_codes is not None or self.advances

    @property
    def advances(self) -> bool:
        """Whether everything that the next frame needs is there."""
        if self.ending is not None:
            return False
        if self.speech is None:
            enough = not self.whole_text_first and self.text_tokens >= self.conditions.tokens_needed()
            return self.text_finished or enough
        return self.text_finished or bool(self._new_ids) or not self.speech.stalled

    def add_text(self, text: str) -> None:
        """Add text, which may be cut at any character."""
        self._take(self._tokenizer.feed(text))

    def end_text(self) -> None:
        """Mark the text as complete. Raises InvalidRequest if it is empty."""
        self._take(self._tokenizer.finish())
        self.text_finished = True
        if not self.text_tokens:
            raise InvalidRequest("The text is empty; there is nothing to speak.")

    def take_new_ids(self) -> list[int]:
        """Return the ids of settled text tokens that were not taken before."""
        taken, self._new_ids = self._new_ids, []
        return taken

    def emit(self, first_code: int) -> None:
        """Count a frame that is emitted."""
        self.frames += 1
        self.repeated = self.repeated + 1 if first_code == self._last_code else 1
        self._last_code = first_code

    def end(self, ending: Ending) -> None:
        """End the row and release its memory."""
        self.ending = ending
        self.speech = self.pending_codes = None

    def _take(self, ids: list[int]) -> None:
        self._new_ids += ids
        self.text_tokens += len(ids)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """The two models of a checkpoint that generate codes."""

    talker: Talker
    predictor: Predictor


@dataclass(frozen=True, eq=False)
class Frame:
    """The result of one step for a row: 80 ms of speech as `codes`, int64 [16], or its `ending`; the other is None.

    `error` is the error by which the row ended, if it ended by one.
    """

    row: Row
    codes: Tensor | None
    ending: Ending | None
    error: Exception | None = None


class Decoder:
    """Turns requests into codec frames with one checkpoint.

    A row holds all state of its utterance. Any number of rows may be open, and each step advances those it is given.
    """

    def __init__(self, published: Published, model: LanguageModel) -> None:
        self._published = published
        self.model = model
        self._talker, self._predictor = model.talker, model.predictor
        self._prompts = PromptBuilder(published, self._talker, self._predictor)
        self._heads: dict[HeadKey, KvCache] = {}
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
        """Open a row for `text`, and compute its prefill if it has enough text. Unless `finished`, feed it the rest.

        With `streaming_text` the talker gets the text along with the codes, and speech begins at the first settled
        token. Otherwise the prompt is laid out as upstream does by default for this kind of checkpoint; where that
        needs the whole text, the row waits for it. Raises what `prompt.prepare` raises, and InvalidRequest if the text
        is finished and empty.
        """
        row = Row(
            prepare(self._published, request),
            Sampler(choose(request.sampling, self._published.defaults), self._banned, self._end),
            IncrementalTokenizer(self._published.tokenizer),
            whole_text_first=prefills_whole_text(self._published.kind) and not streaming_text,
            max_frames=request.sampling.max_frames,
        )
        row.add_text(text)
        if finished:
            row.end_text()
        with torch.inference_mode():
            self._prefill(row)
        return row

    @torch.inference_mode()
    def step(self, rows: Sequence[Row]) -> list[Frame]:
        """Advance those of `rows` that can by one frame, or to their end, in one batch.

        Returns one Frame for each of them, in their order. The talker processes a frame only at the next step, so that
        the frame is returned as early as possible. An error of one row ends that row and does not change the results of
        the others. Raises errors that concern all rows.
        """
        advancing = [row for row in rows if row.advances]
        failed = self._read_text(advancing)
        made = together_or_alone(self._advance, [row for row in advancing if row not in failed])
        return [_frame(row, failed.get(row) or made[row]) for row in advancing]

    def _read_text(self, rows: Sequence[Row]) -> dict[Row, Exception]:
        """Prefill or extend each row with the text that has arrived; return the errors of rows where this fails."""
        outcomes = {row: attempt(partial(self._read_text_of, row)) for row in rows}
        return {row: error for row, error in outcomes.items() if error}

    def _read_text_of(self, row: Row) -> None:
        self._prefill(row)
        self._catch_up(row)

    def _advance(self, rows: Sequence[Row]) -> dict[Row, Frame]:
        """Run both halves of a step; each of them leaves all rows unchanged if it fails."""
        self._talk([speech for row in rows if (speech := row.speech) and speech.codes_embedding is not None])
        return self._speak(rows)

    def forget(self) -> None:
        """Release the remembered prompt heads. Safe to call on any thread: what is in use stays as it is."""
        self._heads = {}

    def _prefill(self, row: Row) -> None:
        if row.speech is not None or not row.advances:
            return
        ids = row.take_new_ids()
        prompt = self._prompts.build(
            row.conditions, ids, whole_text_first=row.whole_text_first, finished=row.text_finished
        )
        row.speech = self._opened(row, prompt)

    def _opened(self, row: Row, prompt: Prompt) -> Speech:
        """Prefill the prompt and return the row's talker state."""
        cache = self._talker.transformer.new_cache(len(prompt.prefill) + _SPARE_POSITIONS)
        done = self._restore_head(prompt, row.conditions.head_key, cache) if self._remembers_heads else 0
        hidden = self._talker.advance(prompt.prefill[None, done:], (cache,))[0]
        track = TextTrack(prompt.trailing, prompt.end, prompt.pad, finished=row.text_finished)
        return Speech(track, cache, hidden)

    def _restore_head(self, prompt: Prompt, key: HeadKey, cache: KvCache) -> int:
        """Fill a new cache with the positions that do not depend on the text; return how many these are.

        `key` identifies them, as keys and values depend only on the embeddings up to their position.
        """
        heads = self._heads  # forget() replaces the dict, perhaps meanwhile
        if key not in heads:
            new = self._talker.transformer.new_cache(prompt.head)
            self._talker.advance(prompt.prefill[None, : prompt.head], (new,))
            remember(heads, key, new)
        cache.restore(heads[key])
        return prompt.head

    def _catch_up(self, row: Row) -> None:
        """Append all text that has arrived to the row's text track."""
        speech = row.speech
        assert speech is not None
        if ids := row.take_new_ids():
            speech.track.extend(self._talker.embed_text(ids))
        if row.text_finished:
            speech.track.finish()

    def _talk(self, speeches: Sequence[Speech]) -> None:
        """Advance the talker by the last frame of each speech and its next text embedding."""
        if not speeches:
            return
        inputs = torch.stack([_next_input(speech) for speech in speeches])
        hidden = self._talker.advance(inputs[:, None], [speech.cache for speech in speeches])
        for speech, state in zip(speeches, hidden.unbind(), strict=True):
            speech.take_in(state)

    def _speak(self, rows: Sequence[Row]) -> dict[Row, Frame]:
        """Sample the next frame of each row, or end the row; restore all samplers if this fails."""
        saved = [row.sampler.save() for row in rows]
        try:
            return self._draw(rows) if rows else {}
        except Exception:
            for row, state in zip(rows, saved, strict=True):
                row.sampler.restore(state)
            raise

    def _draw(self, rows: Sequence[Row]) -> dict[Row, Frame]:
        """Do the work of _speak. If it raises, nothing but samplers has changed."""
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
        """Return why the row ends if its next code 0 is `first`; None if it goes on."""
        if first == self._end:
            return "eos"
        return "limit" if row.frames >= row.limit else None


def remember(heads: dict[HeadKey, KvCache], key: HeadKey, head: KvCache) -> None:
    """Add a prompt head to those that are remembered, and drop the oldest one if they are too many."""
    while len(heads) >= _REMEMBERED_HEADS:
        del heads[next(iter(heads))]
    heads[key] = head


def _frame(row: Row, made: Frame | Exception) -> Frame:
    """Return the row's frame, or end the row if there is an error instead."""
    return made if isinstance(made, Frame) else failed_frame(row, made)


def failed_frame(row: Row, error: Exception) -> Frame:
    """End a row by an error and return its last Frame."""
    row.end("error")
    return Frame(row, None, "error", error)


def _next_input(speech: Speech) -> Tensor:
    text = speech.track.upcoming
    assert text is not None
    assert speech.codes_embedding is not None
    return speech.codes_embedding + text
