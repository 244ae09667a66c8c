"""Feeds text to the talker: tokens that are settled while text still arrives, and one embedding per frame.

Knows the tokenizer and the order of text embeddings; does NOT know voices, codes or the rest of the prompt.
"""

from collections import deque
from collections.abc import Iterator
from unicodedata import category

from tokenizers import Tokenizer
from torch import Tensor


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the token ids of `text`; what looks like a special token is encoded as plain characters."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


class IncrementalTokenizer:
    """Tokenises text that arrives in pieces; the ids are exactly those of the whole stripped text.

    Byte-pair merges never cross pre-tokens, so the ids of a pre-token are settled as soon as no later text can change
    it. In Unicode normal form C that is when more text follows it than whitespace and combining marks. A long run of
    letters without a boundary, as in Chinese, is not settled before its end.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending = ""
        self._begun = False

    def feed(self, text: str) -> list[int]:
        """Add text and return the ids that it settles, often none."""
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
        """End the text and return the ids of the rest."""
        rest, self._pending = self._pending.rstrip(), ""
        return encode(self._tokenizer, rest)

    def _started(self) -> bool:
        """Return whether there was anything but leading whitespace, which is dropped."""
        if not self._begun:
            self._pending = self._pending.lstrip()
            self._begun = bool(self._pending)
        return self._begun

    def _settled(self, ends: list[int]) -> list[int]:
        """Return the ends of the settled pre-tokens, out of the `ends` of all.

        Trailing whitespace may join the following text or be stripped; combining marks may change the pre-token before
        them.
        """
        settled = ends[:-1]
        while settled and all(char.isspace() or category(char)[0] == "M" for char in self._pending[settled[-1] :]):
            settled.pop()
        return settled


class TextTrack:
    """The text half of the talker's inputs, one embedding per frame: the text, its end once, then endless padding."""

    def __init__(self, trailing: Tensor, end: Tensor, pad: Tensor, *, finished: bool) -> None:
        """Start with `trailing` [n, hidden], which includes the end if `finished`; `end` and `pad` are [hidden]."""
        self._waiting = deque(trailing.unbind())
        self._end = end
        self._pad = pad
        self._finished = finished

    @property
    def stalled(self) -> bool:
        """Whether the next embedding depends on text that has not arrived."""
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
        """The text embedding [hidden] of the next frame; None if it must wait for text."""
        if self.stalled:
            return None
        return self._waiting[0] if self._waiting else self._pad

    def next(self) -> Tensor | None:
        """Remove the upcoming embedding and return it; None if it must wait for text."""
        taken = self.upcoming
        if self._waiting:
            self._waiting.popleft()
        return taken


def _pieces(text: str, ends: list[int]) -> Iterator[str]:
    start = 0
    for end in ends:
        yield text[start:end]
        start = end
