"""Detects which of the ten languages a text is in. Knows letters and statistics, no voices and no requests."""

from collections import Counter
from pathlib import Path

import regex
from py3langid.langid import LanguageIdentifier

from wyoming_qwen3.core.speakers import LANGUAGES, Language

LATIN_MODEL = Path(__file__).parent / "latin" / "model.npz.xz"
"""The part of py3langid's model for `LATIN_CODES`, written by tests/text/latin_model.py."""

CONFIDENCE = 0.7
"""Probability, among the languages in Latin letters, below which no language is returned."""


class LanguageGuesser:
    """Detects the language of a text by its script, and among those in Latin letters with py3langid.

    Its model takes 0.06 s to load, and is loaded for the first text in Latin letters.
    """

    def __init__(self) -> None:
        self._identifier: LanguageIdentifier | None = None

    @property
    def loaded(self) -> bool:
        """Whether `guess` takes well under a millisecond."""
        return self._identifier is not None

    def guess(self, text: str) -> Language | None:
        """Return the language of most of the text; None if it is none of the ten, or uncertain."""
        code = _code_by_script(text)
        return _LANGUAGE_BY_CODE.get(self._guess_latin(text) if code == _LATIN else code)

    def _guess_latin(self, text: str) -> str:
        if self._identifier is None:
            self._identifier = LanguageIdentifier.from_modelpath(LATIN_MODEL, norm_probs=True)
        words = " ".join(LATIN_WORD.findall(text))
        code, probability = self._identifier.rank(words)[0]
        return str(code) if probability >= CONFIDENCE else ""


_LANGUAGE_BY_CODE = {language.code: language for language in LANGUAGES}
_LATIN = "latin"
LATIN_CODES = ("en", "de", "fr", "pt", "es", "it")
LATIN_WORD = regex.compile(r"[\p{Latin}'’]+")

_SCRIPTS = {"kana": "ja", "hangul": "ko", "han": "zh", "cyrillic": "ru", "latin": _LATIN}
_LETTER = regex.compile(
    r"(?P<kana>[\p{Hiragana}\p{Katakana}])|(?P<hangul>\p{Hangul})|(?P<han>\p{Han})|(?P<cyrillic>\p{Cyrillic})"
    r"|(?P<latin>\p{Latin})|(?P<other>\p{L})"
)
# One letter of these scripts stands for about as much text as this many letters of an alphabet.
_WEIGHTS = {"kana": 2, "hangul": 2, "han": 3}


def _code_by_script(text: str) -> str:
    """Return the code of the language of the most used script, or _LATIN; "" for other scripts and no letters."""
    counts = Counter(letter.lastgroup for letter in _LETTER.finditer(text))
    weights = {script: count * _WEIGHTS.get(script or "", 1) for script, count in counts.items()}
    if weights.get("kana"):
        # Japanese is written in both; Chinese has no kana.
        weights["kana"] += weights.pop("han", 0)
    heaviest = max(weights, key=lambda script: weights[script], default=None)
    return _SCRIPTS.get(heaviest or "", "")
