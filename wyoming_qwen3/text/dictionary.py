"""Replaces words of clean text by the way a person wants them spoken.

An entry is a whole word (or several), or a regular expression. Expressions apply first, in their order, then the
longest words; what was put in is not replaced again. Knows neither files nor requests.
"""

import hashlib
import time
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import regex

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.speakers import Language, find_language

MatchKind: TypeAlias = Literal["word", "regex"]

MAX_CHARACTERS = 200
"""Maximum length of what is written, and of what is spoken."""

EXPRESSION_SECONDS = 0.001
"""Maximum processor time of one expression in one text."""

TEXT_SECONDS = 0.004
"""Maximum processor time of all expressions in one text."""


@dataclass(frozen=True)
class Entry:
    """What is spoken instead of what is written. Create it with `make_entry`, which checks it."""

    written: str
    """Words, or a regular expression of the regex package."""

    spoken: str
    """Empty if it is not heard. That of an expression may refer to its groups, as in `\\1`."""

    language: str | None = None
    """ISO 639-1 code of the language that it applies to; None for all, and for text of an unknown language."""

    match: MatchKind = "word"
    case: bool = False
    """Whether upper and lower case must be as written."""

    @cached_property
    def id(self) -> str:
        """An ID made from all but `spoken`: two entries with the same ID would apply to the same words."""
        folded = self.match == "word" and not self.case
        key = (fold(self.written) if folded else self.written, self.language or "", self.match, str(self.case))
        return hashlib.sha256("\0".join(key).encode()).hexdigest()[:12]

    @cached_property
    def pattern(self) -> regex.Pattern[str]:
        """The compiled expression. Raises InvalidRequest if it, or a reference to its groups, is none."""
        flags = 0 if self.case else regex.IGNORECASE
        try:
            pattern = regex.compile(self.written, flags)
        except (regex.error, ValueError) as error:  # ValueError: {<b| after a brace
            raise InvalidRequest(f"The regular expression is not valid: {error}.", param="written") from None
        try:
            matches_nothing = pattern.match("", timeout=TEXT_SECONDS)
        except TimeoutError:
            raise InvalidRequest("The regular expression calls itself without end.", param="written") from None
        if matches_nothing:
            raise InvalidRequest("The regular expression must not match empty text.", param="written")
        try:  # the last alternative matches, so that there is something to expand; \n ends a comment
            regex.compile(f"(?!)(?:{self.written}\n)|", flags).match("").expand(self.spoken)
        except (regex.error, IndexError, ValueError) as error:
            raise InvalidRequest(f"What is spoken has a wrong reference: {error}.", param="spoken") from None
        return pattern


def make_entry(
    written: str, spoken: str, language: str | None = None, match: MatchKind = "word", *, case: bool = False
) -> Entry:
    """Return a checked entry; `language` is a code or name, None, "" or "auto" for all.

    Raises InvalidRequest and LanguageNotSupported.
    """
    for param, text in (("written", written), ("spoken", spoken)):
        if len(text) > MAX_CHARACTERS:
            raise InvalidRequest(
                f"What is {param} has {len(text)} characters, but at most {MAX_CHARACTERS} are allowed.", param=param
            )
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
            raise InvalidRequest(f"What is {param} must be one line without control characters.", param=param)
    written, spoken = unicodedata.normalize("NFC", written).strip(), unicodedata.normalize("NFC", spoken).strip()
    if match == "word":
        written, spoken = " ".join(written.split()), " ".join(spoken.split())
    if not written:
        raise InvalidRequest("What is written is empty; write the word to replace.", param="written")
    known = find_language(language) if language and language.strip() else None
    entry = Entry(written, spoken, known.code if known else None, match, case)
    if match == "regex":
        entry.pattern  # noqa: B018  checks it
    return entry


class Rewriting(NamedTuple):
    """A text after replacement, and what was done."""

    text: str
    applied: tuple[str, ...] = ()
    """ID of the entry of each replacement."""

    late: Mapping[str, str] = {}
    """ID of each expression that was not applied for lack of time -> one sentence on it."""


class Dictionary:
    """Entries, compiled for all languages. Immutable, and safe to use from several threads; don't change `by_id`."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Of entries with the same ID, the first one applies."""
        self.by_id: dict[str, Entry] = {}
        for entry in entries:
            self.by_id.setdefault(entry.id, entry)
        applying = self.by_id.values()
        self._lexicons = {
            language: _LanguageEntries([entry for entry in applying if entry.language in {None, language}])
            for language in {None, *(entry.language for entry in applying)}
        }

    def rewrite(self, text: str, language: Language | None) -> Rewriting:
        """Return clean text as it is to be spoken. Entries of a language apply only if `language` is that one.

        Takes some 0.2 ms for 300 characters, and at most `TEXT_SECONDS` more for expressions.
        """
        lexicon = self._lexicons.get(language.code if language else None, self._lexicons[None])
        return lexicon.rewrite(text)


@dataclass(frozen=True)
class _Replacement:
    start: int
    end: int
    spoken: str
    entry: str


class _LanguageEntries:
    """The entries that apply to one language."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._expressions = [entry for entry in entries if entry.match == "regex"]
        self._words: dict[str, list[Entry]] = {}
        words = [entry for entry in entries if entry.match == "word"]
        for entry in sorted(words, key=lambda entry: (entry.language is None, not entry.case)):
            self._words.setdefault(fold(entry.written), []).append(entry)
        lengths: dict[str, set[int]] = {}
        for folded in self._words:
            lengths.setdefault(_key(_TOKEN.match(folded)[0]), set()).add(len(folded))
        self._lengths = {key: sorted(found, reverse=True) for key, found in lengths.items()}

    def rewrite(self, text: str) -> Rewriting:
        if not (self._words or self._expressions):
            return Rewriting(text)
        composed = unicodedata.normalize("NFC", text)
        taken, late = bytearray(len(composed)), dict[str, str]()
        found = [*self._expressions_in(composed, taken, late), *self._words_in(composed, taken)]
        found.sort(key=lambda one: one.start)
        if not found:
            return Rewriting(text, late=late)
        return Rewriting(_replaced(composed, found), tuple(one.entry for one in found), late)

    def _expressions_in(self, text: str, taken: bytearray, late: dict[str, str]) -> Iterator[_Replacement]:
        """Yield what the expressions replace, and mark it in `taken`, which has a byte for each character.

        Those that take too long replace nothing, and are added to `late`.
        """
        left = TEXT_SECONDS
        for entry in self._expressions:
            if left <= 0:
                late[entry.id] = "It was not applied to a text, because the expressions before it took all of the time."
                continue
            begun = time.thread_time()
            try:
                matches = list(entry.pattern.finditer(text, timeout=min(left, EXPRESSION_SECONDS)))
            except TimeoutError:
                late[entry.id] = "It took too long in a text and was not applied there; make it simpler."
                matches = []
            for match in matches:
                start, end = match.span()
                if start < end and not any(taken[start:end]):
                    taken[start:end] = b"\1" * (end - start)
                    yield _Replacement(start, end, " ".join(match.expand(entry.spoken).split()), entry.id)
            left -= time.thread_time() - begun

    def _words_in(self, text: str, taken: bytearray) -> Iterator[_Replacement]:
        """Yield what the words replace outside of what is `taken`."""
        if not self._words:
            return
        folded, plain = fold(text), text.translate(_PLAIN)
        tokens = [match.span() for match in _TOKEN.finditer(folded)]
        ends = [end for _, end in tokens]
        reached = 0
        for start, token_end in tokens:
            if start < reached:
                continue
            for length in self._lengths.get(_key(folded[start:token_end]), ()):
                end = start + length
                entry = self._named(folded[start:end], plain[start:end]) if end <= len(folded) else None
                if entry and _is_end(folded, end, ends) and not any(taken[start:end]):
                    yield _Replacement(start, end, entry.spoken, entry.id)
                    reached = end
                    break

    def _named(self, folded: str, plain: str) -> Entry | None:
        """Return the entry for words, which are given both folded and with their case."""
        named = self._words.get(folded, ())
        return next((one for one in named if not one.case or one.written.translate(_PLAIN) == plain), None)


def fold(text: str) -> str:
    """Return text in lower case and with plain apostrophes and spaces. Its length is the same."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(low if len(low := character.lower()) == 1 else character for character in text)
    return lower.translate(_PLAIN)


_PLAIN = str.maketrans("’ʼ‘＇\u00a0\u202f\u2009\t\n", "''''     ")

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\u30FC\uFF70"
_LETTERS = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}\p{{Hangul}}]]"
_TOKEN = regex.compile(rf"(?V1){_LETTERS}+(?:(?<=\p{{N}})[.,:](?=\p{{N}}){_LETTERS}+)*+|\p{{Hangul}}+|(?s:.)")
"""A word or number; Korean up to a space; or a single character, such as one of a script without spaces."""

_PARTICLES = regex.compile(
    "(?:은|는|이|가|을|를|의|에게서|에게|에서|에|으로|로|와|과|도|만|까지|부터|마다|처럼|보다|밖에|조차|이나|나"
    "|이랑|랑|하고|한테|께서|께|이라고|라고|이라|라|입니다|이에요|예요|이야|야|아|들){1,3}"
)
"""What Korean appends to a noun without a space."""


def _key(token: str) -> str:
    """Return what words are found by: the first token, but of Korean, to which particles are appended, a character."""
    return token[0] if "가" <= token[0] <= "힣" else token


def _is_end(folded: str, end: int, ends: Sequence[int]) -> bool:
    """Return whether a word ends at `end`, which may be followed by Korean particles."""
    token_end = ends[bisect_left(ends, end)]
    return end == token_end or _PARTICLES.fullmatch(folded, end, token_end) is not None


def _replaced(text: str, replacements: Sequence[_Replacement]) -> str:
    """Return the text with replacements, which are in order; where nothing is put in, no double space is left."""
    parts, at = "", 0
    for one in replacements:
        parts += text[at : one.start] + one.spoken
        at = one.end
        if not one.spoken and (not parts or parts[-1].isspace()):
            if at == len(text) or text[at] in _CLOSING:
                parts = parts.rstrip()
            elif text[at].isspace():
                at += 1
    return parts + text[at:]


_CLOSING = ".,;:!?…)]。，、！？"
