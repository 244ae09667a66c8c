"""Slots: the state of rows at fixed addresses, and the steps over them that can be captured as CUDA graphs.

`talk` runs the talker. `frame` samples code 0 and runs the whole code predictor, including sampling and the sums of
embeddings. Neither waits for the device or reads a value back: a slot that does not take part is computed with the
others, but keeps its state. Knows nothing of which row is in which slot, of text and of when speech ends.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from wyoming_qwen3.engine.cuda_graphs import Graphs, Step, upload

from .fused.slot_tensors import MakeSteps, SlotSteps, SlotTensors
from .gpu_prefill import SlotPrefill
from .predictor import CodePredictor
from .sampling import FRAMES_BEFORE_END, Sampler, WarpTable, is_greedy, penalised
from .talker import Talker
from .transformer import KvCache, Transformer, attention_of_one


@dataclass(frozen=True)
class Buckets:
    """The sizes for which there are steps: counts of slots, from the first slot on, and numbers of cache positions.

    The last entries are the number of slots and their capacity. A slot takes 115 KB per position with the published
    checkpoints in bfloat16, so all slots take 940 MB.
    """

    rows: Sequence[int] = (1, 2, 4, 8)
    lengths: Sequence[int] = (256, 512, 1024)

    @property
    def slots(self) -> int:
        """Number of slots."""
        return self.rows[-1]

    @property
    def capacity(self) -> int:
        """Cache positions of a slot."""
        return self.lengths[-1]

    def within(self, free: int, position: int) -> "Buckets | None":
        """Return those with the most slots that take at most half of `free` bytes, at `position` bytes a position.

        The other half is for captured steps, prefills and other checkpoints. None if there is not room for one slot.
        """
        rows = tuple(rows for rows in self.rows if 2 * rows * self.capacity * position <= free)
        return replace(self, rows=rows) if rows else None

    def holding_rows(self, rows: int) -> int:
        """Return the smallest count of slots with steps that holds `rows` rows."""
        return self.rows[bisect_left(self.rows, rows)]

    def holding_positions(self, positions: int) -> int:
        """Return the smallest length with a step that holds `positions` positions."""
        return self.lengths[bisect_left(self.lengths, positions)]


@dataclass(frozen=True)
class SlotStep:
    """What one slot does in the next step: `talks` runs the talker on the last frame, `speaks` samples the next frame.

    `position` is the cache position that the talker writes; `drawn` is the number of frames sampled so far.
    """

    position: int
    drawn: int
    talks: bool
    speaks: bool


NO_STEP = SlotStep(0, 0, talks=False, speaks=False)


class Slots:
    """The slots of a checkpoint; all steps are captured when it is created."""

    def __init__(
        self,
        talker: Talker,
        predictor: CodePredictor,
        banned: Tensor,
        *,
        graphs: Graphs,
        buckets: Buckets,
        fuse: MakeSteps | None = None,
    ) -> None:
        """`banned` bool [vocabulary] marks ids never to sample; `fuse` makes the steps, unless PyTorch does.

        Raises CaptureFailed, torch.OutOfMemoryError, and what `fuse` raises.
        """
        assert isinstance(talker.transformer, Transformer)
        self.buckets = buckets
        self._talker, self._predictor = talker, predictor
        self._transformer = talker.transformer
        self._banned = banned
        self._end: int = talker.config.codec_eos_token_id
        self._kept: SlotSteps | None = None
        self._allocate()
        with torch.inference_mode():
            talks, frames = self._fused_steps(fuse) if fuse else self._steps()
            self._talks = graphs.capture("the talker", talks)
            self._frames = graphs.capture("the code predictor", frames)
            self._prefill = SlotPrefill(self._transformer, self._cache, self._hidden, buckets.lengths, graphs)

    def _steps(self) -> tuple[dict[tuple[int, int], Step], dict[int, Step]]:
        """Return the steps of the talker by rows and length, and those of the code predictor by rows."""
        rows, lengths = self.buckets.rows[::-1], self.buckets.lengths[::-1]
        talks: dict[tuple[int, int], Step] = {(r, n): partial(self._talk, r, n) for r in rows for n in lengths}
        return talks, {r: partial(self._frame, r) for r in rows}

    def _fused_steps(self, fuse: MakeSteps) -> tuple[dict[tuple[int, int], Step], dict[int, Step]]:
        """Do as _steps, with fused steps, which have no mask and so need no shorter lengths."""
        talk = partial(self._talk, length=self.buckets.lengths[0])
        steps, rows = fuse(self._talker, self._predictor, self._tensors(), talk), self.buckets.rows[::-1]
        self._kept = steps  # a captured graph uses the addresses of their tensors, but does not keep them
        self.buckets = replace(self.buckets, lengths=self.buckets.lengths[-1:])
        talks: dict[tuple[int, int], Step] = {(r, self.buckets.capacity): partial(steps.talk, r) for r in rows}
        return talks, {r: partial(steps.frame, r) for r in rows}

    def _tensors(self) -> SlotTensors:
        return SlotTensors(
            text=self.text,
            sums=self.sums,
            hidden=self._hidden,
            codes=self.codes,
            cache=self._cache,
            parts=self._parts,
            seen=self._seen,
            penalty=self._penalty,
            banned=self._banned,
            first_noise=self._first_noise,
            other_noise=self._other_noise,
            first_warps=self._first_warps,
            other_warps=self._other_warps,
        )

    def _allocate(self) -> None:
        slots, device = self.buckets.slots, self._talker.device
        first, others = self._talker.config.vocab_size, self._predictor.codebooks - 1
        codes = self._talker.config.code_predictor_config.vocab_size
        state = torch.zeros(slots, self._talker.config.hidden_size, dtype=self._talker.dtype, device=device)
        self.text = state
        """The text half of each slot's next talker input [slots, hidden]."""

        self.sums = state.clone()
        """The codec half of that input: the sum of the last frame's embeddings [slots, hidden]."""

        self.codes = torch.zeros(slots, self._predictor.codebooks, dtype=torch.int64, device=device)
        """The last frame of each slot, int64 [slots, 16]."""

        self._hidden = state.clone()
        self._cache = self._transformer.new_cache(self.buckets.capacity, slots)
        for tensor in (self._cache.keys, self._cache.values):
            tensor.zero_()  # masked positions must be finite too
        self._seen = torch.zeros(slots, first, dtype=torch.bool, device=device)
        self._penalty = torch.ones(slots, 1, device=device)
        self._parts = torch.zeros(4, slots, dtype=torch.int64, device=device)
        self._noise = torch.ones(slots, first + others * codes, device=device)
        self._first_noise = self._noise[:, :first]
        self._other_noise = self._noise[:, first:].view(slots, others, codes)
        self._first_warps = WarpTable(slots, first, device)
        self._other_warps = WarpTable(slots, codes, device)

    @property
    def fused(self) -> bool:
        """Whether the steps are fused; PyTorch's otherwise."""
        return self._kept is not None

    @property
    def footprint(self) -> int:
        """Bytes of all slots: KV cache and random numbers, without the captured graphs."""
        return sum(tensor.nbytes for tensor in (self._cache.keys, self._cache.values, self._noise))

    def put(self, slot: int, cache: KvCache, hidden: Tensor, codes_embedding: Tensor | None, sampler: Sampler) -> None:
        """Copy a row into a slot: KV cache, talker's last hidden state, codec half of its next input, and sampler."""
        self.restore(slot, cache)
        self._hidden[slot] = hidden
        if codes_embedding is not None:
            self.sums[slot] = codes_embedding
        self.put_sampler(slot, sampler)

    def restore(self, slot: int, cache: KvCache) -> None:
        """Copy a cache of one row into a slot."""
        for mine, its in ((self._cache.keys, cache.keys), (self._cache.values, cache.values)):
            mine[:, slot, :, : cache.length] = its[:, 0, :, : cache.length]

    def copy(self, slot: int, positions: int) -> KvCache:
        """Return a copy of a slot's first positions, as a cache of one row."""
        mine = (self._cache.keys, self._cache.values)
        keys, values = (tensor[:, slot : slot + 1, :, :positions].clone() for tensor in mine)
        return KvCache(keys, values, positions)

    def prefill(self, slot: int, start: int, embeddings: Tensor) -> Tensor:
        """Advance the talker of a slot by a part of a prompt; see SlotPrefill.run."""
        return self._prefill.run(slot, start, embeddings)

    def put_sampler(self, slot: int, sampler: Sampler) -> None:
        """Copy a row's sampler into a slot."""
        self._seen[slot] = sampler.seen
        self._penalty[slot] = sampler.choice.repetition_penalty
        self._first_warps.put(slot, sampler.choice.talker)
        self._other_warps.put(slot, sampler.choice.predictor)
        self._noise[slot] = 1

    def take(self, slot: int, position: int, cache: KvCache, sampler: Sampler) -> Tensor:
        """Copy a slot's KV cache before `position` and its sampler state to a row; return its hidden state [hidden]."""
        cache.reserve(position)
        new = slice(cache.length, position)
        cache.keys[:, 0, :, new] = self._cache.keys[:, slot, :, new]
        cache.values[:, 0, :, new] = self._cache.values[:, slot, :, new]
        cache.length = position
        sampler.seen.copy_(self._seen[slot])
        return self._hidden[slot].clone()

    def roll(self, slot: int, sampler: Sampler) -> None:
        """Draw the random numbers of a slot's next frame, only from its row's own generator; greedy parts need none."""
        first, others = is_greedy(sampler.choice.talker), is_greedy(sampler.choice.predictor)
        if not (first or others):
            self._noise[slot].exponential_(generator=sampler.generator)
        elif not first:
            self._first_noise[slot].exponential_(generator=sampler.generator)
        elif not others:
            self._other_noise[slot].exponential_(generator=sampler.generator)

    def advance(self, parts: Sequence[SlotStep]) -> int:
        """Run the steps of the first slots, one of `parts` for each; return how many slots were computed."""
        rows = self.buckets.holding_rows(len(parts))
        parts = [*parts, *[NO_STEP] * (self.buckets.slots - len(parts))]
        upload(
            [
                [part.position for part in parts],
                [part.drawn for part in parts],
                [part.talks for part in parts],
                [part.speaks for part in parts],
            ],
            into=self._parts,
        )
        if talking := [part.position for part in parts if part.talks]:
            self.talk(rows, self.buckets.holding_positions(max(talking) + 1))
        self.frame(rows)
        return rows

    def talk(self, rows: int, length: int) -> None:
        """Run the talker of the first `rows` slots, with attention over the first `length` cache positions."""
        self._talks[rows, length]()

    def frame(self, rows: int) -> None:
        """Sample a frame for each of the first `rows` slots."""
        self._frames[rows]()

    def _talk(self, rows: int, length: int) -> None:
        positions, _, talks, _ = self._parts[:, :rows]
        past = _StepPast(self._cache, positions, length)
        states = self._transformer.step(self.sums[:rows] + self.text[:rows], past, positions)
        _replace(self._hidden[:rows], states, talks)

    def _frame(self, rows: int) -> None:
        _, drawn, _, speaks = self._parts[:, :rows]
        hidden = self._hidden[:rows]
        firsts = self._draw_first(self._talker.logits(hidden), drawn, speaks)
        noise = iter(self._other_noise[:rows].unbind(1))
        codes, sums = self._predictor.complete(
            hidden, firsts, lambda logits: self._other_warps.draw(logits, next(noise))
        )
        self.codes[:rows].copy_(codes)
        _replace(self.sums[:rows], sums, speaks)

    def _draw_first(self, logits: Tensor, drawn: Tensor, speaks: Tensor) -> Tensor:
        """Sample code 0 of each row as Sampler.draw does, and mark it as seen in the slots that speak."""
        rows = len(logits)
        seen = self._seen[:rows]
        logits = penalised(logits, seen, self._penalty[:rows]).masked_fill(self._banned, -torch.inf)
        logits[:, self._end].masked_fill_(drawn < FRAMES_BEFORE_END, -torch.inf)
        ids = self._first_warps.draw(logits, self._first_noise[:rows])
        places = ids[:, None]
        seen.scatter_(1, places, seen.gather(1, places) | speaks.bool()[:, None])
        return ids


class _StepPast:
    """Slots as a transformer's past: each token is written at its slot's position and attends from there back."""

    def __init__(self, cache: KvCache, positions: Tensor, length: int) -> None:
        self.rows = len(positions)
        self._cache = cache
        self._length = length
        self._positions = positions
        self._each = torch.arange(self.rows, device=positions.device)
        self._mask = (torch.arange(length, device=positions.device) <= positions[:, None])[:, None, None]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend as Past.attend does, for one token of each row."""
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys[self._each, :, self._positions] = k[:, :, 0]
        values[self._each, :, self._positions] = v[:, :, 0]
        seen = (slice(self.rows), slice(None), slice(self._length))
        return attention_of_one(q, keys[seen], values[seen], self._mask)


def _replace(kept: Tensor, new: Tensor, where: Tensor) -> None:
    """Replace the rows of `kept` [rows, n] by those of `new` where `where` [rows] is not 0."""
    kept.copy_(torch.where(where.bool()[:, None], new, kept))
