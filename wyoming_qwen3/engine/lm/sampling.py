"""How codes are drawn from logits: the processors of transformers 4.57, in its order, with a generator per row.

Knows logits and ids; does NOT know what they mean, but for the ids that are never drawn and the one that ends speech.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wyoming_qwen3.core.request import Sampling

FRAMES_BEFORE_END = 2
"""Upstream's min_new_tokens: the end of speech is never drawn before the third step."""

_COLDEST = 1e-5
"""Temperatures below it are 0: logits divided by them would not fit into a float."""


@dataclass(frozen=True)
class Warp:
    """What reshapes a distribution before a draw; temperature 0 takes the likeliest, top_k 0 and top_p 1 keep all."""

    temperature: float
    top_k: int
    top_p: float

    def probabilities(self, logits: Tensor) -> Tensor:
        """Float32 logits [rows, vocabulary] -> probabilities, for a temperature above 0."""
        logits = logits / self.temperature
        if self.top_k > 0:
            kept = torch.topk(logits, min(self.top_k, logits.shape[-1])).values
            logits = logits.masked_fill(logits < kept[:, -1:], -torch.inf)
        if self.top_p < 1.0:
            logits = _cut_tail(logits, self.top_p)
        return logits.softmax(-1)


@dataclass(frozen=True)
class Choice:
    """All that is settled before the first draw of an utterance."""

    talker: Warp
    predictor: Warp
    repetition_penalty: float
    seed: int | None


def choose(sampling: Sampling, defaults: Mapping[str, Any]) -> Choice:
    """Fill what a request leaves open from the checkpoint's generation_config.json, else from upstream's constants.

    A value of the request goes to talker and predictor alike. Without a temperature in the request, the defaults
    also decide whether draws are greedy.
    """
    return Choice(
        talker=_warp(sampling, defaults, "", "do_sample"),
        predictor=_warp(sampling, defaults, "subtalker_", "subtalker_dosample"),
        repetition_penalty=_first(sampling.repetition_penalty, defaults.get("repetition_penalty"), 1.05),
        seed=sampling.seed,
    )


class Sampler:
    """The draws of one row: its generator, the ids it drew so far, and how it draws.

    `banned` is bool [vocabulary], the ids that are never drawn; `end` is the id that ends speech.
    """

    def __init__(self, choice: Choice, banned: Tensor, end: int) -> None:
        self.choice = choice
        self.generator = torch.Generator(banned.device)
        if choice.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(choice.seed)
        self.seen = torch.zeros_like(banned)
        """The ids of codebook 0 that were drawn, bool [vocabulary]."""

        self.drawn = 0
        """How often an id of codebook 0 was drawn."""

        self._banned = banned
        self._end = end

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance, so that another seed would change nothing."""
        return max(self.choice.talker.temperature, self.choice.predictor.temperature) < _COLDEST

    def save(self) -> tuple[Tensor, Tensor, int]:
        """All that draws change, for `restore`."""
        return self.generator.get_state(), self.seen.clone(), self.drawn

    def restore(self, saved: tuple[Tensor, Tensor, int]) -> None:
        """Be as it was then, as if nothing had been drawn since."""
        state, self.seen, self.drawn = saved
        self.generator.set_state(state)

    def draw(self, logits: Tensor) -> Tensor:
        """Draw the next id of codebook 0, int64 [], from float32 logits [vocabulary], and remember it."""
        logits = penalised(logits, self.seen, self.choice.repetition_penalty).masked_fill(self._banned, -torch.inf)
        if self.drawn < FRAMES_BEFORE_END:
            logits[self._end] = -torch.inf
        token = _draw(logits[None], self.choice.talker, (self,))[0]
        self.seen[token] = True
        self.drawn += 1
        return token


class WarpTable:
    """The warps of some rows as tensors: how all rows are drawn at once, without a look at any value."""

    def __init__(self, rows: int, vocabulary: int, device: torch.device) -> None:
        """All rows are greedy at first."""
        self._vocabulary = vocabulary
        self._temperature = torch.ones(rows, 1, device=device)
        self._kept = torch.ones(rows, 1, dtype=torch.int64, device=device)
        self._tail = torch.zeros(rows, 1, device=device)

    def put(self, row: int, warp: Warp) -> None:
        """Set the warp of a row; the greedy one keeps a single id."""
        greedy = is_greedy(warp)
        self._temperature[row] = 1.0 if greedy else warp.temperature
        self._kept[row] = 1 if greedy else min(warp.top_k or self._vocabulary, self._vocabulary)
        self._tail[row] = 0.0 if greedy else 1 - warp.top_p

    def draw(self, logits: Tensor, noise: Tensor) -> Tensor:
        """Draw an id for each row from the first on, float32 logits [rows, vocabulary] -> int64 [rows].

        Given `noise` [rows, vocabulary] from the exponential distribution it is torch.multinomial's draw, but for ids
        that are equally likely to the last bit at a warp's edge: these are kept. A greedy row's noise is 1 everywhere.
        """
        rows = len(logits)
        logits = logits / self._temperature[:rows]
        ordered = logits.sort(-1).values
        ordered = ordered.masked_fill(ordered < ordered.gather(-1, self._vocabulary - self._kept[:rows]), -torch.inf)
        cut = ordered.softmax(-1).cumsum(-1) <= self._tail[:rows]
        cut[:, -1] = False
        least = ordered.masked_fill(cut, torch.inf).amin(-1, keepdim=True)
        probabilities = logits.masked_fill(logits < least, -torch.inf).softmax(-1)
        return (probabilities / noise).argmax(-1)


def is_greedy(warp: Warp) -> bool:
    """Whether it takes the likeliest id and draws no number."""
    return warp.temperature < _COLDEST


def penalised(logits: Tensor, seen: Tensor, penalty: float | Tensor) -> Tensor:
    """Logits with those of seen ids made less likely, where the penalty is above 1."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def draw_residual(logits: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Draw one code of a codebook above 0 for each row: float32 logits [rows, vocabulary] -> int64 [rows]."""
    warps = [sampler.choice.predictor for sampler in samplers]
    if all(warp == warps[0] for warp in warps):
        return _draw(logits, warps[0], samplers)
    rows = zip(logits.unbind(), warps, samplers, strict=True)
    return torch.cat([_draw(row[None], warp, (sampler,)) for row, warp, sampler in rows])


def _draw(logits: Tensor, warp: Warp, samplers: Sequence[Sampler]) -> Tensor:
    if is_greedy(warp):
        return logits.argmax(-1)
    rows = zip(warp.probabilities(logits).unbind(), samplers, strict=True)
    return torch.cat([torch.multinomial(row, 1, generator=sampler.generator) for row, sampler in rows])


def _cut_tail(logits: Tensor, top_p: float) -> Tensor:
    """Keep the fewest likeliest ids that together have `top_p` of the probability, and at least one."""
    ordered, order = logits.sort(-1, descending=False)
    cut = ordered.softmax(-1).cumsum(-1) <= 1 - top_p
    cut[:, -1] = False
    return logits.masked_fill(torch.zeros_like(cut).scatter(-1, order, cut), -torch.inf)


def _warp(sampling: Sampling, defaults: Mapping[str, Any], prefix: str, switch: str) -> Warp:
    temperature = sampling.temperature
    if temperature is None:
        temperature = defaults.get(f"{prefix}temperature", 0.9) if defaults.get(switch, True) else 0.0
    return Warp(
        temperature=temperature,
        top_k=_first(sampling.top_k, defaults.get(f"{prefix}top_k"), 50),
        top_p=_first(sampling.top_p, defaults.get(f"{prefix}top_p"), 1.0),
    )


def _first(*values: Any) -> Any:
    """The first value that is not None."""
    return next(value for value in values if value is not None)
