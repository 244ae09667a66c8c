"""Numerals before a noun: gender, and the numerals that some nouns need.

Where no table says it, the gender of a noun is guessed from its ending, which is right for most nouns.
"""

import re
from functools import lru_cache

from .lexicon import Lexicon, lexicon
from .numerals import LONGEST_NUMBER, Numeral, cardinal, decimal, spell, written


@lru_cache(8192)
def count(code: str, number: Numeral, noun: str) -> str:
    """Return a number in words, as it is said before a noun; the noun may be empty or unknown."""
    words = lexicon(code)
    if not number.is_whole:
        return decimal(number, words)
    digits = number.whole
    if len(digits) > LONGEST_NUMBER or (len(digits) > 1 and digits[0] == "0") or not noun:
        return cardinal(digits, words)
    agree = _AGREEMENT.get(code)
    return (agree and agree(int(digits), noun, words)) or cardinal(digits, words)


def number_text(words: Lexicon, number: Numeral, noun: str, *, in_words: bool, genitive: bool = False) -> str:
    """Return a number before a noun; without `in_words` it stays in digits. `genitive` is for Russian."""
    if not in_words:
        return written(number, words)
    if genitive and number.is_whole and len(number.whole) <= LONGEST_NUMBER:
        feminine = re.search(r"[ыи]$", noun) and number.whole[-1] == "1"
        return spell("ru", int(number.whole), f"cardinal-{'feminine' if feminine else 'masculine'}-genitive")
    return count(words.code, number, noun)


def is_noun(word: str) -> bool:
    """Return whether a word after a number may be a noun, in a Romance language."""
    return word.lower() not in _NO_NOUNS


def is_feminine(code: str, noun: str) -> bool:
    """Return whether a noun of a Romance language is feminine, as far as is known."""
    if code == "it":
        return noun[-1:] in ("a", "e") or noun in lexicon("it").feminine
    return _is_feminine(noun, lexicon(code)) if code == "fr" else _ends_feminine(noun, lexicon(code))


def is_native_korean(words: Lexicon, number: Numeral, noun: str) -> bool:
    """Return whether a number before a noun is a native Korean numeral, which a space follows."""
    if words.code != "ko" or not noun or not number.is_whole or noun.startswith("월"):
        return False
    return _korean(int(number.whole[:LONGEST_NUMBER]), noun, words) != ""


def _is_feminine(noun: str, words: Lexicon) -> bool:
    return noun in words.feminine or noun.lower() in words.feminine


def _german(number: int, noun: str, words: Lexicon) -> str:
    if number != 1:
        return ""
    if noun[0].isupper():
        return "eine" if _is_feminine(noun, words) else "ein"
    adjective = _GERMAN_ADJECTIVE.fullmatch(noun)
    return {"e": "eine", "r": "ein", "s": "ein"}[noun[-1]] if adjective and noun not in _GERMAN_NO_ADJECTIVES else ""


_GERMAN_ADJECTIVE = re.compile(r"[a-zäöüß]{3,}(?:e|er|es)")
_GERMAN_NO_ADJECTIVES = frozenset(
    """aber oder unter über hinter weder wieder weiter immer bitte heute gerade ohne beide alle sowie wie eine einer
    eines diese dieser dieses jede jeder jedes jene jener jenes seine ihre meine deine unsere eure keine welche welcher
    welches solche habe hätte wäre würde werde könnte sollte wurde konnte wollte musste durfte hatte danke mehrere
    mehrerer ihrer seiner meiner deiner unserer eurer deren derer dessen alles vieles übrige zwischen vielleicht wer
    nahe lange seite morgens abends nachts bereits anderes außer nimmer sonder leider später früher höher größer kleiner
    weniger besser teurer billiger schneller länger kürzer wärmer kälter eher dafür dahinter darüber darunter""".split()
)
"""Words in lower case with the endings of adjectives; comparatives such as "höher" stand after a measure."""


def german_noun_gender(noun: str) -> str:
    """Return "f", "m" or "n" for any German noun, as its ending tells."""
    if _is_feminine(noun, lexicon("de")) or re.search(r"(?:[^s]e|ung|heit|keit|ion|schaft)$", noun):
        return "f"
    return "n" if re.search(_GERMAN_NEUTER, noun) else "m"


_GERMAN_NEUTER = (
    r"(?i:gramm|pfund|byte|bit|watt|volt|ampere|glas|jahr|dutzend|stück|brot|ei|bund|paket|chen|lein|kilo|prozent|pascal"
    r"|blatt|hähnchen|huhn)$"
)


def german_gender(noun: str) -> str:
    """Return "f", "m" or "n" for a German noun before which ordinals stand; "" for any other."""
    return _GERMAN_GENDERS.get(noun, "")


_GERMAN_GENDERS = {
    **dict.fromkeys(
        """Platz Rang Stock Tag Monat Teil Advent Weltkrieg Geburtstag Todestag Hochzeitstag Jahrestag Spieltag Gang
        Akt Satz Versuch Schritt Lauf Durchgang Weihnachtstag Weihnachtsfeiertag Feiertag Montag Dienstag
        Mittwoch Donnerstag Freitag Samstag Sonntag Bezirk Wahlgang Bauabschnitt""".split(), "m"),
    **dict.fromkeys(
        """Etage Woche Minute Stunde Runde Halbzeit Liga Bundesliga Klasse Auflage Staffel Folge Strophe Stufe Reihe
        Welle Generation Sitzung Saison Hälfte Fassung""".split(), "f"),
    **dict.fromkeys(
        """OG UG DG Obergeschoss Untergeschoss Stockwerk Jahrhundert Jahrtausend Quartal Halbjahr Jahr Lebensjahr
        Semester Kapitel Mal Viertel Drittel Lehrjahr Gebot""".split(), "n"),
}  # fmt: skip
"""Nouns that follow an ordinal so often that a number with a dot before them is one."""


def _french(number: int, noun: str, words: Lexicon) -> str:
    is_feminine = _is_feminine(noun, words) or _FRENCH_FEMININE.search(noun)
    return spell("fr", number, "cardinal-feminine") if is_feminine else ""


_FRENCH_FEMININE = re.compile(r"(?:[tsngx]ion|ance|ette|[^c]ité|esse|enne|trice|euse|ude|aille|oire)s?$")


_ROMANCE_FEMININE = re.compile(r"(?:as?|ãs?|ción|ciones|sión|siones|d|dades|ção|ções|são|sões|agem|agens)$")
_ROMANCE_MASCULINE = re.compile(
    r"(?:-hora|días?|dias?|[st]emas?|gramas?|problemas?|mapas?|climas?|idiomas?|planetas?)$"
)


def _ends_feminine(noun: str, words: Lexicon) -> bool:
    noun = noun.lower()
    if noun in words.feminine:
        return True
    return bool(_ROMANCE_FEMININE.search(noun)) and not _ROMANCE_MASCULINE.search(noun) and noun not in _NO_NOUNS


def _is_counted(number: int, noun: str) -> bool:
    """Return whether a word may be the noun that is counted: of more than one the plural, in Spanish and Portuguese."""
    return number == 1 or noun.endswith("s")


def _spanish(number: int, noun: str, words: Lexicon) -> str:
    if _is_counted(number, noun) and _ends_feminine(noun, words):
        return spell("es", number, "cardinal-feminine")
    return "" if noun.lower() in _NO_NOUNS else spell("es", number, "cardinal-masculine")


_NO_NOUNS = frozenset(
    """y o de del a en con por para hacia hasta contra ya la las una es son que al más menos e ou no na nas da das do em
    é são mais uma para à às et est ou pour avec dans sur che della dei delle con son""".split()
)


def _portuguese(number: int, noun: str, words: Lexicon) -> str:
    is_feminine = _is_counted(number, noun) and _ends_feminine(noun, words)
    return spell("pt", number, "cardinal-feminine") if is_feminine else ""


_ITALIAN_FEMININE = re.compile(r"(?:a|zione|sione|tà)$")
_ITALIAN_MASCULINE = re.compile(r"(?:\wora|[st]ema|gramma|clima|problema)$")
_ITALIAN_UNO = re.compile(r"(?:z|s[^aeiouàèéìòù]|gn|ps|pn|x|y)", re.IGNORECASE)


_ITALIAN_NO_NOUNS = _NO_NOUNS | frozenset("per con di del al alle alla della dal dalla da su tra fra".split())


def _italian(number: int, noun: str, words: Lexicon) -> str:
    if number != 1 or len(noun) == 1 or noun in _ITALIAN_NO_NOUNS:
        return ""
    if noun in words.feminine or (_ITALIAN_FEMININE.search(noun) and not _ITALIAN_MASCULINE.search(noun)):
        return "una"
    return "uno" if _ITALIAN_UNO.match(noun) else "un"


_RUSSIAN_MASCULINE = frozenset("евро папа дядя мужчина".split())
_RUSSIAN_NO_NOUNS = frozenset("и а в на из с у к о до от по за или да но для не это раза".split())


def is_russian_noun(word: str) -> bool:
    """Return whether a Russian word after a number may be a noun."""
    return len(word) > 2 and word.lower() not in _RUSSIAN_NO_NOUNS


def _russian(number: int, noun: str, words: Lexicon) -> str:
    noun = noun.lower()
    last, tens = number % 10, number // 10 % 10
    if last == 1 and tens != 1 and re.search(r"[ую]$", noun):
        return spell("ru", number, "cardinal-feminine-accusative")
    if last not in (1, 2) or tens == 1 or noun in _RUSSIAN_MASCULINE or noun in _RUSSIAN_NO_NOUNS:
        return ""
    if noun in words.feminine or re.search(r"[ая]$" if last == 1 else r"[ыи]е?$", noun):
        return spell("ru", number, "cardinal-feminine")
    return spell("ru", number, "cardinal-neuter") if last == 1 and noun[-1] in "оеё" else ""


def _korean(number: int, noun: str, words: Lexicon) -> str:
    if noun.startswith("월") and number in (6, 10):
        return "유" if number == 6 else "시"
    if re.match(r"시(?!간|도|[가-힣]?당)", noun):
        return spell("ko", number, "cardinal-native-attributive") if 0 < number <= 12 else ""
    if noun.startswith("번째"):
        return "첫" if number == 1 else spell("ko", number, "cardinal-native-attributive") if number < 100 else ""
    counter = _KOREAN_PARTICLES.sub("", noun)
    if not 0 < number < 100 or not {noun, counter} & words.counters:
        return ""
    return "스무" if number == 20 else spell("ko", number, "cardinal-native-attributive")


_KOREAN_PARTICLES = re.compile(
    "(?:[이가은는을를의도만에로와과]|까지|부터|이다|입니다|이야|이에요|예요|씩|쯤|정도|동안|뒤|후|전|마다|이며|이고|에서|보다)+$"
)


def _chinese(number: int, noun: str, words: Lexicon) -> str:
    is_counted = any(noun.startswith(counter) for counter in words.counters)
    return "两" if number == 2 and is_counted else ""


_AGREEMENT = {
    "de": _german, "fr": _french, "es": _spanish, "it": _italian, "pt": _portuguese, "ru": _russian, "ko": _korean,
    "zh": _chinese,
}  # fmt: skip
