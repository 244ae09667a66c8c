"""Writes the text of pieces as it is to be pronounced: by the dictionary, then numbers, units and signs in words."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from wyoming_qwen3.core.request import Normalization
from wyoming_qwen3.core.speakers import Language, find_language
from wyoming_qwen3.text.language import LanguageGuesser
from wyoming_qwen3.text.normalize import mode_for, normalize, open_from, prepare
from wyoming_qwen3.text.pieces import SpokenPiece

from .pronunciation import PronunciationDictionary


class Verbalizer:
    """What is the same for all utterances: the dictionary, the setting, and the languages whose data is loaded."""

    def __init__(self, dictionary: PronunciationDictionary, guesser: LanguageGuesser, setting: Normalization) -> None:
        self._dictionary = dictionary
        self._guesser = guesser
        self._setting: Normalization = setting
        self._prepared: set[Language] = set()

    async def language_of(self, text: str) -> Language | None:
        """Return the language that a text seems to be in; None if that is uncertain or none of the ten."""
        if self._guesser.loaded:
            return self._guesser.guess(text)
        return await asyncio.to_thread(self._guesser.guess, text)

    async def prepare(self, language: Language | None) -> None:
        """Load the data of a language if it is needed and not loaded yet, which takes some 0.1 s."""
        if language and self._setting != "off" and language not in self._prepared:
            await asyncio.to_thread(prepare, language)
            self._prepared.add(language)

    def verbalize(self, text: str, language: Language | None) -> str:
        """Return clean text as it is to be pronounced. Of an unknown language only the dictionary is applied."""
        return self.write_out(self._dictionary.apply(text, language), language)

    def write_out(self, text: str, language: Language | None) -> str:
        """Return a text with numbers, units and signs in words, as far as its language needs that."""
        mode = mode_for(self._setting, language, standby=False)
        return normalize(text, language, mode) if language and mode else text

    def verbalize_for_standby(self, text: str) -> str:
        """Return text that is verbalized already as the standby voice, which speaks English, can pronounce it."""
        english = find_language("en")
        mode = mode_for(self._setting, english, standby=True)
        return normalize(text, english, mode) if english and mode else text


class UtteranceVerbalizer:
    """Verbalizes the pieces of one utterance. A language that is not given is guessed from them.

    Each piece is passed to `prepare` first, and then to `verbalize` or `verbalize_words`, which do not wait.
    """

    def __init__(self, verbalizer: Verbalizer, language_of: Callable[[SpokenPiece], Language | None]) -> None:
        """`language_of` returns the language that a piece is to be spoken in; None if that is left open."""
        self._verbalizer = verbalizer
        self._language_of = language_of
        self._language: Language | None = None
        self._guessed: Language | None = None
        self._words = ""
        self._open: SpokenPiece | None = None
        """Words that wait for what belongs to their number, such as a unit."""

    async def prepare(self, piece: SpokenPiece) -> None:
        """Determine the piece's language, and load what that needs."""
        language = self._language_of(piece)
        if language is None:
            text = (self._words + piece.text)[-_MAX_GUESSED:]
            self._guessed = language = await self._verbalizer.language_of(text) or self._guessed
        await self._verbalizer.prepare(language)
        self._language = language

    def verbalize(self, piece: SpokenPiece) -> SpokenPiece:
        """Return a piece of whole sentences as it is to be pronounced."""
        return replace(piece, text=self._verbalizer.verbalize(piece.text, self._language))

    def verbalize_words(self, piece: SpokenPiece) -> SpokenPiece | None:
        """Return the words that no later ones can change; None if all of them wait.

        `piece` continues the one before, and has the same delivery.
        """
        self._words = (self._words + piece.text)[-_MAX_GUESSED:]
        text = (self._open.text if self._open else "") + piece.text
        end = open_from(text, self._language) if self._language else len(text)
        ready = text[:end].rstrip()
        rest = text[len(ready) :]
        self._open = replace(piece, text=rest) if rest else None
        return self.verbalize(replace(piece, text=ready)) if ready else None

    def finish_words(self) -> SpokenPiece | None:
        """Return the words that still wait, because the stretch of speech ends; None if there are none."""
        waiting, self._open, self._words = self._open, None, ""
        return self.verbalize(waiting) if waiting else None


_MAX_GUESSED = 300
"""Number of characters from which a language is guessed at most."""
