"""Text on its way into the talker: tokens that are settled while text still arrives, and one embedding per frame.

Knows the tokenizer and the order of text embeddings; does NOT know voices, codes or the rest of the prompt.
"""

from collections import deque
from collections.abc import Iterator
from unicodedata import category

from tokenizers import Tokenizer
from torch import Tensor


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of `text`; what looks like a special token is read as the characters it is made of."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


class IncrementalTokenizer:
    """Tokenises text that arrives in pieces, and gives the ids of the whole stripped text exactly.

    Byte-pair merges never cross pre-tokens, so the ids of a pre-token are settled as soon as no later text can change
    it, in Unicode normal form C: when another one follows that is neither whitespace nor combining marks alone. A
    long run of letters without a boundary, as in Chinese, waits for its end.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending = ""
        self._begun = False

    def feed(self, text: str) -> list[int]:
        """Take more text; returns the ids that are settled by it, often none."""
        tokenizer = self._tokenizer
        self._pending = tokenizer.normalizer.normalize_str(self._pending + text)
        if not self._started():
            return []
        ends = [end for _, (_, end) in tokenizer.pre_tokenizer.pre_tokenize_str(self._pending)]
        settled = self._settled(ends)
        ids = [number for piece in _pieces(self._pending, settled) for number in encode(self._tokenizer, piece)]
        if settled:
            self._pending = self._pending[settled[-1] :]
        return ids

    def finish(self) -> list[int]:
        """No more text comes; returns the ids of the rest."""
        rest, self._pending = self._pending.rstrip(), ""
        return encode(self._tokenizer, rest)

    def _started(self) -> bool:
        """Whether there is anything but leading whitespace, which is dropped."""
        if not self._begun:
            self._pending = self._pending.lstrip()
            self._begun = bool(self._pending)
        return self._begun

    def _settled(self, ends: list[int]) -> list[int]:
        """Ends of the settled pre-tokens.

        Whitespace may join what comes, or be stripped; combining marks may change the pre-token before.
        """
        settled = ends[:-1]
        while settled and all(char.isspace() or category(char)[0] == "M" for char in self._pending[settled[-1] :]):
            settled.pop()
        return settled


class TextTrack:
    """The text half of the talker's inputs, one embedding per frame: the text, its end once, then padding for ever."""

    def __init__(self, trailing: Tensor, end: Tensor, pad: Tensor, *, finished: bool) -> None:
        """Start with `trailing` [n, hidden], which already holds the end when `finished`; `end`, `pad` are [hidden]."""
        self._waiting = deque(trailing.unbind())
        self._end = end
        self._pad = pad
        self._finished = finished

    @property
    def stalled(self) -> bool:
        """Whether the next embedding depends on text that has not come."""
        return not self._waiting and not self._finished

    def extend(self, embeddings: Tensor) -> None:
        """Append text embeddings [n, hidden]."""
        self._waiting.extend(embeddings.unbind())

    def finish(self) -> None:
        """Append the end of text; calling it again changes nothing."""
        if not self._finished:
            self._waiting.append(self._end)
            self._finished = True

    @property
    def upcoming(self) -> Tensor | None:
        """The embedding [hidden] for the next frame, or None when it must wait for text."""
        if self.stalled:
            return None
        return self._waiting[0] if self._waiting else self._pad

    def next(self) -> Tensor | None:
        """Take the upcoming embedding."""
        taken = self.upcoming
        if self._waiting:
            self._waiting.popleft()
        return taken


def _pieces(text: str, ends: list[int]) -> Iterator[str]:
    start = 0
    for end in ends:
        yield text[start:end]
        start = end
