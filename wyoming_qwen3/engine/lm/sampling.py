"""Samples codes from logits: the processors of transformers 4.57, in its order, with one generator per row.

Knows logits and ids; does NOT know what they mean, except which are never drawn and which one ends speech.
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
"""Temperatures below it count as 0: logits divided by them would overflow a float."""


@dataclass(frozen=True)
class Warp:
    """How a distribution is changed before a draw: temperature 0 is greedy; top_k 0 and top_p 1 keep all ids."""

    temperature: float
    top_k: int
    top_p: float

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities for float32 logits [rows, vocabulary]; the temperature must be above 0."""
        logits = logits / self.temperature
        if self.top_k > 0:
            kept = torch.topk(logits, min(self.top_k, logits.shape[-1])).values
            logits = logits.masked_fill(logits < kept[:, -1:], -torch.inf)
        if self.top_p < 1.0:
            logits = _cut_tail(logits, self.top_p)
        return logits.softmax(-1)


@dataclass(frozen=True)
class Choice:
    """The sampling parameters of one utterance."""

    talker: Warp
    predictor: Warp
    repetition_penalty: float
    seed: int | None


def choose(sampling: Sampling, defaults: Mapping[str, Any]) -> Choice:
    """Complete a request's sampling from the checkpoint's generation_config.json, else from upstream's constants.

    A value in the request applies to both talker and code predictor. If the request has no temperature, the defaults
    also decide whether sampling is greedy.
    """
    return Choice(
        talker=_warp(sampling, defaults, "", "do_sample"),
        predictor=_warp(sampling, defaults, "subtalker_", "subtalker_dosample"),
        repetition_penalty=_first(sampling.repetition_penalty, defaults.get("repetition_penalty"), 1.05),
        seed=sampling.seed,
    )


class Sampler:
    """The sampling state of one row: its parameters, its generator and the ids drawn so far.

    `banned` bool [vocabulary] marks the ids that are never drawn; `end` is the id that ends speech.
    """

    def __init__(self, choice: Choice, banned: Tensor, end: int) -> None:
        self.choice = choice
        self.generator = torch.Generator(banned.device)
        if choice.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(choice.seed)
        self.seen = torch.zeros_like(banned)
        """The ids of codebook 0 that were drawn before, bool [vocabulary]."""

        self.drawn = 0
        """How often an id of codebook 0 was drawn."""

        self._banned = banned
        self._end = end

    @property
    def greedy(self) -> bool:
        """Whether talker and code predictor are both greedy, so that another seed would change nothing."""
        return max(self.choice.talker.temperature, self.choice.predictor.temperature) < _COLDEST

    def save(self) -> tuple[Tensor, Tensor, int]:
        """Return everything that draws change, for `restore`."""
        return self.generator.get_state(), self.seen.clone(), self.drawn

    def restore(self, saved: tuple[Tensor, Tensor, int]) -> None:
        """Go back to a saved state, as if nothing had been drawn since."""
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
    """The warps of several rows as tensors, to sample all rows at once without reading a value back to the host."""

    def __init__(self, rows: int, vocabulary: int, device: torch.device) -> None:
        """Create a table in which all rows are greedy."""
        self._vocabulary = vocabulary
        self.temperature = torch.ones(rows, 1, device=device)
        self.kept = torch.ones(rows, 1, dtype=torch.int64, device=device)
        self.tail = torch.zeros(rows, 1, device=device)

    def put(self, row: int, warp: Warp) -> None:
        """Set the warp of a row; a greedy one keeps a single id."""
        greedy = is_greedy(warp)
        self.temperature[row] = 1.0 if greedy else warp.temperature
        self.kept[row] = 1 if greedy else min(warp.top_k or self._vocabulary, self._vocabulary)
        self.tail[row] = 0.0 if greedy else 1 - warp.top_p

    def draw(self, logits: Tensor, noise: Tensor) -> Tensor:
        """Draw an id for each of the first rows: float32 logits [rows, vocabulary] -> int64 [rows].

        With `noise` [rows, vocabulary] from the exponential distribution the draw is that of torch.multinomial, with
        one difference: all ids that are equally likely, to the last bit, at the cut of a warp are kept. The noise of a
        greedy row must be 1 everywhere.
        """
        rows = len(logits)
        logits = logits / self.temperature[:rows]
        ordered = logits.sort(-1).values
        ordered = ordered.masked_fill(ordered < ordered.gather(-1, self._vocabulary - self.kept[:rows]), -torch.inf)
        cut = ordered.softmax(-1).cumsum(-1) <= self.tail[:rows]
        cut[:, -1] = False
        least = ordered.masked_fill(cut, torch.inf).amin(-1, keepdim=True)
        probabilities = logits.masked_fill(logits < least, -torch.inf).softmax(-1)
        return (probabilities / noise).argmax(-1)


def is_greedy(warp: Warp) -> bool:
    """Return whether a warp takes the likeliest id and needs no random number."""
    return warp.temperature < _COLDEST


def penalised(logits: Tensor, seen: Tensor, penalty: float | Tensor) -> Tensor:
    """Apply the repetition penalty to the logits of seen ids: above 1 it makes them less likely."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def draw_residual(logits: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Draw the next code of the code predictor for each row: float32 logits [rows, vocabulary] -> int64 [rows]."""
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
    """Mask all ids but the fewest likeliest that together have the probability `top_p`; at least one is kept."""
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
    """Return the first value that is not None."""
    return next(value for value in values if value is not None)
