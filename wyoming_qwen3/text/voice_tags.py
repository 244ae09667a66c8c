"""Voice tags in a text, and which of them apply to which part of it. Does NOT know how they are written."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from .delivery import DEFAULT_DELIVERY, Delivery
from .sentences import Sentences, speakable

VoiceTagKind = Literal["voice", "language", "style", "speed", "gain"]
"""What a text can direct: the fields of a Delivery."""


@dataclass(frozen=True)
class VoiceTag:
    """A change of how the text is spoken, up to the next tag of its kind."""

    kind: VoiceTagKind
    value: str | float | None
    """None ends what was directed before."""

    adds: bool = False
    """Whether it is added to a style that no text separates from it, as in `[sad][whispers]`."""

    passing: bool = False
    """Whether it is added to the style for the next sentence only, as a laugh is."""


class ActiveVoiceTags:
    """The voice tags of one text that are in force."""

    def __init__(self) -> None:
        self._lasting = DEFAULT_DELIVERY
        self._style_is_new = False
        self._passing: str | None = None
        self._sentence = Sentences()

    def apply(self, tag: VoiceTag) -> None:
        """Apply a tag from here on."""
        value = tag.value
        if tag.kind == "style":
            self.end_sentence()
            if tag.passing:
                self._passing = _joined(self._passing, str(value))
                return
            if value is None:
                self._passing = None
            elif tag.adds and self._style_is_new:
                value = _joined(self._lasting.style, str(value))
            self._style_is_new = value is not None
        change: dict[str, Any] = {tag.kind: getattr(DEFAULT_DELIVERY, tag.kind) if value is None else value}
        self._lasting = replace(self._lasting, **change)

    def override(self, delivery: Delivery) -> None:
        """Speak as `delivery` says from here on, whatever was directed before."""
        self._lasting = delivery

    def parts(self, text: str) -> Iterator[tuple[str, Delivery]]:
        """Yield the parts of the text that follows, perhaps empty ones, and how each is spoken."""
        self._style_is_new = self._style_is_new and not speakable(text)
        if self._passing:
            end = self._sentence_end(text)
            yield text[:end], replace(self._lasting, style=_joined(self._lasting.style, self._passing))
            if end is None:
                return
            self._passing, self._sentence = None, Sentences()
            text = text[end:]
        yield text, self._lasting

    def end_sentence(self) -> None:
        """End the sentence if it has words, because the text pauses or a tag divides it."""
        if self._passing and speakable(self._sentence.tail):
            self._passing, self._sentence = None, Sentences()

    def _sentence_end(self, text: str) -> int | None:
        """Return where in `text` the sentence ends, of which there may be words already; None if it goes on."""
        end = -len(self._sentence.tail)
        for sentence in self._sentence.feed(text):
            end += len(sentence)
            if speakable(sentence):
                return end
        return None


_MAX_STYLE = 300
"""Length of a style in characters from which on nothing is added to it."""


def _joined(style: str | None, added: str) -> str:
    """Return a style with another one added, unless it is there already."""
    if not style:
        return added
    return style if added in style or len(style) > _MAX_STYLE else f"{style}, {added}"
