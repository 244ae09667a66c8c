"""Which of the ten languages a text is in. Knows letters and statistics, no voices and no requests."""

from collections import Counter

import regex
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from wyoming_qwen3.core.speakers import LANGUAGES, Language

CONFIDENCE = 0.7
"""Probability, among the languages in Latin letters, below which no language is named."""


class LanguageGuesser:
    """Tells the language of a text by its script, and among those in Latin letters by py3langid.

    Its model, which takes most of a second to load, is loaded when a text in Latin letters first asks for it.
    """

    def __init__(self) -> None:
        self._identifier: LanguageIdentifier | None = None

    def guess(self, text: str) -> Language | None:
        """The language that most of the text is in; None if it is none of the ten, or can't be told."""
        code = _code_by_script(text)
        return _LANGUAGE_BY_CODE.get(self._guess_latin(text) if code == _LATIN else code)

    def _guess_latin(self, text: str) -> str:
        if self._identifier is None:
            self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
            self._identifier.set_languages(_LATIN_CODES)
        words = " ".join(_LATIN_WORD.findall(text))
        code, probability = self._identifier.rank(words)[0]
        return str(code) if probability >= CONFIDENCE else ""


_LANGUAGE_BY_CODE = {language.code: language for language in LANGUAGES}
_LATIN = "latin"
_LATIN_CODES = ["en", "de", "fr", "pt", "es", "it"]
_LATIN_WORD = regex.compile(r"[\p{Latin}'’]+")

_SCRIPTS = {"kana": "ja", "hangul": "ko", "han": "zh", "cyrillic": "ru", "latin": _LATIN}
_LETTER = regex.compile(
    r"(?P<kana>[\p{Hiragana}\p{Katakana}])|(?P<hangul>\p{Hangul})|(?P<han>\p{Han})|(?P<cyrillic>\p{Cyrillic})"
    r"|(?P<latin>\p{Latin})|(?P<other>\p{L})"
)
# A letter of these stands for about as much text as this many of an alphabet.
_WEIGHTS = {"kana": 2, "hangul": 2, "han": 3}


def _code_by_script(text: str) -> str:
    """Code of the language that the script decides, or _LATIN; empty if there are no letters, or others."""
    counts = Counter(letter.lastgroup for letter in _LETTER.finditer(text))
    weights = {script: count * _WEIGHTS.get(script or "", 1) for script, count in counts.items()}
    if weights.get("kana"):
        # Japanese is written in both; Chinese has no kana.
        weights["kana"] += weights.pop("han", 0)
    heaviest = max(weights, key=lambda script: weights[script], default=None)
    return _SCRIPTS.get(heaviest or "", "")
